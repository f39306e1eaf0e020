//! HTTP in, HTTP out: parse, call one use case, render.

pub(crate) mod internal;
pub(crate) mod v1;
