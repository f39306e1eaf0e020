//! Who asks for a cart, and which version of it.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{HeaderMap, header, request::Parts};
use web::{Caller, Error, Result};

use crate::carts::{Expected, Visitor};

const TOKEN: &str = "x-cart-token";
const NOBODY: Error =
    Error::Unauthenticated("sign in, or send the `X-Cart-Token` that POST /api/v1/carts has answered with");

/// Somebody with a sign-in, a cart's token, or both: 401 otherwise.
pub(super) struct Asking {
    pub(super) caller: Option<Caller>,
    pub(super) visitor: Visitor,
    pub(super) expected: Expected,
}

impl Asking {
    /// Who is signed in: 401 for somebody who has only a token.
    pub(super) fn caller(&self) -> Result<&Caller> {
        self.caller.as_ref().ok_or(Error::Unauthenticated("sign in to order: the cart goes with you"))
    }
}

impl FromRequestParts<()> for Asking {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &()) -> Result<Self> {
        let caller = <Caller as OptionalFromRequestParts<()>>::from_request_parts(parts, state).await?;
        let visitor = match (&caller, token(&parts.headers)) {
            (Some(caller), token) => Visitor::user(caller, token),
            (None, Some(token)) => Visitor::holder(token),
            (None, None) => return Err(NOBODY),
        };
        let expected = match parts.headers.get(header::IF_MATCH) {
            Some(tag) => expected(tag.to_str().unwrap_or_default()),
            None => Expected::Any,
        };
        Ok(Self { caller, visitor, expected })
    }
}

/// The token of an anonymous cart that comes with a request.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let token = headers.get(TOKEN).and_then(|token| token.to_str().ok()).map(str::trim);
    token.filter(|token| !token.is_empty())
}

/// Reads `If-Match`: an `ETag` of a cart, or only its version.
fn expected(tag: &str) -> Expected {
    let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
    if tag == "*" {
        return Expected::Any;
    }
    let mut numbers = tag.split('-').map(|part| part.parse::<i64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(id), Some(version)) => Expected::Version(Some(id), version),
        (Some(version), None) if !tag.contains('-') => Expected::Version(None, version),
        _ => Expected::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_is_named_by_its_tag_or_its_version() {
        for (tag, wanted) in [
            ("*", Expected::Any),
            ("W/\"3-7-00ff\"", Expected::Version(Some(3), 7)),
            ("\"3-7\"", Expected::Version(Some(3), 7)),
            ("\"7\"", Expected::Version(None, 7)),
            ("7", Expected::Version(None, 7)),
            ("", Expected::Nothing),
            ("\"abc\"", Expected::Nothing),
            ("\"3-x\"", Expected::Nothing),
        ] {
            assert_eq!(expected(tag), wanted, "{tag}");
        }
    }
}
