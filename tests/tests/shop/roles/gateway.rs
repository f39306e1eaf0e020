//! The shop as a whole.

use super::{ANYONE, Row, get, post};

pub(super) fn rows() -> Vec<Row> {
    vec![
        get("//", ANYONE),
        get("//health", ANYONE),
        get("//readyz", ANYONE),
        get("//livez", ANYONE),
        get("//metrics", ANYONE),
        get("//openapi.json", ANYONE),
        get("//docs", ANYONE),
        get("//docs/{file}", ANYONE),
        // There is no such route while the variable `tick_token` is empty.
        post("//tick", [404; 7]),
    ]
}
