//! Configuration: for those who run the shop, and its programs.

use super::{PROGRAMS, Row, get};

pub(super) fn rows() -> Vec<Row> {
    vec![
        get("//api/config/services", PROGRAMS),
        get("//api/config/{service}/profiles", PROGRAMS),
        get("//api/config/{service}/{profile}", PROGRAMS),
    ]
}
