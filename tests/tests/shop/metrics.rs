//! What the shop counts of itself, as Prometheus reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench, needs_sqlite};

use crate::{events::is_delivery, support::assert_message};

const SERVICES: [&str; 7] = ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
/// Instances write down what they have counted after the response.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than a row is left alone before it is added to others.
pub(crate) const SETTLED: Duration = Duration::from_secs(11);
pub(crate) const SHOWN: &str = "/api/v1/products/{id}";

/// What one scrape says: the value of each name with its labels.
#[derive(Debug, Clone)]
pub(crate) struct Scrape {
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
    types: BTreeMap<String, String>,
}

impl Scrape {
    /// Reads the text strictly: each family is described once, before its samples, which stand together.
    fn read(text: &str) -> Self {
        let mut scrape = Self { samples: BTreeMap::new(), types: BTreeMap::new() };
        let (mut described, mut family) = (String::new(), String::new());
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                described = help.split_once(' ').unwrap().0.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, described, "{line}");
                assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                family = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.strip_suffix('}').unwrap().split_once('{').unwrap();
                let histogram = scrape.types[&family] == "histogram";
                let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("not of {family}: {line}"));
                assert_eq!(["_bucket", "_sum", "_count"].contains(&suffix), histogram, "{line}");
                let key = (name.to_owned(), labels_of(labels));
                assert!(scrape.samples.insert(key, value.parse().unwrap()).is_none(), "twice: {line}");
            }
        }
        scrape
    }

    /// The sum of a name's samples that have these labels, and others.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| of.get(*label).is_some_and(|of| of == value))
        };
        self.samples.iter().filter(|((of, labels), _)| of == name && fits(labels)).map(|(_, value)| value).sum()
    }

    pub(crate) fn requests(&self, labels: &[(&str, &str)]) -> f64 {
        self.sum("http_requests_total", labels)
    }

    /// The value for each value of a label.
    fn by(&self, name: &str, label: &str) -> BTreeMap<String, i64> {
        let of = self.samples.iter().filter(|((of, _), _)| of == name);
        #[allow(clippy::cast_possible_truncation, reason = "counts")]
        of.map(|((_, labels), value)| (labels[label].clone(), *value as i64)).collect()
    }

    fn values(&self, label: &str) -> BTreeSet<String> {
        self.samples.keys().filter_map(|(_, labels)| labels.get(label).cloned()).collect()
    }
}

