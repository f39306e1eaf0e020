//! The OpenAPI document of a service: assembled from its handlers in a test, completed, compared with the router, and
//! written down in the file that `gateway` joins with those of the other services.
//!
//! A test may panic, and these are its words.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod complete;
mod examples;
mod neighbours;
mod refusals;
mod routes;

use std::path::Path;

use axum::Router;
use serde_json::Value;
use utoipa::openapi::OpenApi;

/// Set to 1, the files are written instead of compared: `make openapi`.
const WRITE: &str = "BODEGA_WRITE_OPENAPI";

/// Assembles the document of the service in the folder `service` (`env!("CARGO_MANIFEST_DIR")`) from `apis`, each with the
/// operations of one tag. Panics when it does not say exactly what the router does, an operation says too little, an
/// example contradicts its schema, or the service's `openapi.json` is another one.
pub fn check(service: &str, router: &Router, apis: impl IntoIterator<Item = OpenApi>) {
    let mut document = complete::document(apis.into_iter().map(|api| serde_json::to_value(api).unwrap()));
    routes::compare(router, &document);
    let components = neighbours::components(Path::new(service), &document);
    examples::fill(&mut document, &components);
    examples::check(&document, &components);
    compare(&Path::new(service).join("openapi.json"), document);
}

/// Every operation of a document, with its method and path.
fn operations(document: &mut Value) -> impl Iterator<Item = (String, &mut Value)> {
    let paths = document["paths"].as_object_mut().expect("paths");
    paths.iter_mut().flat_map(|(path, item)| {
        let item = item.as_object_mut().expect("a path item");
        item.iter_mut().map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    })
}

fn compare(file: &Path, mut document: Value) {
    // The order of fields is that of the features that somebody else's dependencies have turned on.
    document.sort_all_objects();
    let fresh = format!("{document:#}\n");
    if std::env::var(WRITE).is_ok_and(|value| value == "1") {
        std::fs::write(file, fresh).unwrap();
        return;
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(fresh == written, "{} is not what the code says: run `make openapi` and commit it", file.display());
}
