//! Orders: customers place them, see and cancel their own; the rest of their life is the admins'.

use serde_json::json;

use super::{ADMIN, OWNER, Row, SIGNED_IN, created, delete, get, patch, post, put};

pub(super) fn rows() -> Vec<Row> {
    let item = json!({ "productId": "{product}", "quantity": 1 });
    vec![
        get("/orders", SIGNED_IN),
        // A filter that only admins have others for.
        get("/orders?userId={owner}", [401, 200, 403, 403, 403, 403, 200]),
        post("/orders", SIGNED_IN.map(created)).json(&json!({ "items": [item] })),
        get("/orders/{order}", OWNER),
        get("/orders/{order}/events", OWNER),
        get("/orders/{order}/timeline", OWNER),
        get("/orders/number/{number}", OWNER),
        get("/orders/user/{owner}", OWNER),
        post("/orders/{order}/cancel", OWNER).json(&json!({})),
        delete("/orders/{order}", OWNER),
        put("/orders/{paid}/status", ADMIN).json(&json!({ "status": "shipped" })),
        patch("/orders/{paid}/status", ADMIN).json(&json!({ "status": "shipped" })),
        get("/orders/{paid}/refunds", OWNER),
        post("/orders/{paid}/refunds", ADMIN.map(created)).json(&json!({ "amount": 0.5 })),
    ]
}
