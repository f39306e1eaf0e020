//! The way in: who may read answers, and who is counted as whom.

use std::{
    collections::BTreeSet,
    future::IntoFuture,
    net::IpAddr,
    time::{Duration, Instant},
};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use shop_tests::{Answer, Call, Script, Shop, ShopOptions, eventually, is_database, needs_bench};

use crate::support::assert_problem;

pub(crate) const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
pub(crate) const PRODUCTS: &str = "/api/v1/products";
pub(crate) const PAGE: &str = "https://shop.example";
const HOUR: u64 = 60 * 60;

pub(crate) fn options(variables: &[(&str, &str)]) -> ShopOptions {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ShopOptions { variables: variables.collect(), ..ShopOptions::default() }
}

/// With limits by the hour, at the beginning of one. The first are those of the variables, the last ones of the test.
async fn limited(variables: &[(&str, &str)]) -> Shop {
    let window = (HOUR * 1000).to_string();
    let mut all = vec![("rate_limit_window_ms", window.as_str())];
    all.extend(variables);
    let shop = Shop::start(options(&all)).await;
    shop.clock.advance(Duration::from_secs(HOUR - shop.now().as_secs() % HOUR));
    shop
}

/// What the three headers say: limit, remaining, reset.
fn limits(answer: &Answer) -> [u64; 3] {
    ["limit", "remaining", "reset"].map(|name| {
        let value = answer.header(&format!("x-ratelimit-{name}"));
        value.unwrap_or_else(|| panic!("{name}: {:?}", answer.headers)).parse().unwrap()
    })
}

fn list(answer: &Answer, name: &str) -> BTreeSet<String> {
    let text = answer.header(name).unwrap_or_else(|| panic!("{name}: {:?}", answer.headers));
    text.split(',').map(|part| part.trim().to_ascii_lowercase()).collect()
}

pub(crate) fn preflight<'a>(shop: &'a Shop, path: &str, origin: &str) -> Call<'a> {
    let call = shop.request(Method::OPTIONS, path).header("origin", origin);
    call.header("access-control-request-method", "PUT").header("access-control-request-headers", "authorization")
}

/// Whether a page of this origin may read the answer.
fn readable(answer: &Answer, origin: &str) -> bool {
    let allowed = answer.header("access-control-allow-origin");
    let exposed = answer.header("access-control-expose-headers");
    assert_eq!(allowed.is_some(), exposed.is_some(), "{:?}", answer.headers);
    assert_eq!(answer.header("access-control-allow-credentials"), None, "there are no cookies");
    allowed == Some("*") || allowed == Some(origin)
}

#[tokio::test]
async fn preflights_are_answered_for_pages_of_the_shop_and_not_for_others() {
    let shop = Shop::start(options(&[("cors_origins", "https://shop.example, http://localhost:5173")])).await;
    let paths =
        ["/", "/health", "/nowhere", PRODUCTS, LOGIN, "/api/v1/orders/1", "/api/v1/carts/me/", "/api/v1/payments"];
    for path in paths {
        for origin in [PAGE, "http://localhost:5173"] {
            let answer = preflight(&shop, path, origin).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{path}");
            assert!(list(&answer, "vary").contains("origin"), "{path}");
            assert_eq!(answer.header("access-control-max-age"), Some("7200"));
            let methods = list(&answer, "access-control-allow-methods");
            assert!(["get", "post", "put", "patch", "delete"].iter().all(|method| methods.contains(*method)));
            let headers = list(&answer, "access-control-allow-headers");
            let sent =
                ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-cart-token"];
            assert!(sent.iter().all(|name| headers.contains(*name)), "{headers:?}");
            assert_eq!(answer.header("x-ratelimit-limit"), None, "it is not counted");
        }
        for stranger in ["https://evil.example", "http://shop.example", "https://shop.example.evil.example", "null"] {
            let answer = preflight(&shop, path, stranger).await;
            assert_eq!(answer.status, 204, "{path}");
            let told: Vec<_> =
                answer.headers.keys().filter(|name| name.as_str().starts_with("access-control")).collect();
            assert_eq!(told, Vec::<&reqwest::header::HeaderName>::new(), "{path} {stranger}");
        }
    }
    let plain = shop.request(Method::OPTIONS, PRODUCTS).header("origin", PAGE).await;
    assert_eq!(plain.status, 405, "a question that is no preflight is a request as any other");
}