/// `a="b",c="d"`, where values have `\\`, `\"` and `\n`.
fn labels_of(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while let Some((label, after)) = rest.split_once("=\"") {
        let (mut value, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next().unwrap().1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(label.trim_start_matches(',').to_owned(), value);
        rest = &after[end + 1..];
    }
    assert_eq!(rest, "", "{text}");
    labels
}

pub(crate) async fn scrape(shop: &Shop) -> Scrape {
    let answer = shop.get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    Scrape::read(&answer.text)
}

/// Waits until so many requests are counted, and sees that it stays at that.
pub(crate) async fn assert_counted(shop: &Shop, labels: &[(&str, &str)], requests: usize) -> Scrape {
    let requests = u32::try_from(requests).map(f64::from).unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = scrape(shop).await;
        let counted = seen.requests(labels);
        assert!(counted <= requests, "{counted} of {requests} {labels:?}");
        if counted >= requests {
            break;
        }
        assert!(Instant::now() < end, "{counted} of {requests} {labels:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Longer than an instance collects: nothing comes later that was counted already.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let seen = scrape(shop).await;
    assert!((seen.requests(labels) - requests).abs() < 0.5, "{labels:?}");
    seen
}

/// Histograms do not fall from bucket to bucket, end in the count, and count what the counter does.
fn assert_histograms(scrape: &Scrape) {
    let mut histograms: BTreeMap<_, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), value) in &scrape.samples {
        if name == "http_request_duration_seconds_bucket" {
            let mut labels = labels.clone();
            let bound = labels.remove("le").unwrap();
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
            histograms.entry(labels).or_default().push((bound, *value));
        }
    }
    assert!(!histograms.is_empty());
    for (labels, mut buckets) in histograms {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{labels:?}: {buckets:?}");
        assert_eq!((buckets.len(), buckets[13].0), (14, f64::INFINITY));
        let labels: Vec<_> = labels.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
        let of = |name: &str| scrape.sum(&format!("http_request_duration_seconds_{name}"), &labels);
        assert!((of("count") - buckets[13].1).abs() < 0.5 && (of("count") - scrape.requests(&labels)).abs() < 0.5);
        assert!(of("sum") > 0.0 && of("sum") < 60.0 * of("count"), "{labels:?}: {}", of("sum"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_are_counted_exactly() {
    const CLIENTS: usize = 16;
    const EACH: usize = 30;
    for reuse in [None, Some(5)] {
        let shop = Shop::start(ShopOptions { max_instance_reuse: reuse, ..ShopOptions::default() }).await;
        let mug = shop.product(5.0, 10).await;
        let clients = (0..CLIENTS).map(async |_| {
            for round in 0..EACH {
                let (path, status) = match round % 3 {
                    0 => (format!("/api/v1/products/{mug}"), 200),
                    1 => ("/api/v1/products/4711".to_owned(), 404),
                    _ => ("/api/v1/products/1/nowhere".to_owned(), 404),
                };
                shop.get(path).await.expect(status);
            }
        });
        join_all(clients).await;
        let third = CLIENTS * EACH / 3;
        let catalog = ("service", "catalog");
        assert_counted(&shop, &[catalog, ("route", SHOWN), ("status", "200")], third).await;
        assert_counted(&shop, &[catalog, ("route", SHOWN), ("status", "404")], third).await;
        // What met no route is written down with what did, and not at all when there is nothing more.
        let seen = scrape(&shop).await;
        let unmatched = seen.requests(&[catalog, ("route", "unmatched"), ("method", "GET")]);
        assert!(unmatched > 0.5 && unmatched < u32::try_from(third).map(f64::from).unwrap() + 0.5, "{unmatched}");
        assert_histograms(&seen);
        for (name, kind) in [
            ("bodega_up", "gauge"),
            ("http_requests_total", "counter"),
            ("http_request_duration_seconds", "histogram"),
            ("bodega_outbox_backlog", "gauge"),
            ("bodega_orders", "gauge"),
            ("bodega_payments", "gauge"),
        ] {
            assert_eq!(seen.types.get(name).map(String::as_str), Some(kind), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_are_routes_and_never_what_clients_make_up() {
    let shop = Shop::start(ShopOptions::default()).await;
    let before = scrape(&shop).await;
    for path in [
        "/api/v1/products/4711",
        "/api/v1/products/secret%22%0a",
        "/api/v1/products/4711/",
        "/api/v1/products/4711/nowhere/secret",
        "/api/v1/products/secret/secret",
        "/api/v1/orders/number/B-2026-4711",
        "/api/v1/orders/4711?secret=secret",
        "/api/v1/categories/secret",
        "/internal/health",
    ] {
        for method in ["GET", "POST", "SECRET", "get"] {
            shop.request(Method::from_bytes(method.as_bytes()).unwrap(), path).await;
        }
    }
    assert_counted(&shop, &[("service", "catalog"), ("method", "other")], 12).await;
    let seen = assert_counted(&shop, &[("service", "orders"), ("method", "other")], 4).await;
    let methods: BTreeSet<_> = seen.values("method");
    assert!(methods.iter().all(|method| ["GET", "POST", "other"].contains(&method.as_str())), "{methods:?}");
    let routes = seen.values("route");
    assert!(routes.contains(SHOWN) && routes.contains("/api/v1/orders/number/{number}"), "{routes:?}");
    assert!(routes.contains("unmatched"), "{routes:?}");
    for route in &routes {
        assert!(!route.contains("secret") && !route.contains("4711"), "{route}");
    }
    assert!((seen.requests(&[("route", SHOWN), ("status", "405")]) - 9.0).abs() < 0.5, "not what the route does");
    // What the clock asks is not counted: a shop that nobody visits has nothing to write down.
    assert!(
        !routes.iter().any(|route| ["/internal/tick", "/internal/health", "/internal/metrics"].contains(&&**route))
    );
    assert_eq!(before.values("service"), SERVICES.map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_between_services_are_counted() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    eventually(PATIENCE, "a delivery is counted", async || {
        let seen = scrape(&shop).await;
        ["inventory", "payments"].iter().all(|service| {
            seen.requests(&[("service", service), ("route", "/internal/events"), ("status", "200")]) >= 1.0
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_answer_is_down_and_the_rest_is_there() {
    needs_bench!("it makes services fail");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    assert_eq!(scrape(&shop).await.by("bodega_up", "service"), SERVICES.map(|name| (name.to_owned(), 1)).into());
    for verdict in [Verdict::Fail("broken".into()), Verdict::Delay(Duration::from_secs(60))] {
        script.rule(move |call| {
            let to_orders = call.detail == "GET http://orders.spin.internal/internal/metrics";
            if to_orders && call.phase == Phase::Before { verdict.clone() } else { Verdict::Proceed }
        });
        let began = Instant::now();
        let seen = scrape(&shop).await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let up = SERVICES.map(|name| (name.to_owned(), i64::from(name != "orders")));
        assert_eq!(seen.by("bodega_up", "service"), up.into());
        assert_eq!(seen.by("bodega_outbox_backlog", "service").len(), 6);
        assert!(seen.by("bodega_orders", "state").is_empty() && !seen.by("bodega_payments", "outcome").is_empty());
    }
}

#[tokio::test]
async fn metrics_can_want_a_token() {
    // As it comes out of a file.
    let variables = BTreeMap::from([("metrics_token".to_owned(), "s3cret\n".to_owned())]);
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await;
    for wrong in ["", "Bearer", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret"] {
        let mut call = shop.get("/metrics");
        if !wrong.is_empty() {
            call = call.header("authorization", wrong);
        }
        let answer = call.await;
        assert_message(&answer, 401, "metrics want their token", wrong);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!answer.text.contains("s3cret"), "{}", answer.text);
    }
    assert_eq!(shop.get("/metrics").bearer("s3cret").await.status, 200);
    shop.get("/health").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undelivered_events_show_how_many_and_how_old_they_are() {
    needs_bench!("it cuts off a component");
    let script = Script::new();
    let options = ShopOptions { order_timeout: Duration::from_secs(86_400), ..ShopOptions::controlled(script.clone()) };
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    shop.settle().await;
    let gauges = async || {
        let seen = scrape(&shop).await;
        let of = |name: &str| seen.sum(&format!("bodega_outbox_{name}"), &[("service", "orders")]);
        [of("backlog"), of("oldest_age_seconds"), of("parked")]
    };
    let close = |a: f64, b: f64| (a - b).abs() < 0.5;
    assert!(gauges().await.iter().all(|gauge| close(*gauge, 0.0)));
    script.rule(|call| match call.phase {
        Phase::Before if is_delivery(call, "inventory") => Verdict::Fail("it is down".into()),
        _ => Verdict::Proceed,
    });
    for _ in 0..2 {
        shop.place(&ann, mug, 1, None).await;
    }
    let left = || shop.query("orders", "SELECT subscriber FROM deliveries");
    let only = async || left() == [[json!("inventory")], [json!("inventory")]];
    eventually(PATIENCE, "the others have theirs", only).await;
    shop.clock.advance(Duration::from_secs(100));
    let [backlog, age, parked] = gauges().await;
    assert!(close(backlog, 2.0) && close(parked, 0.0), "{backlog} {parked}");
    assert!((100.0..160.0).contains(&age), "{age}");

    let attempts = || shop.query("orders", "SELECT attempts, due_at FROM deliveries WHERE parked_at IS NULL");
    while let Some(due) = attempts().iter().map(|copy| copy[1].as_u64().unwrap()).max() {
        let wait = Duration::from_millis(due).saturating_sub(shop.now());
        shop.clock.advance(wait + Duration::from_millis(1));
        shop.tick("orders").await;
    }
    let [backlog, age, parked] = gauges().await;
    assert!(close(backlog, 0.0) && close(age, 0.0) && close(parked, 2.0), "{backlog} {age} {parked}");

    shop.clock.advance(Duration::from_secs(6 * 3600));
    for row in shop.query("orders", "SELECT id FROM deliveries") {
        let replay = format!("/internal/parked/{}/replay", row[0]);
        shop.internal("orders", Method::POST, &replay, None).await.expect(204);
    }
    let [backlog, age, parked] = gauges().await;
    assert!(close(backlog, 2.0) && age < 60.0 && close(parked, 0.0), "in line anew: {backlog} {age} {parked}");
    script.clear();
    shop.settle_over_time().await;
    assert!(gauges().await.iter().all(|gauge| close(*gauge, 0.0)));
}

/// What the tables say, without states that nothing has.
fn counted(shop: &Shop, service: &str) -> BTreeMap<String, i64> {
    let rows = shop.query(service, &format!("SELECT status, count(*) FROM {service} GROUP BY status"));
    rows.into_iter().map(|row| (row[0].as_str().unwrap().to_owned(), row[1].as_i64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_and_payments_are_counted_as_they_are() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 1000).await;
    let none = scrape(&shop).await;
    let states = none.by("bodega_orders", "state");
    assert_eq!((states.len(), states.values().sum::<i64>()), (8, 0), "each state is there before anything has it");
    assert_eq!(none.by("bodega_payments", "outcome").len(), 6);

    let buy = async |number: usize| {
        let token = [Some("tok_visa"), Some("tok_declined"), None][number % 3];
        let pieces = if number % 7 == 6 { 5000 } else { 1 };
        let order = shop.place(&ann, mug, pieces, token).await;
        if number.is_multiple_of(4) {
            // Wherever it is by then.
            _ = shop.cancel(&ann, order).await;
        }
        if number.is_multiple_of(5) {
            let hold = json!({ "orderId": order, "token": "tok_visa", "capture": false });
            _ = shop.post("/api/v1/payments", &hold).by(&ann).await;
        }
    };
    join_all((0..60).map(buy)).await;
    shop.settle().await;
    let seen = scrape(&shop).await;
    let some = |counts: BTreeMap<String, i64>| counts.into_iter().filter(|(_, count)| *count != 0).collect();
    let orders: BTreeMap<String, i64> = some(seen.by("bodega_orders", "state"));
    assert_eq!(orders, counted(&shop, "orders"));
    assert!(orders.len() >= 3 && orders.values().sum::<i64>() == 60, "{orders:?}");
    let payments: BTreeMap<String, i64> = some(seen.by("bodega_payments", "outcome"));
    assert_eq!(payments, counted(&shop, "payments"));
    assert!(payments.len() >= 2, "{payments:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_scans_no_table() {
    needs_bench!("it looks at statements");
    needs_sqlite!("it looks at its plans");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    // Something undelivered, so that there is an oldest.
    script.rule(|call| match call.phase {
        Phase::Before if is_delivery(call, "inventory") => Verdict::Fail("it is down".into()),
        _ => Verdict::Proceed,
    });
    shop.place(&ann, mug, 1, None).await;
    script.record();
    scrape(&shop).await;
    shop.tick_all().await;
    let mut looked_at = BTreeSet::new();
    for seen in script.recorded() {
        let about = ["_counts", "min(since)"];
        let explained = seen.detail.starts_with("SELECT") && about.iter().any(|table| seen.detail.contains(table));
        if seen.interface != "sqlite" || seen.function != "execute" || !explained {
            continue;
        }
        // `$1` becomes 1: only the statement matters, not what its parameters are.
        let plan = shop.query(&seen.component, &format!("EXPLAIN QUERY PLAN {}", seen.detail.replace('$', "")));
        let steps: Vec<_> = plan.iter().map(|row| row[3].as_str().unwrap().to_owned()).collect();
        let slow = |step: &String| step.starts_with("SCAN") && step != "SCAN CONSTANT ROW" || step.contains("B-TREE");
        assert!(!steps.is_empty() && !steps.iter().any(slow), "{}: {steps:?}", seen.detail);
        looked_at.insert(seen.detail);
    }
    assert!(looked_at.len() >= 5, "{looked_at:?}");
}
