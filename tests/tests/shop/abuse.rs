//! What no decent client sends: each gets a precise answer, and changes nothing.

use std::{fmt::Write, time::Duration};

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Shop, ShopOptions, needs_bench};

use crate::{
    raw::{self, RawAnswer},
    support::{assert_invalid, assert_problem, assert_told},
};

const LOGIN: &str = "/api/v1/auth/login";
const PRODUCTS: &str = "/api/v1/products";
/// Of a body, but for streams.
const LONGEST_BODY: usize = 64 * 1024;

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let seller = shop.seller("sue").await;
    (shop, seller)
}

/// The first line and the headers of a request whose body follows, without the line that ends them.
fn head(shop: &Shop, line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", shop.url().replace("http://", ""))
}

fn post(shop: &Shop, path: &str, more: &str) -> String {
    format!("{}Content-Type: application/json\r\n{more}\r\n", head(shop, &format!("POST {path}")))
}

#[track_caller]
fn assert_raw(answer: &RawAnswer, status: u16, code: &str, what: &str) {
    let shown = &answer.text[..answer.text.len().min(600)];
    assert_eq!((answer.status(), answer.code().as_deref()), (status, Some(code)), "{what}: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_a_longest_however_they_are_sent() {
    let (shop, seller) = open().await;
    let before = shop.value("catalog", "SELECT count(*) FROM products");
    let product = |length: usize| {
        let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": 1 }).to_string();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let token = shop.access_token(&seller).await;
    let signed = format!("Authorization: Bearer {token}\r\n");
    for path in [PRODUCTS, LOGIN, "/api/v1/orders", "/api/v1/payments/webhooks/stripe", "/api/v1/inventory"] {
        let long = product(LONGEST_BODY + 1);
        let call = shop.request(Method::POST, path).header("content-type", "application/json").by(&seller);
        assert_problem(&call.bytes(long.as_str()).await, 413, "too-large", path);

        let mut chunks = post(&shop, path, &format!("{signed}Transfer-Encoding: chunked\r\n")).into_bytes();
        for chunk in long.as_bytes().chunks(4000) {
            chunks.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
        }
        chunks.extend(b"0\r\n\r\n");
        assert_raw(&raw::request(&shop, chunks).await, 413, "too-large", &format!("{path}, without a length"));

        // The length alone says enough: nobody waits for the rest.
        let promised = post(&shop, path, &format!("{signed}Content-Length: 9999999999\r\n"));
        let answer = raw::request(&shop, promised).await;
        assert_raw(&answer, 413, "too-large", &format!("{path}, of which nothing comes"));
        assert!(answer.after < Duration::from_secs(10), "{:?}", answer.after);
    }
    // One that is shorter than it says is no request; what follows one that is longer is not part of it.
    for (length, body) in [(5000, product(100)), (5000, "{".to_owned())] {
        let request = post(&shop, PRODUCTS, &format!("{signed}Content-Length: {length}\r\n")) + body.as_str();
        let answer = raw::send(&shop, vec![request.into_bytes()], Duration::ZERO, Duration::from_millis(500)).await;
        assert!([0, 400].contains(&answer.status()), "{}", answer.text);
    }
    let request = post(&shop, PRODUCTS, &format!("{signed}Content-Length: 10\r\n")) + product(100).as_str();
    assert_raw(&raw::request(&shop, request).await, 400, "malformed", "cut off");
    for lengths in ["Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: -1\r\n", "Content-Length: x\r\n"] {
        let answer = raw::request(&shop, post(&shop, PRODUCTS, &format!("{signed}{lengths}")) + "{}").await;
        assert_eq!(answer.status(), 400, "{lengths}: {}", answer.text);
    }
    shop.settle().await;
    assert_eq!(shop.value("catalog", "SELECT count(*) FROM products"), before);
    let fits = shop.request(Method::POST, PRODUCTS).header("content-type", "application/json").by(&seller);
    fits.bytes(product(LONGEST_BODY)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_queries_and_headers_have_a_longest() {
    let (shop, _) = open().await;
    for path in ["/api/v1/products", "/health", "/nowhere", "/api/v1/auth/me"] {
        for (long, short) in [(9000, 7000)] {
            for target in [format!("{path}?q={}", "x".repeat(long)), format!("{path}/{}", "x".repeat(long))] {
                assert_told(&shop.get(target.as_str()).await, path, 414, "uri-too-long", &target[..40]);
            }
            let fits = shop.get(format!("{path}?nothing={}", "x".repeat(short))).await;
            assert!([200, 401, 404].contains(&fits.status.as_u16()), "{path}: {}", fits.text);
        }
        let with = |count: usize, length: usize| {
            let call = shop.get(path);
            (0..count).fold(call, |call, number| call.header(&format!("x-{number}"), &"v".repeat(length)))
        };
        for (count, length) in [(1, 9000), (3, 6000), (60, 300)] {
            assert_told(
                &with(count, length).await,
                path,
                431,
                "headers-too-large",
                &format!("{path}: {count} of {length}"),
            );
        }
        for (count, length) in [(1, 8000), (60, 200)] {
            let fits = with(count, length).await;
            assert!([200, 401, 404].contains(&fits.status.as_u16()), "{path}: {}", fits.text);
        }
    }
    // What the host answers itself: nobody else has to look at it.
    let mut many = head(&shop, "GET /health");
    for number in 0..150 {
        _ = write!(many, "x-{number}: v\r\n");
    }
    assert_eq!(raw::request(&shop, many + "\r\n").await.status(), 431);
    let huge = format!("{}x: {}\r\n\r\n", head(&shop, "GET /health"), "v".repeat(600_000));
    assert!([431, 0].contains(&raw::request(&shop, huge).await.status()));
    for length in [130_000, 200_000] {
        let more = format!("{}x: {}\r\n\r\n", head(&shop, "GET /health"), "v".repeat(length));
        let answer = raw::request(&shop, more).await;
        assert!((400..500).contains(&answer.status()), "{length}: {}", &answer.text[..answer.text.len().min(200)]);
    }
    let endless = head(&shop, &format!("GET /{}", "x".repeat(70_000))) + "\r\n";
    assert_eq!(raw::request(&shop, endless).await.status(), 414);
}

#[tokio::test]
async fn lists_have_a_longest() {
    let (shop, seller) = open().await;
    let mug = shop.product(1.0, 5).await;
    let ann = shop.customer("ann").await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    let items = |count: usize| vec![json!({ "productId": mug, "quantity": 1 }); count];
    let images = |count: usize| (0..count).map(|number| format!("https://img.example/{number}")).collect::<Vec<_>>();
    let product = json!({ "name": "Mug", "description": "", "price": 1, "stock": 1, "images": images(21) });
    let admin = shop.admin().await;
    for (answer, field) in [
        (shop.post("/api/v1/orders", &json!({ "items": items(101) })).by(&ann).await, "items"),
        (shop.post("/api/v1/orders", &json!({ "items": items(1000) })).by(&ann).await, "items"),
        (shop.post("/api/v1/inventory/reserve", &json!({ "items": items(101) })).by(admin).await, "items"),
        (
            shop.post(format!("/api/v1/orders/{order}/refunds"), &json!({ "items": items(101) })).by(admin).await,
            "items",
        ),
        (shop.post(PRODUCTS, &product).by(&seller).await, "images"),
    ] {
        assert_invalid(&answer, &[field], field);
    }
}

/// A product whose metadata are this.
fn furnished(metadata: &str) -> String {
    format!(r#"{{"name":"Mug","description":"","price":1,"stock":1,"metadata":{metadata}}}"#)
}

#[tokio::test]
async fn what_is_no_text_is_refused_wherever_it_stands() {
    let (shop, seller) = open().await;
    let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let deep = format!(r#"{{"email":"a","password":"b","more":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    let cases: [(&str, Vec<u8>, u16, &str); 22] = [
        (PRODUCTS, furnished(&nested(31)).into(), 201, ""),
        (PRODUCTS, furnished(&nested(32)).into(), 422, "invalid"),
        (PRODUCTS, furnished(&nested(2000)).into(), 422, "invalid"),
        (PRODUCTS, furnished(&"{\"a\":".repeat(5000)).into(), 400, "malformed"),
        (LOGIN, deep.into(), 422, "invalid"),
        (LOGIN, "[".repeat(60_000).into(), 400, "malformed"),
        (LOGIN, "]".repeat(60_000).into(), 400, "malformed"),
        (LOGIN, format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)).into(), 422, "invalid"),
        (LOGIN, br#"{"email":"a\u0000@example.com","password":"b"}"#.to_vec(), 422, "invalid"),
        (PRODUCTS, furnished(r#"{"a\u0000":1}"#).into(), 422, "invalid"),
        (PRODUCTS, furnished("{\"a\":\"\0\"}").into(), 400, "malformed"),
        (LOGIN, b"{\"email\":\"\xff\",\"password\":\"b\"}".to_vec(), 400, "malformed"),
        (LOGIN, b"{\"email\":\"a\",\"password\":\"b\",\"unknown\":\"\xed\xa0\x80\"}".to_vec(), 400, "malformed"),
        (LOGIN, br#"{"email":"\ud800","password":"b"}"#.to_vec(), 400, "malformed"),
        (LOGIN, b"\x00".to_vec(), 400, "malformed"),
        (LOGIN, b"\xff\xfe{\x00}\x00".to_vec(), 400, "malformed"),
        // A field that stands there twice means nothing.
        (LOGIN, br#"{"email":"a","password":"b","email":"c"}"#.to_vec(), 422, "invalid"),
        (PRODUCTS, br#"{"name":"a","name":"b","description":"","price":1,"stock":1}"#.to_vec(), 422, "invalid"),
        (LOGIN, br#"{"email":"a","password":1e999}"#.to_vec(), 400, "malformed"),
        (PRODUCTS, br#"{"name":"a","description":"","price":1e400,"stock":1}"#.to_vec(), 422, "invalid"),
        (PRODUCTS, br#"{"name":"a","description":"","price":NaN,"stock":1}"#.to_vec(), 400, "malformed"),
        (LOGIN, br#"{"email":"a","password":"b",}"#.to_vec(), 400, "malformed"),
    ];
    for (path, body, status, code) in cases {
        let what = String::from_utf8_lossy(&body[..body.len().min(90)]).into_owned();
        let call = shop.request(Method::POST, path).header("content-type", "application/json").by(&seller);
        let answer = call.bytes(body).await;
        if status == 201 {
            answer.expect(201);
        } else {
            assert_problem(&answer, status, code, &what);
        }
    }
    for path in [
        "/api/v1/products/%",
        "/api/v1/products/%zz",
        "/api/v1/products/%2",
        "/api/v1/products/1%00",
        "/api/v1/products/%ff",
        "/api/v1/discounts/%00",
        "/api/v1/discounts/%c3%28",
        "/api/v1/orders/number/%ed%a0%80",
        "/nowhere%",
        "/%00",
        "/api/v1/products?q=%",
        "/api/v1/products?q=%zz",
        "/api/v1/products?q=a%00b",
        "/api/v1/products?category=%ff",
        "/api/v1/users?email=%00",
        "/api/v1/products?metadata.%00=1",
    ] {
        assert_told(&shop.get(path).by(&seller).await, path, 400, "malformed", path);
    }
    for (path, status) in [
        ("/api/v1/products?q=50%25", 200),
        ("/api/v1/products?q=%C3%A4%20+%27;DROP", 200),
        ("/api/v1/products/%31%30%30%30%30%30", 404),
        ("/api/v1/products/..%2f..%2f..%2fetc%2fpasswd", 404),
    ] {
        assert_eq!(shop.get(path).await.status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_path_is_no_request() {
    let (shop, _) = open().await;
    for line in
        ["GET /\0", "GET /a b", "GET", "GE\tT /", "GET /api/v1/products\u{7f}", "G\u{e4}T /", "\u{16}\u{3}\u{1}"]
    {
        let answer = raw::request(&shop, head(&shop, line) + "\r\n").await;
        assert!([400, 0].contains(&answer.status()), "{line:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn bodies_are_plain_json() {
    let (shop, seller) = open().await;
    let product = json!({ "name": "Mug", "description": "", "price": 1, "stock": 1 });
    let import = |encoding: &str| {
        let call = shop.request(Method::POST, "/api/v1/products/import").by(&seller).bytes("{}\n");
        call.header("content-type", "application/x-ndjson").header("content-encoding", encoding)
    };
    for encoding in ["gzip", "br", "deflate, gzip", "identity, gzip", "made-up"] {
        for call in [shop.post(PRODUCTS, &product).by(&seller).header("content-encoding", encoding), import(encoding)] {
            let answer = call.await;
            assert_problem(&answer, 415, "unsupported-content-encoding", encoding);
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        }
    }
    for encoding in ["identity", "Identity", ""] {
        shop.post(PRODUCTS, &product).by(&seller).header("content-encoding", encoding).await.expect(201);
    }
    for kind in
        ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/jsonp", "json", "", "*/*"]
    {
        let call = shop.request(Method::POST, PRODUCTS).by(&seller).bytes(product.to_string());
        assert_problem(&call.header("content-type", kind).await, 415, "unsupported-media-type", kind);
    }
    let without = shop.request(Method::POST, PRODUCTS).by(&seller).bytes(product.to_string()).await;
    assert_problem(&without, 415, "unsupported-media-type", "without a type");
}

#[tokio::test]
async fn methods_that_a_resource_does_not_have_are_405_and_nothing_stands_for_another() {
    let (shop, seller) = open().await;
    let mug = shop.product(1.0, 5).await;
    let path = format!("{PRODUCTS}/{mug}");
    for method in ["TRACE", "OPTIONS", "PROPFIND", "get", "DELETE_", "PURGE", "LINK", "POST"] {
        let answer = shop.request(Method::from_bytes(method.as_bytes()).unwrap(), path.as_str()).by(&seller).await;
        assert_problem(&answer, 405, "method-not-allowed", method);
        assert!(
            answer.header("allow").is_some_and(|allowed| allowed.contains("GET")),
            "{method}: {:?}",
            answer.headers
        );
        assert!(!answer.text.contains("earer"), "{method}");
    }
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let answer = shop.post(path.as_str(), &json!({})).by(shop.admin().await).header(name, "DELETE").await;
        assert_problem(&answer, 405, "method-not-allowed", name);
        shop.get(path.as_str()).header(name, "DELETE").by(shop.admin().await).await.expect(200);
    }
    let with_body = shop.get(path.as_str()).header("content-type", "application/json").bytes("{").await;
    with_body.expect(200);
    let head = shop.request(Method::HEAD, path.as_str()).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    shop.get(path.as_str()).await.expect(200);
}

fn impatient() -> ShopOptions {
    ShopOptions { variables: [("body_timeout_ms".to_owned(), "700".to_owned())].into(), ..ShopOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_finishes_a_body_is_sent_away() {
    let shop = Shop::start(impatient()).await;
    let seller = shop.seller("sue").await;
    let token = format!("Authorization: Bearer {}\r\n", shop.access_token(&seller).await);
    let slow = async |path: &str, more: &str, pieces: usize, pause: u64| {
        let mut sent = vec![post(&shop, path, more).into_bytes()];
        sent.extend((0..pieces).map(|_| b" ".to_vec()));
        raw::send(&shop, sent, Duration::from_millis(pause), Duration::from_secs(20)).await
    };
    let length = format!("{token}Content-Length: 1000\r\n");
    let chunked = format!("{token}Transfer-Encoding: chunked\r\n");
    let (length, chunked) = (length.as_str(), chunked.as_str());
    // More of them than an instance serves at a time, on which others depend.
    let silent = join_all((0..40).map(|_| slow(LOGIN, length, 0, 0)));
    let (silent, others) = futures::future::join(silent, async {
        join_all((0..20).map(|_| async { shop.get("/api/v1/auth/me").by(&seller).await.expect(200) })).await
    })
    .await;
    assert_eq!(others.len(), 20);
    for (answer, what) in silent.iter().map(|answer| (answer, "nothing comes")).chain([
        (&slow(PRODUCTS, length, 0, 0).await, "a product"),
        (&slow(PRODUCTS, chunked, 0, 0).await, "without a length"),
        (&slow("/api/v1/orders", length, 8, 200).await, "a byte now and then"),
        (&slow("/api/v1/payments/webhooks/stripe", length, 0, 0).await, "a webhook"),
    ]) {
        assert_raw(answer, 408, "too-slow", what);
        assert!(answer.after > Duration::from_millis(600), "{what}: {:?}", answer.after);
        assert!(answer.after < Duration::from_secs(10), "{what}: {:?}", answer.after);
    }
    // A slow one that arrives in time is as good as any.
    let body = format!(r#"{{"email":"{}","password":"{}"}}"#, seller.email, seller.password);
    let (first, second) = body.split_at(10);
    let pieces = vec![post(&shop, LOGIN, &format!("Content-Length: {}\r\n", body.len())), first.into(), second.into()];
    let pieces = pieces.into_iter().map(String::into_bytes).collect();
    let answer = raw::send(&shop, pieces, Duration::from_millis(150), Duration::from_secs(20)).await;
    assert_eq!(answer.status(), 200, "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_may_take_its_time_but_not_for_one_line() {
    let shop = Shop::start(impatient()).await;
    let seller = shop.seller("sue").await;
    let head = head(&shop, "POST /api/v1/products/import");
    let token = shop.access_token(&seller).await;
    let head = format!(
        "{head}Content-Type: application/x-ndjson\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
    let line = |sku: usize| format!(r#"{{"sku":"S-{sku}","name":"Mug","description":"","price":1,"stock":1}}"#) + "\n";
    let mut pieces = vec![head.clone().into_bytes()];
    pieces.extend((0..6).map(|sku| chunk(&line(sku))));
    pieces.push(b"0\r\n\r\n".to_vec());
    let answer = raw::send(&shop, pieces, Duration::from_millis(250), Duration::from_secs(20)).await;
    assert_eq!((answer.status(), answer.text.matches("\"created\"").count()), (200, 6), "{}", answer.text);

    let trickling = head.clone();
    let mut pieces = vec![head.into_bytes()];
    pieces.extend((0..12).map(|_| chunk(" ")));
    let answer = raw::send(&shop, pieces, Duration::from_millis(150), Duration::from_secs(20)).await;
    assert!(!answer.text.contains("0\r\n\r\n"), "the answer breaks off: {}", answer.text);
    assert!(answer.after < Duration::from_secs(10), "{:?}", answer.after);
    // Nor for many lines that say nothing: all together it is waited for as long as for twenty bodies.
    let mut pieces = vec![trickling.into_bytes()];
    pieces.extend((0..100).map(|_| chunk("\n")));
    let answer = raw::send(&shop, pieces, Duration::from_millis(300), Duration::from_secs(20)).await;
    assert!(!answer.text.contains("0\r\n\r\n"), "the answer breaks off: {}", answer.text);
    assert!(answer.ended < Duration::from_secs(28), "{:?}", answer.ended);
    shop.settle().await;
    assert_eq!(shop.value("catalog", "SELECT count(*) FROM products"), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_answers_holds_up_nobody() {
    needs_bench!("others do it in another way");
    let (shop, seller) = open().await;
    let long = "x".repeat(10_000);
    let products = (0..300).map(|number| {
        json!({ "sku": format!("S-{number}"), "name": "Mug", "description": long, "price": 1, "stock": 1 }).to_string()
    });
    let lines = products.collect::<Vec<_>>().join("\n");
    let import = shop.request(Method::POST, "/api/v1/products/import").header("content-type", "application/x-ndjson");
    let answer: Answer = import.by(&seller).bytes(lines).await;
    assert_eq!(answer.text.matches("\"created\"").count(), 300);
    let token = shop.access_token(&seller).await;
    let export = format!("{}Authorization: Bearer {token}\r\n\r\n", head(&shop, "GET /api/v1/products/export"));
    let address = shop.url().replace("http://", "");
    let silent: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(&address).unwrap();
            std::io::Write::write_all(&mut stream, export.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        let answers = join_all((0..20).map(|_| async { shop.get(PRODUCTS).await.expect(200) })).await;
        assert!(answers.iter().all(|page: &Value| page["items"].as_array().unwrap().len() == 20));
    }
    drop(silent);
}
