//! What holds for every request, whichever service answers it.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{IpAddr, TcpStream},
    time::Duration,
};

use bodega_host::Verdict;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Script, Shop, ShopOptions, is_database, needs_bench, on_spin};

use crate::support::assert_told;

const SECURITY: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "geolocation=(), microphone=(), camera=()"),
    ("cross-origin-resource-policy", "same-site"),
];
const LIMITS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
const LOGIN: &str = "/api/v1/auth/login";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

#[tokio::test]
async fn every_answer_is_json_with_the_headers_that_all_have() {
    let shop = open().await;
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let json = Some("application/json");
    for (method, path, content_type, body, status, code) in [
        (&get, "/health", None, "", 200, ""),
        (&get, "/api/v1/products", None, "", 200, ""),
        (&get, "/api/v1/inventory/check?productId=1&quantity=1", None, "", 404, "not-found"),
        (&get, "/api/v1/orders", None, "", 401, "unauthenticated"),
        (&get, "/api/v1/products?limit=x", None, "", 400, "malformed"),
        (&get, "/api/v1/products?limit=0", None, "", 422, "invalid"),
        (&get, "/", None, "", 200, ""),
        (&get, "/nowhere", None, "", 404, "not-found"),
        (&post, "/api/v1", json, "{}", 404, "not-found"),
        (&get, "/api/v1/nowhere", None, "", 404, "not-found"),
        (&get, "/api/v2/products", None, "", 404, "not-found"),
        (&get, "/API/v1/products", None, "", 404, "not-found"),
        (&get, "/api/v1/productsandmore", None, "", 404, "not-found"),
        (&get, "/api/v1/products/1/nowhere", None, "", 404, "not-found"),
        (&get, "/api/v1/auth", None, "", 404, "not-found"),
        (&get, "/api/v1/orders/1/nowhere", None, "", 404, "not-found"),
        (&get, "/api/v1/payments/a/b/c", None, "", 404, "not-found"),
        (&delete, "/api/v1/products", None, "", 405, "method-not-allowed"),
        (&get, LOGIN, None, "", 405, "method-not-allowed"),
        (&Method::PATCH, "/api/v1/orders/1", json, "{}", 405, "method-not-allowed"),
        (&delete, "/health", None, "", 405, "method-not-allowed"),
        (&post, LOGIN, None, "{}", 415, "unsupported-media-type"),
        (&post, LOGIN, Some("text/plain"), "{}", 415, "unsupported-media-type"),
        (&post, LOGIN, Some("application/x-www-form-urlencoded"), "email=a", 415, "unsupported-media-type"),
        (&post, LOGIN, Some("application/jsonp"), "{}", 415, "unsupported-media-type"),
        (&post, LOGIN, json, "", 400, "malformed"),
        (&post, LOGIN, json, "{", 400, "malformed"),
        (&post, LOGIN, json, r#"{"email": "a", "password": "b"} {}"#, 400, "malformed"),
        (&post, LOGIN, json, "{'email': 1}", 400, "malformed"),
        (&post, LOGIN, json, "\u{feff}{}", 400, "malformed"),
        (&post, LOGIN, json, "null", 422, "invalid"),
        (&post, LOGIN, json, "\"{}\"", 422, "invalid"),
        (&post, LOGIN, Some("Application/JSON; charset=utf-8"), "{}", 422, "invalid"),
        (&post, LOGIN, Some("application/vnd.shop+json"), "{}", 422, "invalid"),
        (&post, LOGIN, json, &" ".repeat(65 * 1024), 413, "too-large"),
        (&post, LOGIN, json, &format!("{}{{}}", " ".repeat(64 * 1024 - 2)), 422, "invalid"),
    ] {
        let what = format!("{method} {path} {}", &body[..body.len().min(20)]);
        let mut call = shop.request(method.clone(), path).bytes(body);
        if let Some(content_type) = content_type {
            call = call.header("content-type", content_type);
        }
        let answer = call.await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        for (name, value) in SECURITY {
            assert_eq!(answer.header(name), Some(value), "{what}");
        }
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "{what}");
        for name in LIMITS {
            assert!(answer.header(name).is_some_and(|value| value.parse::<u64>().is_ok()), "{what}: {name}");
        }
        if status == 200 {
            assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
            continue;
        }
        assert_told(&answer, path, status, code, &what);
        assert_eq!(answer.header("allow").is_some(), status == 405, "{what}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{what}");
    }
    let invalid_utf8 = shop.request(Method::POST, LOGIN).header("content-type", "application/json");
    assert_eq!(invalid_utf8.bytes(b"{\"email\": \"\xff\"}".to_vec()).await.status, 400);
    let head = shop.request(Method::HEAD, "/api/v1/products").await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn a_path_with_a_slash_at_its_end_is_the_same_path() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(1.0, 5).await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    for path in ["/health", "/api/v1/products", &format!("/api/v1/products/{mug}"), &format!("/api/v1/orders/{order}")]
    {
        let plain = shop.get(path).by(&ann).await.expect(200);
        for slashes in ["/", "//", "/?", "/?limit=20"] {
            assert_eq!(shop.get(format!("{path}{slashes}")).by(&ann).await.expect(200), plain, "{path}{slashes}");
        }
    }
    let one = shop.get("/api/v1/products/?limit=0").await;
    assert_eq!(one.status, 422, "the query goes with it");
    let body = json!({ "email": ann.email, "password": ann.password });
    shop.post(format!("{LOGIN}/"), &body).await.expect(200);
}

