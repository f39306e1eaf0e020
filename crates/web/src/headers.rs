//! What every request brings and every response carries.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use uuid::Uuid;

const REQUEST_ID: &str = "x-request-id";

const SECURITY: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "geolocation=(), microphone=(), camera=()"),
    ("cross-origin-resource-policy", "same-site"),
];

/// The names a request goes by.
pub(crate) struct Trace {
    /// `X-Request-Id`: the client's, or our own.
    pub(crate) request_id: String,
    /// W3C `traceparent`: the client's trace, or a new one; this request as a new parent.
    pub(crate) traceparent: String,
}

impl Trace {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let random = Uuid::new_v4();
        let parent = headers.get("traceparent").and_then(|value| value.to_str().ok());
        let request_id = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        Self {
            traceparent: events::trace::span(parent, random),
            request_id: request_id.map_or_else(|| random.simple().to_string(), str::to_owned),
        }
    }

    /// Sets the id of the request.
    pub(crate) fn put_into(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, value);
        }
    }

    /// For what is done to answer it.
    pub(crate) fn shared(&self) -> Rc<events::trace::Trace> {
        let (traceparent, request_id) = (self.traceparent.clone(), Some(self.request_id.clone()));
        Rc::new(events::trace::Trace { traceparent, request_id })
    }
}

/// The id of a request that is being answered: [`Trace::put_into`] has seen to it that there is one.
pub(crate) fn request_id(headers: &HeaderMap) -> &str {
    headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Adds what every response carries.
pub(crate) fn write(headers: &mut HeaderMap, trace: &Trace) {
    for (name, value) in SECURITY {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    trace.put_into(headers);
}

/// Gives a successful read a weak `ETag`, unless it has one, and turns it into 304 when the client has that version.
pub(crate) fn etag<B: AsRef<[u8]> + Default>(
    method: &Method,
    if_none_match: &[HeaderValue],
    response: &mut Response<B>,
) {
    if ![Method::GET, Method::HEAD].contains(method) || response.status() != StatusCode::OK {
        return;
    }
    let own = response.headers().get(header::ETAG).and_then(|value| value.to_str().ok());
    let etag = match own {
        Some(own) => own.to_owned(),
        None => {
            let mut hasher = DefaultHasher::new();
            response.body().as_ref().hash(&mut hasher);
            format!("W/\"{:016x}\"", hasher.finish())
        }
    };
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let mut tags = if_none_match.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let known = tags.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(&etag));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = B::default();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_version_is_not_sent_again() {
        let response = || Response::new("body".to_owned());
        let mut first = response();
        etag(&Method::GET, &[], &mut first);
        let tag = first.headers()[header::ETAG].clone();
        let mut second = response();
        etag(&Method::GET, std::slice::from_ref(&tag), &mut second);
        assert_eq!((second.status(), second.body().as_str()), (StatusCode::NOT_MODIFIED, ""));
        let mut third = response();
        let other = HeaderValue::from_static("W/\"0\"");
        etag(&Method::GET, std::slice::from_ref(&other), &mut third);
        assert_eq!(third.status(), StatusCode::OK);
        for lines in [[tag.clone(), other.clone()], [other, tag.clone()]] {
            for (method, status) in [(Method::GET, 304), (Method::HEAD, 304), (Method::POST, 200)] {
                let mut answer = response();
                etag(&method, &lines, &mut answer);
                assert_eq!(answer.status(), status, "{method} {lines:?}");
            }
        }

        let own = HeaderValue::from_static("W/\"3-7\"");
        let mut fourth = response();
        fourth.headers_mut().insert(header::ETAG, own.clone());
        etag(&Method::GET, &[tag], &mut fourth);
        assert_eq!((fourth.status(), &fourth.headers()[header::ETAG]), (StatusCode::OK, &own));
        etag(&Method::GET, &[own], &mut fourth);
        assert_eq!(fourth.status(), StatusCode::NOT_MODIFIED);
    }
}
