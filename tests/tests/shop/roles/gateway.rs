//! The shop as a whole.

use super::{ANYONE, Row, get};

pub(super) fn rows() -> Vec<Row> {
    vec![get("//health", ANYONE), get("//openapi.json", ANYONE)]
}
