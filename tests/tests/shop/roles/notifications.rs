//! Mails: customers see their own.

use super::{OWNER, Row, SIGNED_IN, get};

pub(super) fn rows() -> Vec<Row> {
    vec![get("/notifications", SIGNED_IN), get("/notifications/{mail}", OWNER)]
}