#[tokio::test]
async fn every_request_has_a_name() {
    let shop = open().await;
    let name = async |sent: Option<&str>| {
        let call = shop.get("/api/v1/products");
        let answer = match sent {
            Some(sent) => call.header("x-request-id", sent).await,
            None => call.await,
        };
        answer.header("x-request-id").unwrap().to_owned()
    };
    for kept in ["a", "order-17/retry:3", &"x".repeat(128)] {
        assert_eq!(name(Some(kept)).await, kept);
    }
    let mut made = BTreeSet::new();
    for sent in [None, None, Some(""), Some("two words"), Some("tab\tbed"), Some(&"x".repeat(129))] {
        let name = name(sent).await;
        assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        made.insert(name);
    }
    assert_eq!(made.len(), 6, "none is used twice");
}

#[tokio::test]
async fn a_trace_goes_on_through_services_and_events() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(1.0, 5).await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let sent = format!("00-{id}-00f067aa0ba902b7-01");
    let buy = |trace: &str| shop.order(&ann, mug, 1, Some("tok_visa")).header("traceparent", trace);
    let order = buy(&sent).await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    let traces = |order: i64| {
        let mut traces = Vec::new();
        for service in ["orders", "inventory", "payments"] {
            for row in shop.query(service, "SELECT envelope FROM outbox ORDER BY id") {
                let event: Value = serde_json::from_str(row[0].as_str().unwrap()).unwrap();
                if event["data"]["orderId"] == order {
                    let kind = event["eventType"].as_str().unwrap().to_owned();
                    traces.push((kind, event["traceparent"].as_str().unwrap().to_owned()));
                }
            }
        }
        traces
    };
    let kinds: Vec<_> = traces(order).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["ORDER_PLACED", "ORDER_RESERVED", "ORDER_PAID", "INVENTORY_RESERVED", "PAYMENT_SUCCEEDED"]);
    for (kind, trace) in traces(order) {
        let parts: Vec<_> = trace.split('-').collect();
        assert_eq!((parts.len(), parts[0], parts[1]), (4, "00", id), "{kind}: {trace}");
        assert_ne!(parts[2], "00f067aa0ba902b7", "{kind}: this request is the parent now");
    }
    for broken in ["", "00-xyz-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
        let order = buy(broken).await.expect(201)["id"].as_i64().unwrap();
        let (_, trace) = traces(order).remove(0);
        let id = trace.split('-').nth(1).unwrap();
        assert!(id.len() == 32 && id.bytes().any(|byte| byte != b'0'), "{broken:?}: {trace}");
    }
    shop.settle().await;
}

