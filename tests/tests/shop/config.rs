//! What services are configured with: files, merged by profile, and what services make of it.

use std::{collections::BTreeSet, time::Duration};

use bodega_host::{HostCall, Phase, Verdict};
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

use crate::support::{assert_problem, assert_told};

fn files(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

async fn open(config: &[(&str, &str)]) -> Shop {
    Shop::start(ShopOptions { config: files(config), ..ShopOptions::default() }).await
}

async fn read(shop: &Shop, path: &str) -> Value {
    shop.get(format!("/api/config/{path}")).by(shop.admin().await).await.expect(200)
}

#[tokio::test]
async fn a_profile_is_served_over_the_default() {
    let shop = open(&[
        ("orders-busy.toml", "rate_limit_max = 900\n[pages]\nsizes = [10]"),
        ("catalog-busy.toml", "name = \"crème\"\n[a.b]\nc = 1.5"),
    ])
    .await;
    let default = read(&shop, "orders/default").await;
    assert_eq!((&default["service"], &default["profile"]), (&json!("orders"), &json!("default")));
    assert_eq!(default["config"]["rate_limit_max"], 120);
    let busy = read(&shop, "orders/busy").await;
    assert_eq!(busy["config"]["rate_limit_max"], 900);
    assert_eq!(busy["config"]["pages"], json!({ "sizes": [10] }));
    assert_eq!(busy["config"]["order_timeout_ms"], default["config"]["order_timeout_ms"]);
    assert_ne!(busy["version"], default["version"]);
    let catalog = read(&shop, "catalog/busy").await;
    assert_eq!((&catalog["config"]["name"], &catalog["config"]["a"]["b"]["c"]), (&json!("crème"), &json!(1.5)));
    // A service without a file for a profile of the shop has its default there.
    let payments = read(&shop, "payments/busy").await;
    assert_eq!(payments["version"], read(&shop, "payments/default").await["version"]);

    let services = read(&shop, "services").await;
    let wanted = ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
    assert_eq!(services, json!({ "services": wanted }));
    let profiles = read(&shop, "orders/profiles").await;
    assert_eq!(profiles, json!({ "service": "orders", "profiles": ["default", "busy", "production"] }));
}

#[tokio::test]
async fn the_version_is_a_strong_etag_and_a_known_one_is_not_sent_again() {
    let shop = open(&[]).await;
    let admin = shop.admin().await;
    let first = shop.get("/api/config/orders/default").by(admin).await;
    let etag = first.header("etag").unwrap().to_owned();
    assert_eq!(etag, format!("\"{}\"", first.body["version"].as_str().unwrap()));
    let again = shop.get("/api/config/orders/default").by(admin).header("if-none-match", &etag).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(etag.as_str()));
    let other = shop.get("/api/config/carts/default").by(admin).header("if-none-match", &etag).await;
    assert_eq!(other.status, 200);
    // Another shop with the same files has the same version, one with others has not.
    let same = open(&[]).await;
    assert_eq!(read(&same, "orders/default").await["version"], first.body["version"]);
    let reordered = "shipping_free_from = 0\nshipping_flat = 0\ntax_percent = 0\norder_timeout_ms = 900_000\n\
         rate_limit_window_ms = 60_000\nrate_limit_max = 120";
    let same = open(&[("orders.toml", reordered)]).await;
    assert_eq!(read(&same, "orders/default").await["version"], first.body["version"]);
}

#[tokio::test]
async fn what_is_no_service_or_profile_is_not_found() {
    let shop = open(&[]).await;
    let admin = shop.admin().await;
    for path in [
        "nobody/default",
        "nobody/profiles",
        "orders/nothing",
        "orders/Default",
        "ORDERS/default",
        "orders/orders.toml",
        "orders.toml/default",
        "orders/%2e%2e%2fcarts",
        "..%2forders/default",
        "%2e%2e%5corders/default",
        "orders/%252e%252e",
        "orders/..%2f..%2fetc%2fpasswd",
    ] {
        let answer = shop.get(format!("/api/config/{path}")).by(admin).await;
        assert_told(&answer, "/api/config", 404, "not-found", path);
    }
    for path in ["orders%00/default", "orders/default%00.toml"] {
        let answer = shop.get(format!("/api/config/{path}")).by(admin).await;
        assert_told(&answer, "/api/config", 400, "malformed", path);
    }
}

