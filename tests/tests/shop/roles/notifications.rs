//! Mails: customers see their own, admins send them again.

use serde_json::json;

use super::{ADMIN, OWNER, Outcome, Row, SIGNED_IN, get, post};

fn accepted(outcome: Outcome) -> Outcome {
    outcome.map(|status| if status == 200 { 202 } else { status })
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        get("/notifications", SIGNED_IN),
        get("/notifications/{mail}", OWNER),
        post("/notifications/{mail}/resend", accepted(ADMIN)),
        post("/notifications/test", accepted(ADMIN)).json(&json!({})),
    ]
}
