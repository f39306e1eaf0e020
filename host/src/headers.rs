//! The headers that Spin adds to a request before a component sees it.

use std::net::SocketAddr;

use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::allowed_hosts::chained_component;
use crate::routes::RouteMatch;

/// The prefix of the headers with the values of route parameters.
const PARAMETER: &str = "spin-path-match-";

/// Takes out what a client may not say. Called for requests from outside only: a `Host` of the
/// service-chaining domain would look like a chained request.
pub(crate) fn strip_forged(headers: &mut HeaderMap) {
    let chaining = |host: &HeaderValue| host.to_str().is_ok_and(|h| chained_component(h).is_some());
    if headers.get(HOST).is_some_and(chaining) {
        headers.remove(HOST);
    }
    headers.remove(CONNECTION);
}

/// Sets the headers of a matched request, in place of any that the client has sent under these
/// names. (Spin 4.1 appends its own after the client's: a component should read the last value.)
pub(crate) fn insert_spin_headers(headers: &mut HeaderMap, uri: &Uri, matched: &RouteMatch<'_>, client: SocketAddr) {
    remove_parameters(headers);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let full_url = format!(
        "{}://{}{}",
        uri.scheme_str().unwrap_or("http"),
        host.unwrap_or("localhost"),
        uri.path_and_query().map_or("/", |path| path.as_str()),
    );
    insert(headers, "spin-full-url", &full_url);
    insert(headers, "spin-path-info", &matched.path_info);
    insert(headers, "spin-matched-route", matched.based_route);
    insert(headers, "spin-base-path", "/");
    insert(headers, "spin-raw-component-route", matched.raw_route);
    insert(headers, "spin-component-route", matched.raw_route_or_prefix());
    insert(headers, "spin-client-addr", &client.to_string());
    for (name, value) in &matched.parameters {
        let name = format!("{PARAMETER}{}", name.to_ascii_lowercase().replace('_', "-"));
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}

/// A value that cannot be in a header (a decoded control character) leaves the header empty rather
/// than the client's.
fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
    headers.insert(HeaderName::from_static(name), value);
}

fn remove_parameters(headers: &mut HeaderMap) {
    let forged: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(PARAMETER)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched() -> RouteMatch<'static> {
        RouteMatch {
            component: "orders",
            raw_route: "/orders/:order_id/...",
            based_route: "/orders/:order_id/...",
            path_info: "/items".into(),
            parameters: vec![("order_id".into(), "17".into())],
        }
    }

    #[test]
    fn sets_what_spin_sets() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("shop.example:3000"));
        let uri = "http://shop.example:3000/orders/17/items?x=1".parse().unwrap();
        let client = "10.0.0.9:4711".parse().unwrap();
        insert_spin_headers(&mut headers, &uri, &matched(), client);
        let expected = [
            ("spin-full-url", "http://shop.example:3000/orders/17/items?x=1"),
            ("spin-path-info", "/items"),
            ("spin-matched-route", "/orders/:order_id/..."),
            ("spin-base-path", "/"),
            ("spin-raw-component-route", "/orders/:order_id/..."),
            ("spin-component-route", "/orders/:order_id"),
            ("spin-client-addr", "10.0.0.9:4711"),
            ("spin-path-match-order-id", "17"),
        ];
        for (name, value) in expected {
            assert_eq!(headers[name], value, "{name}");
        }
    }

    #[test]
    fn a_client_cannot_forge_them() {
        let mut headers = HeaderMap::new();
        for name in ["spin-client-addr", "spin-path-match-order-id", "spin-path-match-role"] {
            headers.append(name, HeaderValue::from_static("forged"));
            headers.append(name, HeaderValue::from_static("forged too"));
        }
        let client = "10.0.0.9:4711".parse().unwrap();
        insert_spin_headers(&mut headers, &Uri::from_static("/"), &matched(), client);
        assert_eq!(headers.get_all("spin-client-addr").iter().count(), 1);
        assert_eq!(headers["spin-client-addr"], "10.0.0.9:4711");
        assert_eq!(headers["spin-path-match-order-id"], "17");
        assert!(!headers.contains_key("spin-path-match-role"));
    }

    #[test]
    fn strips_a_chaining_host() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("orders.spin.internal:3000"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        strip_forged(&mut headers);
        assert!(headers.is_empty());
    }
}
