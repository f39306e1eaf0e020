//! What a router serves. axum does not list it, but shows it: the paths in its debug output, the methods of each in the
//! `Allow` of its 405.

use std::collections::BTreeSet;

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use serde_json::Value;
use tower_service::Service;

/// Panics unless the document has the routes of the router, and no others. What only the shop may call is in no document.
pub(crate) fn compare(router: &Router, document: &Value) {
    let served = served(router);
    let documented = documented(document);
    let missing: Vec<_> = served.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&served).collect();
    assert!(
        missing.is_empty(),
        "routes that no operation documents (utoipa::path, and paths(…) in contract.rs): {missing:#?}"
    );
    assert!(invented.is_empty(), "documented, but no route: {invented:#?}");
}

fn documented(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().expect("paths");
    let of = |(path, item): (&String, &Value)| {
        let methods: Vec<_> =
            item.as_object().expect("a path item").keys().map(|method| method.to_uppercase()).collect();
        methods.into_iter().map(|method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

fn served(router: &Router) -> BTreeSet<String> {
    let paths = paths(router);
    assert!(!paths.is_empty(), "this version of axum shows its routes otherwise");
    paths
        .iter()
        .flat_map(|path| methods(router, path).into_iter().map(move |method| format!("{method} {path}")))
        .collect()
}

/// From `Node { paths: {RouteId(1): "/a", …` of the router itself; those of its fallback follow behind.
fn paths(router: &Router) -> Vec<String> {
    let shown = format!("{router:?}");
    let own = shown.split("fallback_router").next().unwrap_or_default();
    own.split("RouteId(")
        .filter_map(|rest| rest.split_once("): \"")?.1.split('"').next().map(str::to_owned))
        .filter(|path| path.starts_with('/') && !path.starts_with("/internal/"))
        .collect()
}

fn methods(router: &Router, path: &str) -> Vec<String> {
    let filled: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect();
    let method = Method::from_bytes(b"NONE").unwrap();
    let request = Request::builder().method(method).uri(filled.join("/")).body(Body::empty()).unwrap();
    let response = futures::executor::block_on(router.clone().call(request)).unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path} takes any method");
    let allow = response.headers()[header::ALLOW].to_str().unwrap();
    // axum answers HEAD wherever it answers GET.
    allow.split(',').filter(|method| *method != "HEAD").map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use axum::routing;

    use super::*;

    #[test]
    fn a_router_shows_what_it_serves() {
        let of = |path: &str| Router::new().route(path, routing::get(async || ()).post(async || ()));
        let router = of("/a").merge(of("/a/{id}")).merge(of("/internal/b")).fallback(async || ());
        let wanted = ["GET /a", "GET /a/{id}", "POST /a", "POST /a/{id}"];
        assert_eq!(served(&router), wanted.map(str::to_owned).into());
    }

    #[test]
    #[should_panic(expected = "GET /b")]
    fn a_route_without_documentation_is_noticed() {
        compare(&Router::new().route("/b", routing::get(async || ())), &serde_json::json!({"paths": {}}));
    }

    #[test]
    #[should_panic(expected = "PUT /b")]
    fn documentation_without_a_route_is_noticed() {
        let document = serde_json::json!({"paths": {"/b": {"get": {}, "put": {}}}});
        compare(&Router::new().route("/b", routing::get(async || ())), &document);
    }
}
