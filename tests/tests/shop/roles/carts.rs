//! Carts: everybody has one and sees no other. Discount codes are the admins'.

use serde_json::json;

use super::{ADMIN, OWNER, Row, SIGNED_IN, created, delete, get, gone, patch, post, put};

pub(super) fn rows() -> Vec<Row> {
    let code = json!({ "code": "C{n}", "kind": "fixed", "value": 1 });
    vec![
        post("/carts", [201; 7]),
        get("/carts/me", SIGNED_IN),
        get("/carts/{owner}", OWNER),
        post("/carts/me/items", SIGNED_IN).json(&json!({ "productId": "{product}", "quantity": 1 })),
        patch("/carts/me/items/{item}", SIGNED_IN).json(&json!({ "quantity": 2 })),
        put("/carts/me/items/{item}", SIGNED_IN).json(&json!({ "quantity": 2 })),
        delete("/carts/me/items/{item}", SIGNED_IN),
        put("/carts/me/discount", SIGNED_IN).json(&json!({ "code": "{code}" })),
        delete("/carts/me/discount", SIGNED_IN),
        post("/carts/me/merge", SIGNED_IN).json(&json!({ "cartToken": "{cart}" })),
        post("/carts/me/checkout", SIGNED_IN.map(created)).json(&json!({})),
        delete("/carts/me", SIGNED_IN),
        get("/discounts", ADMIN),
        post("/discounts", ADMIN.map(created)).json(&code),
        get("/discounts/{code}", ADMIN),
        put("/discounts/{code}", ADMIN).json(&json!({ "value": 2 })),
        delete("/discounts/{code}", ADMIN.map(gone)),
    ]
}
