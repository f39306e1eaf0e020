//! Limits on what comes before the body, and what a path and a query must not contain.

use http::{HeaderMap, Uri};

use crate::{Error, Result};

/// Of path and query together. RFC 9110 4.1 wants at least 8000.
const LONGEST_TARGET: usize = 8 * 1024;
/// Of one header, its name and its value.
const LONGEST_HEADER: usize = 8 * 1024;
/// Of all headers.
const LONGEST_HEADERS: usize = 16 * 1024;
/// As many as hyper takes, which answers before a component is asked: this is for HTTP/2.
const MOST_HEADERS: usize = 100;

/// What the host adds, some of which repeats the path: no fault of the client.
const OF_THE_HOST: [&str; 7] = [
    "spin-base-path",
    "spin-client-addr",
    "spin-component-route",
    "spin-full-url",
    "spin-matched-route",
    "spin-path-info",
    "spin-raw-component-route",
];

/// 414, 431, or 400 for a percent-encoding of what is no text.
pub(crate) fn check(uri: &Uri, headers: &HeaderMap) -> Result<()> {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    if path.len() + query.len() > LONGEST_TARGET {
        return Err(Error::UriTooLong);
    }
    let (mut count, mut length) = (0, 0);
    for (name, value) in headers {
        if OF_THE_HOST.contains(&name.as_str()) {
            continue;
        }
        let own = name.as_str().len() + value.len();
        (count, length) = (count + 1, length + own);
        if own > LONGEST_HEADER || length > LONGEST_HEADERS || count > MOST_HEADERS {
            return Err(Error::HeadersTooLarge);
        }
    }
    if !is_text(path) {
        return Err(Error::Malformed("the path must be percent-encoded UTF-8 without NUL".into()));
    }
    if !is_text(query) {
        return Err(Error::Malformed("the query must be percent-encoded UTF-8 without NUL".into()));
    }
    Ok(())
}

/// Whether every `%` begins the code of a byte, and all bytes together are UTF-8 without NUL.
fn is_text(encoded: &str) -> bool {
    if !encoded.contains('%') {
        return true;
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
            match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return false,
            }
        } else {
            byte
        });
    }
    std::str::from_utf8(&decoded).is_ok_and(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn percent_codes_are_text() {
        for good in ["", "/a", "/%61%2F", "/%C3%A4", "q=a%20b+c", "%25zz"] {
            assert!(is_text(good), "{good}");
        }
        for bad in ["%", "/%", "/%6", "/%zz", "/%+1", "/a%00b", "%ff", "%C3", "%C3/%A4", "%ED%A0%80", "%C0%80"] {
            assert!(!is_text(bad), "{bad}");
        }
    }

    #[test]
    fn targets_have_a_longest() {
        let target = |length: usize| check(&format!("/{}?q", "x".repeat(length)).parse().unwrap(), &HeaderMap::new());
        assert_eq!(target(LONGEST_TARGET - 2), Ok(()));
        assert_eq!(target(LONGEST_TARGET - 1), Err(Error::UriTooLong));
    }

    #[test]
    fn headers_have_a_longest_and_a_most() {
        let outcome = |count: usize, length: usize| {
            let name = |number| HeaderName::try_from(format!("x{number:04}")).unwrap();
            let value = HeaderValue::from_str(&"v".repeat(length - 5)).unwrap();
            let headers = (0..count).map(|number| (name(number), value.clone())).collect();
            check(&Uri::from_static("/"), &headers)
        };
        assert_eq!(outcome(1, LONGEST_HEADER), Ok(()));
        assert_eq!(outcome(1, LONGEST_HEADER + 1), Err(Error::HeadersTooLarge));
        assert_eq!(outcome(2, LONGEST_HEADERS / 2), Ok(()));
        assert_eq!(outcome(3, LONGEST_HEADERS / 2), Err(Error::HeadersTooLarge));
        assert_eq!(outcome(MOST_HEADERS, 100), Ok(()));
        assert_eq!(outcome(MOST_HEADERS + 1, 10), Err(Error::HeadersTooLarge));
        let of_the_host = OF_THE_HOST.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("v")));
        assert_eq!(check(&Uri::from_static("/"), &of_the_host.into_iter().collect()), Ok(()));
        let url = HeaderValue::from_str(&"u".repeat(LONGEST_HEADER)).unwrap();
        let url = HeaderMap::from_iter([(HeaderName::from_static("spin-full-url"), url)]);
        assert_eq!(check(&Uri::from_static("/"), &url), Ok(()));
    }
}
