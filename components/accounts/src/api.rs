//! HTTP in, HTTP out: parse, call one use case, render.

pub(crate) mod classic;
pub(crate) mod internal;
pub(crate) mod v1;

use axum::response::IntoResponse;
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Deserializer, Serialize};
use web::Json;

use crate::{
    account::{self, Email},
    session,
};

fn is_email(email: &str, _: &()) -> garde::Result {
    fits(Email::parse(email).map(drop))
}

fn fits(outcome: Result<(), account::Refusal>) -> garde::Result {
    outcome.map_err(garde::Error::new)
}

/// Tells `null` from a field that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What a client calls itself.
fn agent(headers: &HeaderMap) -> Option<String> {
    headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).and_then(session::user_agent)
}

/// Tokens are for the client alone, RFC 6749 5.1, and so is what is said of them.
fn secret(body: impl Serialize) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}