/// What the shop answers to these bytes: for requests that no decent client would send.
async fn raw(shop: &Shop, request: String) -> String {
    let address = shop.url().trim_start_matches("http://").to_owned();
    let exchange = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::task::spawn_blocking(exchange).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_outside_gets_inside() {
    let shop = open().await;
    let inside = [
        ("accounts", Method::GET, "/internal/keys"),
        ("orders", Method::GET, "/internal/orders/1"),
        ("catalog", Method::GET, "/internal/products?ids=1"),
        ("payments", Method::GET, "/internal/parked"),
        ("inventory", Method::GET, "/internal/health"),
        ("orders", Method::POST, "/internal/tick"),
        ("inventory", Method::POST, "/internal/events"),
        ("passwords", Method::POST, "/internal/hash"),
        ("carts", Method::POST, "/internal/discounts/redeem"),
    ];
    let disguises = [
        "",
        "spin-client-addr: 0.0.0.0:0\r\n",
        "Spin-Client-Addr: 0.0.0.0:0\r\nSpin-Client-Addr: 0.0.0.0:0\r\n",
        "x-forwarded-for: 0.0.0.0\r\nforwarded: for=0.0.0.0\r\n",
        "spin-full-url: http://orders.spin.internal/\r\n",
    ];
    let mut tried = 0;
    for (service, method, path) in &inside {
        if !on_spin() && *method == Method::GET && !path.ends_with("/1") {
            let known = shop.internal(service, method.clone(), path, None).await;
            assert_eq!(known.status, 200, "there is something to be kept from the outside: {path}");
        }
        let targets = [
            (*path).to_owned(),
            format!("http://{service}.spin.internal{path}"),
            format!("/api/v1/auth/../../..{path}"),
            format!("/api/v1/orders/%2e%2e/%2e%2e/%2e%2e{path}"),
            format!("/api/v1/products/..%2f..%2f..{path}"),
            format!("//{}", &path[1..]),
            format!("/.{path}"),
            format!("/api/v1/payments{path}"),
            path.replace("internal", "%69nternal"),
            path.replace("internal", "INTERNAL"),
            path.replace("internal/", "internal//"),
        ];
        for (target, disguise) in targets.iter().flat_map(|target| disguises.map(|disguise| (target, disguise))) {
            for host in [shop.url().replace("http://", ""), format!("{service}.spin.internal")] {
                let request = format!(
                    "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{disguise}Connection: close\r\n\
                     Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
                );
                let answer = raw(&shop, request.clone()).await;
                // A host may refuse to know the names that only components have for each other.
                let refused = ["HTTP/1.1 404 ", "HTTP/1.1 400 "].iter().any(|status| answer.starts_with(status));
                assert!(refused && !answer.contains("secret"), "{request}\n{answer}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, inside.len() * 11 * disguises.len() * 2);
}

/// What the three headers say: limit, remaining, reset.
fn limits(answer: &Answer) -> [u64; 3] {
    LIMITS.map(|name| answer.header(name).unwrap_or_else(|| panic!("{name}: {:?}", answer.headers)).parse().unwrap())
}

const HOUR: u64 = 60 * 60;

async fn open_with_ten_an_hour() -> Shop {
    let variables = [("rate_limit_max", 10), ("auth_rate_limit_max", 10), ("rate_limit_window_ms", HOUR * 1000)];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_string())).into();
    Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await
}

/// Goes to the beginning of the next hour, and says when that ends, in Unix seconds.
fn next_window(shop: &Shop) -> u64 {
    shop.clock.advance(Duration::from_secs(HOUR - shop.now().as_secs() % HOUR));
    (shop.now().as_secs() / HOUR + 1) * HOUR
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_as_many_requests_as_the_window_has() {
    needs_bench!("it moves the clock");
    let shop = open_with_ten_an_hour().await;
    let refused = |answer: &Answer, end: u64| {
        assert_eq!(answer.body["code"], "too-many-requests", "{}", answer.text);
        assert_eq!(limits(answer), [10, 0, end]);
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((end - shop.now().as_secs()..=HOUR).contains(&after), "{after} seconds to {end}");
        assert!(SECURITY.iter().all(|(name, value)| answer.header(name) == Some(value)));
    };
    for _ in 0..2 {
        let end = next_window(&shop);
        for left in (0..10).rev() {
            let answer = shop.get("/api/v1/products").await;
            assert_eq!((answer.status.as_u16(), limits(&answer)), (200, [10, left, end]));
        }
        for forged in ["", "10.0.0.1", "0.0.0.0:0"] {
            let mut call = shop.get("/api/v1/products");
            for name in ["x-forwarded-for", "x-real-ip", "spin-client-addr"] {
                call = call.header(name, forged);
            }
            let answer = call.await;
            assert_eq!(answer.status, 429);
            refused(&answer, end);
        }
        let elsewhere = shop_tests::client().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
        let answer = elsewhere.get(format!("{}/api/v1/products", shop.url())).send().await.unwrap();
        assert_eq!(answer.status(), 200, "another client has its own");

        // What is refused for another reason counts, too, and a crowd gets no more than a queue.
        let crowd = (0..60).map(|_| shop.get("/api/v1/orders").into_future());
        let (served, late): (Vec<_>, Vec<_>) =
            join_all(crowd).await.into_iter().partition(|answer| answer.status == 401);
        assert_eq!((served.len(), late.len()), (10, 50));
        late.iter().for_each(|answer| refused(answer, end));
        shop.get("/health").await.expect(200);
    }
}

#[tokio::test]
async fn the_services_do_not_limit_each_other() {
    needs_bench!("it moves the clock");
    let shop = open_with_ten_an_hour().await;
    next_window(&shop);
    let ann = shop.customer("ann").await;
    let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": 5 });
    let mug = shop.post("/api/v1/products", &body).by(shop.admin().await).await.expect(201)["id"].as_i64().unwrap();
    shop.settle().await;
    let used_up = join_all((0..12).map(|_| shop.get("/api/v1/products").into_future())).await;
    assert!(used_up.iter().any(|answer| answer.status == 429));
    for _ in 0..5 {
        shop.order(&ann, mug, 1, Some("tok_visa")).await.expect(201);
    }
    shop.settle().await;
    assert_eq!(shop.query("orders", "SELECT DISTINCT status FROM orders"), [[json!("paid")]]);
    shop.audit();
}

#[tokio::test]
async fn the_shop_is_up_when_all_its_services_are() {
    needs_bench!("it makes services fail");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let services = ["accounts", "carts", "catalog", "config", "inventory", "notifications", "orders", "payments"];
    let health = |down: &str| {
        let states = services.map(|name| (name.to_owned(), json!(if name == down { "down" } else { "up" })));
        let states: serde_json::Map<_, _> = states.into_iter().collect();
        json!({ "status": if down.is_empty() { "up" } else { "down" }, "services": states })
    };
    let up = shop.get("/health").await;
    assert_eq!(up.header("cache-control"), Some("no-store"));
    assert_eq!(up.expect(200), health(""));
    for service in services {
        for interface in ["http", "database"] {
            if (service, interface) == ("config", "database") {
                // It has files, and no database.
                continue;
            }
            script.rule(move |call| {
                let broken = match interface {
                    // Only the gateway's: services ask config, too.
                    "http" => {
                        call.component == "gateway" && call.detail.contains(&format!("//{service}.spin.internal"))
                    }
                    _ => call.component == service && is_database(call.interface),
                };
                if broken { Verdict::Fail("broken".into()) } else { Verdict::Proceed }
            });
            // It tells for a second what it has heard.
            shop.clock.advance(Duration::from_secs(1));
            let answer = shop.get("/health").await;
            assert_eq!(answer.status, 503, "{interface} of {service}: {}", answer.text);
            assert_eq!(answer.body, health(service), "{interface}");
            script.clear();
            shop.clock.advance(Duration::from_secs(1));
            assert_eq!(shop.get("/health").await.expect(200), health(""), "{interface} of {service} is back");
        }
    }
}
