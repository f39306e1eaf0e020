//! Cross-origin requests: which web pages of other origins may read what the shop answers.
//!
//! The shop has no cookies: a page sends a token that it was given, or it is a stranger. So no answer allows credentials,
//! and `*` gives a page nothing that its user could not have without a browser.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What clients send beside what they always may.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, if-none-match, traceparent, tracestate, x-cart-token, \
     x-request-id, x-requested-with",
);
/// What the answers carry beside what pages can always read.
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, idempotent-replayed, location, retry-after, www-authenticate, x-ratelimit-limit, x-ratelimit-remaining, \
     x-ratelimit-reset, x-request-id",
);
/// Seconds that a browser may remember a preflight's answer. None remembers one for longer than a day, some two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// The origins whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cors {
    /// None.
    Nobody,
    /// All.
    Anybody,
    /// These.
    Listed(Vec<HeaderValue>),
}

impl Cors {
    /// A list of origins with commas or spaces between them, or `*`. The error is the part that is no origin.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<_> =
            text.split(|at: char| at == ',' || at.is_whitespace()).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            Ok(Self::Nobody)
        } else if parts.contains(&"*") {
            Ok(Self::Anybody)
        } else {
            let origins = parts.into_iter().map(|part| origin(part).ok_or_else(|| part.to_owned()));
            origins.collect::<Result<_, _>>().map(Self::Listed)
        }
    }

    /// The answer to a preflight, the question of a browser whether it may send a request. `None` for other requests.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        let asked = headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if method != Method::OPTIONS || !asked {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if self.allowed(headers.get(header::ORIGIN)).is_some() {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        Some(response)
    }

    /// Lets the page that has asked read an answer, if it may.
    pub(crate) fn write(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if *self == Self::Nobody {
            return;
        }
        // Also when the request has no origin: a cache must not hand this answer to one that has.
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(allowed) = self.allowed(origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }

    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Nobody => None,
            Self::Anybody => origin.map(|_| ANY),
            Self::Listed(listed) => origin.filter(|origin| listed.contains(origin)).cloned(),
        }
    }
}

/// An origin as browsers write it: scheme, host, and a port that is not the scheme's own.
fn origin(text: &str) -> Option<HeaderValue> {
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    if authority.as_str().contains('@') || text != format!("{scheme}://{authority}") {
        return None;
    }
    let usual = if scheme == "https" { ":443" } else { ":80" };
    HeaderValue::from_str(text.strip_suffix(usual).unwrap_or(&text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Vec<String> {
        match Cors::parse(text) {
            Ok(Cors::Listed(origins)) => origins.iter().map(|origin| origin.to_str().unwrap().to_owned()).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn origins_are_read_as_people_write_them() {
        assert_eq!(Cors::parse(" , "), Ok(Cors::Nobody));
        assert_eq!(Cors::parse("https://a.example *"), Ok(Cors::Anybody));
        assert_eq!(
            listed("https://A.example, http://localhost:5173/  https://b.example:443,app://x"),
            ["https://a.example", "http://localhost:5173", "https://b.example", "app://x"]
        );
        for bad in
            ["a.example", "https://a.example/path", "https://u@a.example", "null", "https://", "https://*.a.example/*"]
        {
            assert_eq!(Cors::parse(bad), Err(bad.to_owned()), "{bad}");
        }
    }

    #[test]
    fn only_origins_that_may_read_are_told_so() {
        let shop = HeaderValue::from_static("https://a.example");
        let answer = |cors: &Cors, origin: Option<&HeaderValue>| {
            let mut headers = HeaderMap::new();
            cors.write(origin, &mut headers);
            let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap().to_owned());
            (text(header::ACCESS_CONTROL_ALLOW_ORIGIN), text(header::VARY))
        };
        let vary = Some("origin".to_owned());
        let some = Cors::Listed(vec![shop.clone()]);
        assert_eq!(answer(&some, Some(&shop)), (Some("https://a.example".into()), vary.clone()));
        for other in ["https://a.example.evil.example", "http://a.example", "https://a.example:8443", "null", ""] {
            assert_eq!(answer(&some, Some(&HeaderValue::from_static(other))), (None, vary.clone()), "{other}");
        }
        assert_eq!(answer(&some, None), (None, vary.clone()));
        assert_eq!(answer(&Cors::Anybody, Some(&shop)), (Some("*".into()), vary.clone()));
        assert_eq!(answer(&Cors::Anybody, None), (None, vary));
        assert_eq!(answer(&Cors::Nobody, Some(&shop)), (None, None));
    }

    #[test]
    fn a_preflight_is_answered_and_nothing_else() {
        let headers = |names: &[&'static str]| {
            names.iter().map(|name| (name.parse().unwrap(), HeaderValue::from_static("GET"))).collect::<HeaderMap>()
        };
        let both = headers(&["origin", "access-control-request-method"]);
        let answer = Cors::Anybody.preflight(&Method::OPTIONS, &both).unwrap();
        assert_eq!((answer.status(), &answer.headers()["access-control-max-age"]), (StatusCode::NO_CONTENT, &MAX_AGE));
        let answer = Cors::Nobody.preflight(&Method::OPTIONS, &both).unwrap();
        assert_eq!((answer.status(), answer.headers().len()), (StatusCode::NO_CONTENT, 0));
        assert!(Cors::Anybody.preflight(&Method::GET, &both).is_none());
        assert!(Cors::Anybody.preflight(&Method::OPTIONS, &headers(&["origin"])).is_none());
        assert!(Cors::Anybody.preflight(&Method::OPTIONS, &headers(&["access-control-request-method"])).is_none());
    }
}
