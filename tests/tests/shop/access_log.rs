//! What is written down of a request: a line of JSON, and the trace that it belongs to.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Shop, eventually, needs_bench};

use crate::edge::{LOGIN, PAGE, PRODUCTS, options, preflight};

/// The lines of the access log, of requests with this id.
async fn lines(shop: &Shop, count: usize, of: impl Fn(&Value) -> bool) -> Vec<Value> {
    let read = || -> Vec<Value> {
        let lines = shop.output().into_iter().filter_map(|line| serde_json::from_str(&line).ok());
        lines.filter(|line| of(line)).collect()
    };
    eventually(Duration::from_secs(20), "the lines are written", async || read().len() >= count).await;
    read()
}

#[tokio::test]
async fn each_request_is_a_line_of_json_without_secrets() {
    let shop = Shop::start(options(&[("trusted_proxies", "127.0.0.1")])).await;
    let ann = shop.customer("ann").await;
    let token = shop.access_token(&ann).await;
    let answers = [
        shop.get("/api/v1/products?q=ann@example.com").header("x-request-id", "r-1").await,
        shop.get("/api/v1/users/me?token=s3cret").by(&ann).header("x-request-id", "r-2").await,
        shop.post(LOGIN, &json!({ "email": "bob@example.com", "password": "b0b's own" }))
            .header("x-request-id", "r-3")
            .await,
        shop.get("/nowhere").header("x-request-id", "r-4").header("x-forwarded-for", "192.0.2.1").await,
        preflight(&shop, LOGIN, PAGE).header("x-request-id", "r-5").await,
        shop.request(Method::DELETE, "/api/v1/products/%ff").header("x-request-id", "r-6").await,
    ];
    let shown = lines(&shop, 6, |line| line["requestId"].as_str().is_some_and(|id| id.starts_with("r-"))).await;
    let expected = [
        ("r-1", "catalog", "GET", "/api/v1/products", 200),
        ("r-2", "accounts", "GET", "/api/v1/users/me", 200),
        ("r-3", "accounts", "POST", LOGIN, 401),
        ("r-4", "gateway", "GET", "/nowhere", 404),
        ("r-5", "accounts", "OPTIONS", LOGIN, 204),
        ("r-6", "catalog", "DELETE", "/api/v1/products/%ff", 400),
    ];
    assert_eq!(shown.len(), expected.len(), "one each, and none for calls between components: {shown:?}");
    for ((id, service, method, path, status), answer) in expected.into_iter().zip(&answers) {
        let line = shown.iter().find(|line| line["requestId"] == id).unwrap();
        let told = (&line["service"], &line["method"], &line["path"], &line["status"]);
        assert_eq!(told, (&json!(service), &json!(method), &json!(path), &json!(status)), "{line}");
        assert_eq!(answer.header("x-request-id"), Some(id));
        assert_eq!(line["bytes"], answer.text.len(), "{line}");
        assert!(line["durationMs"].as_f64().is_some_and(|time| (0.0..60_000.0).contains(&time)), "{line}");
        assert_eq!(line["traceparent"].as_str().map(str::len), Some(55), "{line}");
        assert_eq!(line["client"], if id == "r-4" { "192.0.2.1" } else { "127.0.0.1" });
        let time = humantime::parse_rfc3339(line["time"].as_str().unwrap()).unwrap();
        let age = shop.now().saturating_sub(time.duration_since(std::time::UNIX_EPOCH).unwrap());
        assert!(age < Duration::from_secs(60), "{line}");
    }
    let everything = shop.output().join("\n");
    for secret in ["ann@example.com", "bob@example.com", "b0b's own", "s3cret", ann.password.as_str(), token.as_str()] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn the_access_log_can_be_switched_off() {
    let shop = Shop::start(options(&[("access_log", "off")])).await;
    shop.get(PRODUCTS).await.expect(200);
    shop.post(LOGIN, &json!({})).await.expect(422);
    assert_eq!(shop.output(), Vec::<String>::new());
}

/// The parts of a `traceparent`: of the trace, and of the span.
fn parts(traceparent: &Value) -> (String, String) {
    let parts: Vec<_> = traceparent.as_str().unwrap_or_else(|| panic!("{traceparent}")).split('-').collect();
    assert_eq!((parts.len(), parts[0], parts[3]), (4, "00", "01"), "{traceparent}");
    (parts[1].to_owned(), parts[2].to_owned())
}

#[tokio::test]
async fn all_that_follows_from_a_request_belongs_to_its_trace_each_as_a_span_of_its_own() {
    needs_bench!("nothing else may happen meanwhile");
    let shop = Shop::start(options(&[("access_log", "all")])).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(1.0, 5).await;
    shop.settle().await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let buy = shop.order(&ann, mug, 1, Some("tok_visa")).header("traceparent", &format!("00-{trace}-{span}-01"));
    let order = buy.header("x-request-id", "order-1").await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(order, "paid").await;
    shop.settle().await;

    let mut spans = vec![span.to_owned()];
    let mut events = BTreeMap::new();
    for service in ["orders", "inventory", "payments", "catalog", "carts", "accounts"] {
        for row in shop.query(service, "SELECT envelope FROM outbox ORDER BY id") {
            let event: Value = serde_json::from_str(row[0].as_str().unwrap()).unwrap();
            let (of, own) = parts(&event["traceparent"]);
            let about = event["data"]["orderId"] == order || event["eventType"].as_str().unwrap().starts_with("STOCK");
            if about && of == trace {
                spans.push(own);
                *events.entry(event["eventType"].as_str().unwrap().to_owned()).or_insert(0) += 1;
            }
            assert!(event["data"]["orderId"] != order || of == trace, "{event}");
        }
    }
    for kind in ["ORDER_PLACED", "INVENTORY_RESERVED", "ORDER_RESERVED", "PAYMENT_SUCCEEDED", "ORDER_PAID"] {
        assert_eq!(events.get(kind), Some(&1), "{events:?}");
    }

    let known = |line: &Value| line["traceparent"].as_str().is_some_and(|trace_of| trace_of.contains(trace));
    let lines = lines(&shop, 6, known).await;
    let mut calls = BTreeSet::new();
    for line in &lines {
        spans.push(parts(&line["traceparent"]).1);
        calls.insert((line["service"].as_str().unwrap(), line["path"].as_str().unwrap().split("/1").next().unwrap()));
    }
    for call in [
        ("orders", "/api/v1/orders"),
        ("catalog", "/internal/products"),
        ("orders", "/internal/events"),
        ("inventory", "/internal/events"),
        ("payments", "/internal/events"),
    ] {
        assert!(calls.contains(&call), "{call:?} is not among {calls:?}");
    }
    let asked = lines.iter().find(|line| line["path"] == "/internal/products").unwrap();
    assert_eq!(
        (&asked["requestId"], &asked["internal"]),
        (&json!("order-1"), &json!(true)),
        "its name goes on with it"
    );
    let distinct: BTreeSet<_> = spans.iter().collect();
    assert_eq!(distinct.len(), spans.len(), "each is a span of its own: {spans:?}");
}
