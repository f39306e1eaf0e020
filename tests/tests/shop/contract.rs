//! The contract: one OpenAPI document of the whole shop.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use shop_tests::{Shop, ShopOptions};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `GET /a` for each operation of a document.
fn operations(document: &Value) -> BTreeSet<String> {
    let items = document["paths"].as_object().unwrap().iter();
    let of = |(path, item): (&String, &Value)| {
        let methods: Vec<_> = item.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    items.flat_map(of).collect()
}

/// Every `$ref` of a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_document_has_the_operations_of_all_services() {
    let shop = Shop::start(ShopOptions::default()).await;
    let answer = shop.get("/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let document = &answer.body;
    assert_eq!(document["openapi"], "3.1.0");

    let mut written = BTreeSet::new();
    for component in fs::read_dir(root().join("components")).unwrap() {
        if let Ok(text) = fs::read_to_string(component.unwrap().path().join("openapi.json")) {
            written.extend(operations(&serde_json::from_str(&text).unwrap()));
        }
    }
    assert!(written.contains("GET /openapi.json") && written.contains("GET /api/v1/products/{id}"), "{written:?}");
    assert_eq!(operations(document), written);

    let mut refs = BTreeSet::new();
    references(document, &mut refs);
    for reference in refs {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "two operations are called {id}");
    }

    let again = shop.get("/openapi.json").header("if-none-match", answer.header("etag").unwrap()).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
}