#[tokio::test]
async fn a_file_with_a_secret_is_not_served_and_the_answer_says_where_it_stands() {
    let shop = open(&[
        ("orders-leaky.toml", "[database]\npassword = \"horse battery\"\nurl = \"postgres://shop:staple@db/shop\""),
        ("carts-leaky.toml", "limit = \"horse battery"),
    ])
    .await;
    let admin = shop.admin().await;
    for (service, fields) in [("orders", vec!["database.password", "database.url"]), ("carts", vec![""])] {
        let answer = shop.get(format!("/api/config/{service}/leaky")).by(admin).await;
        assert_told(&answer, "/api/config", 500, "misconfigured", service);
        let named: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
        assert_eq!(named, fields, "{}", answer.text);
        assert!(answer.text.contains(&format!("config/{service}-leaky.toml")), "{}", answer.text);
        for value in ["horse", "staple"] {
            assert!(!answer.text.contains(value), "{}", answer.text);
        }
    }
    // Nobody else is concerned.
    assert_eq!(read(&shop, "orders/default").await["config"]["rate_limit_max"], 120);
    assert_eq!(read(&shop, "catalog/leaky").await["config"]["rate_limit_max"], 120);
}

/// A shop in the profile `busy`, where the files say these limits, and the variables these.
async fn busy(variables: &[(&str, &str)], script: Option<std::sync::Arc<Script>>) -> Shop {
    let given = [("profile", "busy"), ("rate_limit_max", ""), ("order_timeout_ms", "")];
    let given = given.iter().chain(variables);
    let mut options = script.map_or_else(ShopOptions::default, ShopOptions::controlled);
    options.variables = given.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    options.config = files(&[
        ("accounts-busy.toml", "rate_limit_max = 100000\nauth_rate_limit_max = 77"),
        ("catalog-busy.toml", "rate_limit_max = 5000"),
        ("orders-busy.toml", "rate_limit_max = 100000\norder_timeout_ms = 5000\ntax_percent = \"20\""),
        ("carts-busy.toml", "order_timeout_ms = 5000"),
    ]);
    Shop::start(options).await
}

async fn limit(shop: &Shop, path: &str) -> i64 {
    let answer = shop.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("x-ratelimit-limit").unwrap().parse().unwrap()
}

#[tokio::test]
async fn services_take_their_limits_from_their_profile() {
    let shop = busy(&[], None).await;
    assert_eq!(limit(&shop, "/api/v1/products").await, 5000);
    let sign_in = shop.post("/api/v1/auth/refresh", &json!({ "refreshToken": "made up" })).await;
    assert_eq!((sign_in.status.as_u16(), sign_in.header("x-ratelimit-limit")), (401, Some("77")));
    assert_eq!(shop.get("/api/v1/auth/me").await.header("x-ratelimit-limit"), Some("100000"));
    let unknown = shop.get("/api/v1/inventory/check?productId=1&quantity=1").await;
    assert_eq!((unknown.status.as_u16(), unknown.header("x-ratelimit-limit")), (404, Some("120")));
    let ann = shop.customer("ann").await;
    let mug = shop.product(10.0, 5).await;
    let order = shop.place(&ann, mug, 1, None).await;
    let order = shop.find_order(order).await;
    assert_eq!((&order["tax"], &order["total"]), (&json!(2.0), &json!(12.0)));
    let time = |name: &str| humantime::parse_rfc3339(order[name].as_str().unwrap()).unwrap();
    assert_eq!(time("expiresAt").duration_since(time("createdAt")).unwrap(), Duration::from_secs(5));
}

#[tokio::test]
async fn a_variable_wins_over_the_files() {
    let shop = busy(&[("rate_limit_max", "77777"), ("tax_percent", "7"), ("order_timeout_ms", "9000")], None).await;
    assert_eq!(limit(&shop, "/api/v1/products").await, 77777);
    let ann = shop.customer("ann").await;
    let mug = shop.product(10.0, 5).await;
    let order = shop.place(&ann, mug, 1, None).await;
    let order = shop.find_order(order).await;
    assert_eq!(order["total"], 10.7);
    let time = |name: &str| humantime::parse_rfc3339(order[name].as_str().unwrap()).unwrap();
    assert_eq!(time("expiresAt").duration_since(time("createdAt")).unwrap(), Duration::from_secs(9));
}

