//! HTTP in, HTTP out.

pub(crate) mod internal;