#[tokio::test]
async fn whatever_the_answer_a_page_of_the_shop_can_read_it() {
    needs_bench!("it makes services fail");
    let script = Script::new();
    let window = (HOUR * 1000).to_string();
    // Four of the requests below count as signing in, and each is sent three times.
    let limits = [("cors_origins", PAGE), ("auth_rate_limit_max", "12"), ("rate_limit_window_ms", window.as_str())];
    let mut options = options(&limits);
    options.control = Some(script.clone());
    let shop = Shop::start(options).await;
    shop.clock.advance(Duration::from_secs(HOUR - shop.now().as_secs() % HOUR));
    let long = " ".repeat(70_000);
    let broken = ["/health", "/api/v1/inventory/check?productId=1&quantity=1"];
    let calls = || {
        vec![
            (200, shop.get(PRODUCTS)),
            (200, shop.get("/health")),
            (404, shop.get("/nowhere")),
            (404, shop.get("/api/v1/products/77")),
            (400, shop.get("/api/v1/products?limit=x")),
            (401, shop.get("/api/v1/orders")),
            (405, shop.delete(PRODUCTS)),
            (415, shop.request(Method::POST, LOGIN).header("content-type", "text/plain").bytes("x")),
            (413, shop.request(Method::POST, LOGIN).header("content-type", "application/json").bytes(long.as_str())),
            (422, shop.post(LOGIN, &json!({}))),
            (401, shop.post(REFRESH, &json!({ "refreshToken": "made up" }))),
            (429, shop.post(LOGIN, &json!({}))),
        ]
    };
    for (status, call) in calls() {
        let answer = call.clone().header("origin", PAGE).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(readable(&answer, PAGE), "{status}: {:?}", answer.headers);
        let exposed = list(&answer, "access-control-expose-headers");
        let own =
            ["etag", "location", "x-request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
        for name in own.iter().chain(&["retry-after", "www-authenticate", "idempotent-replayed"]) {
            assert!(exposed.contains(*name), "{name}");
        }
        let stranger = call.clone().header("origin", "https://evil.example").await;
        assert!(!readable(&stranger, "https://evil.example"), "{status}");
        assert!(list(&stranger, "vary").contains("origin") && list(&call.await, "vary").contains("origin"));
    }
    script.rule(|call| if is_database(call.interface) { Verdict::Fail("broken".into()) } else { Verdict::Proceed });
    // What was well is said to be so for a second.
    shop.clock.advance(Duration::from_secs(1));
    for path in broken {
        let answer = shop.get(path).header("origin", PAGE).await;
        assert!(answer.status.is_server_error(), "{}", answer.text);
        assert!(readable(&answer, PAGE), "{path}");
    }
    script.clear();
}

#[tokio::test]
async fn without_a_list_all_pages_may_read_and_with_none_nobody() {
    let shop = Shop::start(ShopOptions::default()).await;
    assert!(readable(&shop.get(PRODUCTS).header("origin", "https://any.example").await, "https://any.example"));
    assert_eq!(preflight(&shop, PRODUCTS, "null").await.header("access-control-allow-origin"), Some("*"));
    assert_eq!(shop.get(PRODUCTS).await.header("access-control-allow-origin"), None);
    let shop = Shop::start(options(&[("cors_origins", "")])).await;
    let answer = shop.get(PRODUCTS).header("origin", PAGE).await;
    assert!(!readable(&answer, PAGE) && answer.header("vary").is_none());
    assert_eq!(preflight(&shop, PRODUCTS, PAGE).await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn signing_in_has_a_limit_of_its_own() {
    needs_bench!("it moves the clock");
    let shop = limited(&[("rate_limit_max", "1000"), ("auth_rate_limit_max", "7")]).await;
    let end = (shop.now().as_secs() / HOUR + 1) * HOUR;
    for _ in 0..20 {
        assert_eq!(preflight(&shop, LOGIN, PAGE).await.status, 204, "it costs nothing");
    }
    let made_up = json!({ "email": "a@example.com", "refreshToken": "x", "code": "x", "newPassword": "x" });
    let paths = ["auth/register", "auth/login", "auth/refresh", "auth/forgot-password", "auth/reset-password"];
    let paths = paths.map(|path| format!("/api/v1/{path}"));
    let more = [format!("{LOGIN}/"), format!("{LOGIN}//?x=1")];
    for (left, path) in (0..7).rev().zip(paths.iter().chain(&more)) {
        let answer = shop.post(path.as_str(), &made_up).await;
        assert!(answer.status != 429 && answer.status != 404, "{path}: {}", answer.text);
        assert_eq!(limits(&answer), [7, left, end], "{path}");
    }
    for path in paths.iter().chain(&more) {
        let answer = shop.post(path.as_str(), &made_up).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (429, &json!("too-many-requests")), "{path}");
        assert_eq!(limits(&answer), [7, 0, end], "{path}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=HOUR).contains(&wait), "{wait}");
    }
    // Other ways to write the path lead nowhere, and everything else has its own budget.
    for (path, status) in [("/api/v1/auth/%6cogin", 404), ("/api/v1/auth/me", 401), ("/api/v1//auth/login", 404)] {
        let answer = shop.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        if path != "/api/v1//auth/login" {
            assert_eq!(limits(&answer)[0], 1000, "{path}");
        }
    }
    shop.clock.advance(Duration::from_secs(HOUR));
    assert_eq!(limits(&shop.post(REFRESH, &made_up).await)[..2], [7, 6], "the next hour has its own");

    let shop = limited(&[("rate_limit_max", "60")]).await;
    assert_eq!(limits(&shop.post(REFRESH, &made_up).await)[..2], [10, 9], "a sixth, unless somebody says otherwise");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_no_more_pass_than_the_window_has_however_many_instances_serve_it() {
    needs_bench!("it moves the clock");
    let mut options = options(&[
        ("rate_limit_max", "200"),
        ("auth_rate_limit_max", "20"),
        ("rate_limit_window_ms", &(HOUR * 1000).to_string()),
    ]);
    // So the crowd meets dozens of them.
    options.max_instance_reuse = Some(5);
    let shop = Shop::start(options).await;
    shop.clock.advance(Duration::from_secs(HOUR - shop.now().as_secs() % HOUR));
    let made_up = json!({ "refreshToken": "made up" });
    for _ in 0..2 {
        let crowd = (0..120).map(|_| shop.post(REFRESH, &made_up).into_future());
        let passed = join_all(crowd).await.iter().filter(|answer| answer.status != 429).count();
        assert_eq!(passed, 20, "signing in");
        let crowd = (0..400).map(|_| shop.get(PRODUCTS).into_future());
        let answers = join_all(crowd).await;
        let passed = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(passed, 200, "no more than there are, and no fewer");
        assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 429));
        let more = join_all((0..30).map(|_| shop.get(PRODUCTS).into_future())).await;
        assert!(more.iter().all(|answer| answer.status == 429));
        shop.clock.advance(Duration::from_secs(HOUR));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stays_within_the_limit_is_not_refused_however_many_instances_serve_him() {
    needs_bench!("it moves the clock");
    // An instance that has been idle for a second is gone, and what it holds with it. Here each ends with its last request.
    for at_once in [1, 6] {
        let window = (HOUR * 1000).to_string();
        let mut options = options(&[("rate_limit_max", "66"), ("rate_limit_window_ms", &window)]);
        options.max_instance_reuse = Some(at_once);
        let shop = Shop::start(options).await;
        shop.clock.advance(Duration::from_secs(HOUR - shop.now().as_secs() % HOUR));
        for page in 0..66 / at_once {
            for answer in join_all((0..at_once).map(|_| shop.get(PRODUCTS).into_future())).await {
                assert_eq!(answer.status, 200, "page {page} of {at_once}: {:?}", limits(&answer));
            }
        }
        assert_eq!(shop.get(PRODUCTS).await.status, 429, "{at_once}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_can_count_the_shop_is_open_but_nobody_signs_in() {
    needs_bench!("it makes statements fail");
    let script = Script::new();
    let shop =
        Shop::start(ShopOptions { max_instance_reuse: Some(16), ..ShopOptions::controlled(script.clone()) }).await;
    script.rule(|call| match call.phase {
        Phase::Before if call.detail.contains("INTO rate_limits") => Verdict::Fail("disk I/O error".into()),
        _ => Verdict::Proceed,
    });
    let made_up = json!({ "refreshToken": "made up" });
    for answer in join_all((0..12).map(|_| shop.post(REFRESH, &made_up).into_future())).await {
        assert_problem(&answer, 503, "unavailable", "signing in");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    for answer in join_all((0..40).map(|_| shop.get(PRODUCTS).into_future())).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    script.clear();
    assert_problem(&shop.post(REFRESH, &made_up).await, 401, "unauthenticated", "it counts again");
}

#[tokio::test]
async fn who_has_no_database_counts_in_memory_and_probes_are_never_too_many() {
    needs_bench!("it moves the clock");
    let shop = limited(&[("rate_limit_max", "3")]).await;
    let end = (shop.now().as_secs() / HOUR + 1) * HOUR;
    for (path, status) in [("/metrics", 200), ("/api/config/services", 401), ("/api/v1/admin/audit", 401)] {
        let first = shop.get(path).await;
        assert_eq!((first.status.as_u16(), limits(&first)[0], limits(&first)[2]), (status, 3, end), "{path}");
        // Each of their instances begins anew; one that is used does not end.
        eventually(Duration::from_secs(20), "it is too many", async || {
            let answer = shop.get(path).await;
            let refused = answer.status == 429;
            assert_eq!(limits(&answer)[2], end, "{path}");
            assert!(refused || answer.status == status, "{path}: {}", answer.text);
            assert!(!refused || limits(&answer)[1] == 0 && answer.header("retry-after").is_some(), "{path}");
            refused
        })
        .await;
    }
    for path in ["/health", "/readyz", "/livez", "/health/"] {
        for _ in 0..5 {
            let answer = shop.get(path).await;
            assert_eq!((answer.status.as_u16(), limits(&answer)[0]), (200, 3), "{path}");
        }
    }
}

#[tokio::test]
async fn however_often_health_is_asked_the_services_are_asked_once_a_second() {
    needs_bench!("it looks at calls of components");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let began = Instant::now();
    script.record();
    for _ in 0..5 {
        for answer in join_all((0..12).map(|_| shop.get("/health").into_future())).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }
    let seen = script.recorded();
    let asked =
        seen.iter().filter(|call| call.component == "gateway" && call.detail.ends_with("/internal/health")).count();
    let instances: BTreeSet<_> =
        seen.iter().filter(|call| call.component == "gateway").map(|call| call.instance).collect();
    // Eight services, and a second that began before.
    let most = 8 * instances.len() * (usize::try_from(began.elapsed().as_secs()).unwrap() + 2);
    assert!(asked <= most, "{asked} questions of {} instances", instances.len());
}

#[tokio::test]
async fn head_is_answered_as_get_is_without_the_body() {
    let shop = Shop::start(ShopOptions::default()).await;
    let mug = shop.product(5.0, 1).await;
    let client = shop_tests::client().build().unwrap();
    for path in [PRODUCTS.to_owned(), format!("{PRODUCTS}/{mug}"), "/docs/page.js".to_owned()] {
        let whole = shop.get(path.as_str()).await;
        let tag = whole.header("etag").unwrap().to_owned();
        let head = shop.request(Method::HEAD, path.as_str()).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""), "{path}");
        for name in ["etag", "content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), whole.header(name), "{path}: {name}");
        }
        for method in [Method::GET, Method::HEAD] {
            for lines in [["\"a\"", tag.as_str()], [tag.as_str(), "\"a\""]] {
                let mut request = client.request(method.clone(), format!("{}{path}", shop.url()));
                for line in lines {
                    request = request.header("if-none-match", line);
                }
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 304, "{method} {path} {lines:?}");
                assert_eq!(answer.bytes().await.unwrap().len(), 0, "{method} {path}");
            }
            let other = shop.request(method.clone(), path.as_str()).header("if-none-match", "\"a\"").await;
            assert_eq!(other.status, 200, "{method} {path}");
        }
    }
    assert_eq!(shop.request(Method::HEAD, "/nowhere").await.status, 404);
    assert_eq!(shop.request(Method::HEAD, LOGIN).await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_costs_a_statement_now_and_then() {
    needs_bench!("it counts statements");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    shop.get(PRODUCTS).await.expect(200);
    script.record();
    for _ in 0..20 {
        join_all((0..16).map(|_| shop.get(PRODUCTS).into_future())).await;
    }
    let seen = script.recorded();
    let counted = seen.iter().filter(|call| call.detail.contains("INTO rate_limits")).count();
    let instances: BTreeSet<_> = seen.iter().map(|call| call.instance).collect();
    // One for each instance, and one more for each hundred requests or at the turn of a minute.
    assert!(
        counted <= 2 * instances.len() + 6,
        "{counted} statements for 320 requests of {} instances",
        instances.len()
    );
}

#[tokio::test]
async fn what_a_proxy_says_of_its_clients_is_believed_if_it_is_ours() {
    needs_bench!("it moves the clock");
    let shop = limited(&[("rate_limit_max", "3"), ("trusted_proxies", "127.0.0.1, 10.0.0.0/8")]).await;
    let left = async |forwarded: &str| {
        let answer = shop.get(PRODUCTS).header("x-forwarded-for", forwarded).await;
        (answer.status.as_u16(), limits(&answer)[1])
    };
    assert_eq!(left("192.0.2.1").await, (200, 2));
    assert_eq!(left("192.0.2.1").await, (200, 1));
    assert_eq!(left("198.51.100.9, 192.0.2.1").await, (200, 0), "what the client has put before it changes nothing");
    assert_eq!(left("192.0.2.1, 10.1.2.3").await, (429, 0), "through two proxies");
    assert_eq!(left("192.0.2.2").await, (200, 2), "another client");
    for address in ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:0:1::"] {
        left(address).await;
    }
    assert_eq!(left("2001:db8::2").await, (429, 0), "one network is one client");
    assert_eq!(left("2001:db8:0:1::2").await, (200, 2), "another network");
    for malformed in ["unknown", "192.0.2.77, x", "192.0.2.300"] {
        left(malformed).await;
    }
    assert_eq!(left("").await, (429, 0), "what is no address is the proxy's own request");

    // Who is no proxy of ours is believed nothing.
    let elsewhere = shop_tests::client().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    for expected in ["2", "1", "0", "0"] {
        let request = elsewhere.get(format!("{}{PRODUCTS}", shop.url()));
        let request =
            request.header("x-forwarded-for", format!("192.0.2.10{expected}")).header("forwarded", "for=192.0.2.9");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["x-ratelimit-remaining"], expected);
    }
    let clients = shop.query("catalog", "SELECT client FROM rate_limits ORDER BY client");
    let clients: Vec<_> = clients.iter().map(|row| row[0].as_str().unwrap()).collect();
    let expected = ["127.0.0.1", "127.0.0.2", "192.0.2.1", "192.0.2.2", "2001:db8:0:1::/64", "2001:db8::/64"];
    assert_eq!(clients, expected);
}
