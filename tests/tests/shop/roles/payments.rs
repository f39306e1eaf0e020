//! Payments: customers pay for their own orders; what is done with the money then is the admins'.

use serde_json::json;

use super::{ADMIN, OWNER, Row, SIGNED_IN, created, get, post};

pub(super) fn rows() -> Vec<Row> {
    vec![
        get("/payments", SIGNED_IN),
        post("/payments", OWNER.map(created)).json(&json!({ "orderId": "{order}", "token": "tok_visa" })),
        get("/payments/{payment}", OWNER),
        get("/payments/order/{paid}", OWNER),
        post("/payments/{held}/capture", ADMIN),
        post("/payments/{held}/void", ADMIN),
        post("/payments/{payment}/refund", ADMIN.map(created)).json(&json!({})),
        get("/payments/ledger", ADMIN),
        get("/payments/ledger?orderId={paid}", ADMIN),
        // The provider's signature is the pass, and who signs in has none.
        post("/payments/webhooks/{provider}", [401; 7]).json(&json!({ "data": { "orderId": "{paid}" } })),
    ]
}
