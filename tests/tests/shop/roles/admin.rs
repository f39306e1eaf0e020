//! Administration: what the services could not deliver, and what admins did.

use serde_json::json;

use super::{ADMIN, Row, get, post};

pub(super) fn rows() -> Vec<Row> {
    vec![
        get("/admin/audit", ADMIN),
        get("/admin/events/parked", ADMIN),
        post("/admin/events/parked/{service}/replay", ADMIN).json(&json!({})),
        // Nothing is parked.
        post("/admin/events/parked/{service}/{n}/replay", [401, 403, 403, 403, 403, 403, 404]).json(&json!({})),
    ]
}