fn asks_config(call: &HostCall<'_>) -> bool {
    call.interface == "http" && call.component != "config" && call.detail.contains("//config.spin.internal/")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_asks_once_when_it_starts() {
    needs_bench!("it looks at calls of components");
    let script = Script::new();
    let shop = busy(&[], Some(script.clone())).await;
    // All that are running by now have asked.
    script.record();
    for _ in 0..300 {
        shop.get("/api/v1/products").await.expect(200);
    }
    let recorded = script.recorded();
    let catalog = recorded.iter().filter(|seen| seen.component == "catalog");
    let instances: BTreeSet<_> = catalog.clone().map(|seen| seen.instance).collect();
    let asked: Vec<_> = catalog.filter(|seen| seen.detail.contains("//config.spin.internal/")).collect();
    let by: BTreeSet<_> = asked.iter().map(|seen| seen.instance).collect();
    assert!(instances.len() >= 3, "an instance serves 128 requests: {instances:?}");
    assert_eq!(asked.len(), by.len(), "each asks once");
    assert!(by.len() >= instances.len() - 1, "all but the one that was there before ask: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_limits_in_variables_it_is_asked_once_whether_there_is_a_broker() {
    needs_bench!("it looks at calls of components");
    let script = Script::new();
    let mut options = ShopOptions::controlled(script.clone());
    options.variables = [("rate_limit_window_ms".to_owned(), "60000".to_owned())].into();
    options.max_instance_reuse = Some(1);
    let shop = Shop::start(options).await;
    script.record();
    shop.get("/api/v1/products").await.expect(200);
    let asked: Vec<_> = script.recorded().into_iter().filter(|seen| seen.detail.contains("//config")).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
}

/// A shop whose every request meets a new instance, and config does as the script says.
async fn starting(script: &std::sync::Arc<Script>) -> Shop {
    let options = ShopOptions { max_instance_reuse: Some(1), ..ShopOptions::controlled(script.clone()) };
    Shop::start(options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_does_not_run_with_limits_that_it_does_not_know() {
    needs_bench!("it cuts off a component");
    let script = Script::new();
    let shop = starting(&script).await;
    script.rule(|call| match call.phase {
        Phase::Before if asks_config(call) => Verdict::Fail("it is down".into()),
        _ => Verdict::Proceed,
    });
    let refused = shop.get("/api/v1/products").await;
    assert_problem(&refused, 503, "unavailable", "without config");
    assert_eq!(refused.header("retry-after"), Some("1"));
    script.clear();
    eventually(Duration::from_secs(10), "it is there again", async || shop.get("/api/v1/products").await.status == 200)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_config_holds_up_nobody_for_long() {
    needs_bench!("it delays a component");
    let script = Script::new();
    let options = ShopOptions::controlled(script.clone());
    let shop = Shop::start(options).await;
    script.rule(|call| match call.phase {
        Phase::Before if asks_config(call) && call.component == "catalog" => Verdict::Delay(Duration::from_secs(30)),
        // Whatever runs now ends, so that the next request meets a new instance.
        Phase::Before if call.component == "catalog" && call.detail.contains("FROM products") => Verdict::Kill,
        _ => Verdict::Proceed,
    });
    eventually(Duration::from_secs(30), "only instances are left that have not started", async || {
        shop.get("/api/v1/products/1").await.status == 503
    })
    .await;
    // One that has just asked in vain does not ask again at once.
    shop.clock.advance(Duration::from_secs(2));
    let start = std::time::Instant::now();
    let answers = join_all((0..16).map(|_| shop.get("/api/v1/products/1").send())).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    for answer in answers {
        assert_eq!(answer.unwrap().status, 503);
    }
    script.clear();
    eventually(Duration::from_secs(10), "it is there again", async || {
        shop.get("/api/v1/products/1").await.status == 404
    })
    .await;
}
