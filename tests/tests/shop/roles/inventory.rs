//! Stock: suppliers keep their own, admins all.

use serde_json::json;

use super::{ANYONE, Row, SELLERS, STOCK_KEEPER, created, get, post, put};

pub(super) fn rows() -> Vec<Row> {
    let item = json!({ "productId": "{product}", "quantity": 1 });
    vec![
        get("/inventory/check?productId={product}&quantity=1", ANYONE),
        get("/inventory", SELLERS),
        post("/inventory", SELLERS.map(created)).json(&json!({ "productId": "{n}", "quantity": 1 })),
        get("/inventory/{product}", STOCK_KEEPER),
        put("/inventory/{product}", STOCK_KEEPER).json(&json!({ "reorderThreshold": 1 })),
        post("/inventory/{product}/adjust", STOCK_KEEPER).json(&json!({ "delta": 1, "reason": "found" })),
        get("/inventory/{product}/history", STOCK_KEEPER),
        post("/inventory/reserve", STOCK_KEEPER.map(created)).json(&json!({ "items": [item] })),
        post("/inventory/release", STOCK_KEEPER).json(&json!({ "reservationId": "{reservation}" })),
    ]
}
