//! Products and categories: everybody reads them, their sellers write the products, admins the tree.

use serde_json::json;

use super::{ADMIN, ANYONE, Row, SELLER, SELLERS, created, delete, get, gone, post, put};

pub(super) fn rows() -> Vec<Row> {
    let product = json!({ "name": "Mug", "description": "", "price": 1, "stock": 1 });
    let line = json!({ "sku": "SKU-{n}", "name": "Mug", "price": 1, "stock": 1 });
    vec![
        get("/products", ANYONE),
        // What is not for sale is listed for who sells.
        get("/products?status=draft", SELLERS),
        post("/products", SELLERS.map(created)).json(&product),
        get("/products/{product}", ANYONE),
        get("/products/{draft}", [404, 404, 404, 404, 200, 404, 200]),
        put("/products/{product}", SELLER).json(&json!({ "price": 0.01 })),
        put("/products/{draft}", [401, 403, 403, 403, 200, 404, 200]).json(&json!({ "price": 0.01 })),
        delete("/products/{product}", SELLER.map(gone)),
        post("/products/import", SELLERS).ndjson(&line),
        get("/products/export", SELLERS),
        get("/categories", ANYONE),
        get("/categories/tree", ANYONE),
        post("/categories", SELLERS.map(created)).json(&json!({ "name": "c", "slug": "c{n}" })),
        get("/categories/{category}", ANYONE),
        get("/categories/{category}/products", ANYONE),
        put("/categories/{category}", ADMIN).json(&json!({ "description": "New." })),
        delete("/categories/{category}", ADMIN.map(gone)),
    ]
}
