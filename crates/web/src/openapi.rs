//! What the contracts of all services have in common and handlers have to name. What follows from an operation by itself,
//! such as its 401 or the headers of its answers, is added by the crate `contract`.

use utoipa::IntoParams;

pub use crate::error::Problem;

/// The header of requests that are done once, however often they come: of those that take a [`crate::Submitted`].
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyKey {
    /// The same request with the same key is done once and answered twice; a key is remembered for a day.
    #[param(rename = "Idempotency-Key", pattern = "^[ -~]{1,255}$", example = "0198c1f2-5c1e-7d3a-9f43-1f1b6c1c7f10")]
    pub key: Option<String>,
}

/// The header of requests that are for one version of a thing, and for no other.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatch {
    /// The `ETag` of the version that is meant, or its number; 412 when it is another one by now.
    #[param(rename = "If-Match", example = "*")]
    pub tag: Option<String>,
}
