//! What every request brings and every response carries.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use uuid::Uuid;

/// The client address that Spin gives to a call from another component. No connection has it.
const CHAINED: &str = "0.0.0.0:0";

const REQUEST_ID: &str = "x-request-id";

const SECURITY: &[(&str, &str)] = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "geolocation=(), microphone=(), camera=()"),
    ("cross-origin-resource-policy", "same-site"),
];

/// The address that the host has seen. Spin 4.1 adds it behind whatever the client sent under the same name, so only the
/// last one counts.
fn client_address(headers: &HeaderMap) -> &str {
    let last = headers.get_all("spin-client-addr").iter().next_back();
    last.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// True for a call from another component of the shop.
pub(crate) fn is_internal(headers: &HeaderMap) -> bool {
    client_address(headers) == CHAINED
}

/// The client's address without its port.
pub(crate) fn client(headers: &HeaderMap) -> &str {
    let address = client_address(headers);
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// The names a request goes by.
pub(crate) struct Trace {
    /// `X-Request-Id`: the client's, or our own.
    pub(crate) request_id: String,
    /// W3C `traceparent`: the client's trace, or a new one; this request as a new parent.
    pub(crate) traceparent: String,
}

impl Trace {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let random = Uuid::new_v4().simple().to_string();
        let trace_id = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(trace_id);
        let request_id = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
        Self {
            traceparent: format!("00-{}-{}-01", trace_id.unwrap_or(&random), &random[16..]),
            request_id: request_id.map_or_else(|| random.clone(), str::to_owned),
        }
    }

    /// Sets the id of the request.
    pub(crate) fn put_into(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, value);
        }
    }
}

/// The trace id of a well-formed `traceparent`, <https://www.w3.org/TR/trace-context/>.
fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let valid = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (valid && !zero(trace) && !zero(parent)).then_some(trace)
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
    if_none_match: Option<&HeaderValue>,
    response: &mut Response<B>,
) {
    if method != Method::GET || response.status() != StatusCode::OK {
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
    let known = if_none_match
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == opaque(&etag)));
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
    fn a_client_cannot_forge_its_address() {
        let mut headers = HeaderMap::new();
        headers.append("spin-client-addr", HeaderValue::from_static(CHAINED));
        headers.append("spin-client-addr", HeaderValue::from_static("192.0.2.1:4711"));
        assert!(!is_internal(&headers));
        assert_eq!(client(&headers), "192.0.2.1");
        headers.append("spin-client-addr", HeaderValue::from_static(CHAINED));
        assert!(is_internal(&headers));
    }

    #[test]
    fn only_well_formed_traces_go_on() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_id(good), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(trace_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let response = || Response::new("body".to_owned());
        let mut first = response();
        etag(&Method::GET, None, &mut first);
        let tag = first.headers()[header::ETAG].clone();
        let mut second = response();
        etag(&Method::GET, Some(&tag), &mut second);
        assert_eq!((second.status(), second.body().as_str()), (StatusCode::NOT_MODIFIED, ""));
        let mut third = response();
        etag(&Method::GET, Some(&HeaderValue::from_static("W/\"0\"")), &mut third);
        assert_eq!(third.status(), StatusCode::OK);

        let own = HeaderValue::from_static("W/\"3-7\"");
        let mut fourth = response();
        fourth.headers_mut().insert(header::ETAG, own.clone());
        etag(&Method::GET, Some(&tag), &mut fourth);
        assert_eq!((fourth.status(), &fourth.headers()[header::ETAG]), (StatusCode::OK, &own));
        etag(&Method::GET, Some(&own), &mut fourth);
        assert_eq!(fourth.status(), StatusCode::NOT_MODIFIED);
    }
}
