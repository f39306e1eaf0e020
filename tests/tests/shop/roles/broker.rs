//! Events of others: their signature is the pass, and who signs in has none.

use serde_json::json;

use super::{Row, post};

pub(super) fn rows() -> Vec<Row> {
    vec![post("/events", [401; 7]).json(&json!({ "id": "1", "type": "INVOICE_SENT", "source": "/psp" }))]
}
