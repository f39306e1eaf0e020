//! Tokens that are variables of the shop: for programs around it, which have no account.

use http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq;

/// Whether a request carries this bearer token. Whether one is right must not show in the time it takes to say so.
pub(crate) fn carries(headers: &HeaderMap, token: &str) -> bool {
    let credentials = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
    match credentials.split_at_checked(7) {
        Some((scheme, given)) => scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.ct_eq(token.as_bytes())),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let opens = |credentials: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(credentials))]);
            carries(&headers, "secret")
        };
        assert!(opens("Bearer secret") && opens("bearer secret"));
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer  secret", "Basic secret", "secret"]
        {
            assert!(!opens(wrong), "{wrong}");
        }
        assert!(!carries(&HeaderMap::new(), "secret"));
    }
}
