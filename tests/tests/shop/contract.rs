//! The contract: one valid OpenAPI document of the whole shop, and a shop that answers as it says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions};

/// What `scripts/schemathesis` exits with when it cannot be installed.
const CANNOT: i32 = 77;

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

/// Some of everything, under the ids that the examples of the document have: the first ones.
async fn stock(shop: &Shop, user: &Customer, supplier: &Customer) {
    let admin = shop.admin().await;
    shop.post("/api/v1/categories", &json!({"name": "Kitchen"})).by(admin).await.expect(201);
    for number in 0..3 {
        let product =
            json!({"name": "Mug", "description": "", "price": 12.5, "stock": 100, "sku": format!("MUG-{number}")});
        shop.post("/api/v1/products", &product).by(supplier).await.expect(201);
    }
    let discount = json!({"code": "SPRING-10", "kind": "percentage", "value": 10});
    shop.post("/api/v1/discounts", &discount).by(admin).await.expect(201);
    let address =
        json!({"name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US"});
    shop.post("/api/v1/users/me/addresses", &address).by(user).await.expect(201);
    shop.post("/api/v1/users/me/payment-methods", &json!({"token": "tok_visa"})).by(user).await.expect(201);
    shop.settle().await;
    for _ in 0..2 {
        let order = json!({"items": [{"productId": 1, "quantity": 1}], "payment": {"token": "tok_visa"}});
        shop.post("/api/v1/orders", &order).by(user).await.expect(201);
    }
    shop.settle().await;
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_answers_as_its_contract_says() {
    let shop = Shop::start(ShopOptions { tick_interval: Some(Duration::from_secs(1)), ..ShopOptions::default() }).await;
    let (user, supplier) = (shop.customer("user").await, shop.seller("supplier").await);
    stock(&shop, &user, &supplier).await;
    let mut script = Command::new(root().join("scripts/schemathesis"));
    script.arg(shop.url());
    for (name, customer) in [("USER", &user), ("SUPPLIER", &supplier), ("ADMIN", shop.admin().await)] {
        script.env(format!("{name}_TOKEN"), shop.access_token(customer).await);
    }
    let run = tokio::task::spawn_blocking(move || script.output().unwrap());
    // Longer than it asks: the first time it is installed.
    let output = tokio::time::timeout(Duration::from_secs(600), run).await.unwrap().unwrap();
    if output.status.code() == Some(CANNOT) {
        shop_tests::note(&format!("SKIPPED the_shop_answers_as_its_contract_says: {}", told(&output)));
        return;
    }
    assert!(output.status.success(), "{}", told(&output));
}
