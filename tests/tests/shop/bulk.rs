//! Many products in one request: import and export.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::assert_problem;
use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, needs_bench};

const IMPORT: &str = "/api/v1/products/import";
const EXPORT: &str = "/api/v1/products/export";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

fn row(sku: &str, price: f64) -> Value {
    json!({ "sku": sku, "name": format!("Product {sku}"), "description": "Good.", "price": price, "stock": 9 })
}

fn body(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// What became of each line.
async fn import(shop: &Shop, by: &Customer, body: &str) -> Vec<Value> {
    let call = shop.post(IMPORT, &Value::Null).by(by).bytes(body).header("content-type", "application/x-ndjson");
    let answer = call.await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/x-ndjson")));
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statuses(outcomes: &[Value]) -> Vec<&str> {
    outcomes.iter().map(|outcome| outcome["status"].as_str().unwrap()).collect()
}

async fn export(shop: &Shop, by: &Customer) -> Vec<Value> {
    let answer = shop.get(EXPORT).by(by).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/x-ndjson")));
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What must not change when nothing changes: rows and events.
fn traces(shop: &Shop) -> Value {
    json!([
        shop.query("catalog", "SELECT id, body FROM products ORDER BY id"),
        shop.value("catalog", "SELECT count(*) FROM outbox"),
        shop.query("inventory", "SELECT product_id, on_hand, reserved, version FROM stock ORDER BY 1"),
    ])
}

#[tokio::test]
async fn rows_make_and_change_products_and_the_same_once_more_changes_nothing() {
    let shop = open().await;
    let sue = shop.seller("sue").await;
    let lamps = json!({ "name": "Lamps" });
    let lamps = shop.post("/api/v1/categories", &lamps).by(&sue).await.expect(201)["id"].clone();
    let mut second = row("B", 2.5);
    second["categoryId"] = lamps;
    second["metadata"] = json!({ "color": "red" });
    second["images"] = json!(["/b.png"]);
    let rows = body(&[row("A", 1.0), second, row("C", 3.0)]);
    let outcomes = import(&shop, &sue, &rows).await;
    assert_eq!(statuses(&outcomes), ["created"; 3]);
    assert_eq!((&outcomes[1]["line"], &outcomes[1]["sku"]), (&json!(2), &json!("B")));
    let shown = shop.get(format!("/api/v1/products/{}", outcomes[1]["id"])).await.expect(200);
    assert_eq!(
        (&shown["category"], &shown["price"], &shown["supplierId"]),
        (&json!("Lamps"), &json!(2.5), &json!(sue.id))
    );
    shop.settle().await;
    assert_eq!(shop.stock(outcomes[0]["id"].as_i64().unwrap()).await["available"], 9);

    let before = traces(&shop);
    let again = import(&shop, &sue, &rows).await;
    assert_eq!(statuses(&again), ["unchanged"; 3]);
    assert_eq!(again[2]["id"], outcomes[2]["id"]);
    shop.settle().await;
    assert_eq!(traces(&shop), before);

    // What a row leaves out stays; and nothing that was sold meanwhile comes back.
    let changes = body(&[json!({ "sku": "A", "price": 7 }), json!({ "sku": "C", "stock": 4 })]);
    assert_eq!(statuses(&import(&shop, &sue, &changes).await), ["updated", "unchanged"]);
    shop.settle().await;
    assert_eq!(shop.stock(outcomes[2]["id"].as_i64().unwrap()).await["available"], 9);

    // What is exported can be imported.
    let exported = export(&shop, &sue).await;
    assert_eq!(exported.len(), 3);
    let before = traces(&shop);
    assert_eq!(statuses(&import(&shop, &sue, &body(&exported)).await), ["unchanged"; 3]);
    shop.settle().await;
    assert_eq!(traces(&shop), before);
    shop.audit();
}

#[tokio::test]
async fn a_row_that_fails_stops_no_other() {
    let shop = open().await;
    let (sue, rob, ann) = (shop.seller("sue").await, shop.seller("rob").await, shop.customer("ann").await);
    assert_eq!(statuses(&import(&shop, &rob, &body(&[row("R", 1.0)])).await), ["created"]);
    let long = json!({ "sku": "L", "name": "x".repeat(70_000) }).to_string();
    let rows = [
        row("A", 1.0).to_string(),
        "{ no json".into(),
        String::new(),
        row("B", 1.999).to_string(),
        json!({ "name": "x" }).to_string(),
        json!({ "sku": "N", "name": "x", "price": 1 }).to_string(),
        row("R", 5.0).to_string(),
        long,
        json!({ "sku": "A", "price": 2 }).to_string(),
        json!({ "sku": "A", "categoryId": 99 }).to_string(),
        "\u{feff}{}".into(),
        "[]".into(),
        row("Z", 1.0).to_string(),
    ];
    let outcomes = import(&shop, &sue, &rows.join("\r\n")).await;
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            let code = outcome["error"]["code"].as_str();
            let field = outcome["error"]["errors"][0]["field"].as_str();
            (outcome["line"].as_i64().unwrap(), outcome["status"].as_str().unwrap(), code, field)
        })
        .collect();
    let expected = [
        (1, "created", None, None),
        (2, "failed", Some("malformed"), None),
        (4, "failed", Some("invalid"), Some("price")),
        (5, "failed", Some("invalid"), Some("sku")),
        (6, "failed", Some("invalid"), Some("description")),
        (7, "failed", Some("sku-taken"), None),
        (8, "failed", Some("too-large"), None),
        (9, "updated", None, None),
        (10, "failed", Some("invalid"), Some("categoryId")),
        (11, "failed", Some("malformed"), None),
        (12, "failed", Some("invalid"), Some("sku")),
        (13, "created", None, None),
    ];
    assert_eq!(told, expected);
    let prices: BTreeMap<_, _> = export(&shop, shop.admin().await)
        .await
        .iter()
        .map(|row| (row["sku"].to_string(), row["price"].clone()))
        .collect();
    let wanted = [("\"A\"", 2.0), ("\"R\"", 1.0), ("\"Z\"", 1.0)].map(|(sku, price)| (sku.to_owned(), json!(price)));
    assert_eq!(prices, BTreeMap::from(wanted));
    assert_eq!(export(&shop, &rob).await.len(), 1, "a supplier has its own");

    let call =
        |content_type: &'static str| shop.post(IMPORT, &Value::Null).bytes("").header("content-type", content_type);
    assert_problem(&call("application/json").by(&sue).await, 415, "unsupported-media-type", "JSON");
    assert_problem(&call("application/x-ndjson").await, 401, "unauthenticated", "nobody");
    assert_problem(&call("application/x-ndjson").by(&ann).await, 403, "forbidden", "a customer");
    assert_eq!(import(&shop, &sue, "").await, [Value::Null; 0]);
    shop.settle().await;
    shop.audit();
}

/// A request whose body is sent bit by bit, while its answer is read.
struct Slow {
    stream: BufReader<TcpStream>,
    /// What has been read of the answer's body, and not been asked for.
    read: Vec<u8>,
}

impl Slow {
    fn begin(url: &str, token: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = format!(
            "POST {IMPORT} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        Self { stream: BufReader::new(stream), read: Vec::new() }
    }

    fn send(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        self.stream.get_mut().write_all(chunk.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Reads the head of the answer.
    fn answered(&mut self) {
        assert!(self.line().starts_with("HTTP/1.1 200"));
        while !self.line().is_empty() {}
    }

    /// The next line of the answer's body; none at the end.
    fn outcome(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let length = usize::from_str_radix(&self.line(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).unwrap();
            self.read.extend(&chunk[..length]);
            if length == 0 {
                return None;
            }
        }
    }

    fn end(mut self) -> Vec<Value> {
        self.stream.get_mut().write_all(b"0\r\n\r\n").unwrap();
        std::iter::from_fn(|| self.outcome()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_products_come_in_one_request_and_are_told_of_while_it_lasts() {
    let shop = open().await;
    let admin = shop.admin().await;
    let (url, token) = (shop.url(), shop.access_token(admin).await);
    let told = tokio::task::spawn_blocking(move || {
        let mut request = Slow::begin(&url, &token);
        let mut told = Vec::new();
        // A hundred at a time, each told of before the next are sent: nothing waits for the end.
        for hundred in 0..100 {
            request.send(
                &(0..100)
                    .map(|one| format!("{}\n", row(&format!("S-{}", hundred * 100 + one), 5.0)))
                    .collect::<String>(),
            );
            if hundred == 0 {
                request.answered();
            }
            told.extend((0..100).map(|_| request.outcome().unwrap()));
        }
        assert!(request.end().is_empty());
        told
    })
    .await
    .unwrap();
    assert_eq!(told.len(), 10_000);
    assert!(told.iter().all(|outcome| outcome["status"] == "created"));
    assert!((1..).zip(&told).all(|(line, outcome)| outcome["line"] == line), "in order");
    shop.settle().await;
    assert_eq!(shop.value("inventory", "SELECT count(*) FROM stock WHERE on_hand = 9"), 10_000);
    let answer = shop.get(EXPORT).by(admin).await;
    assert_eq!(answer.text.lines().count(), 10_000);
    shop.audit();
}

/// A row that takes about three kilobytes.
fn long_row(number: usize) -> Value {
    let mut row = row(&format!("S-{number}"), 5.0);
    row["description"] = json!("x".repeat(3_000));
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_and_an_export_take_no_more_memory_however_many_there_are() {
    needs_bench!("it limits the memory of instances");
    // Half of the import, and enough to sign in: a hash takes 7 MiB.
    let limit = 12 << 20;
    let shop = Shop::start(ShopOptions { max_guest_memory: Some(limit), ..ShopOptions::default() }).await;
    let admin = shop.admin().await;
    let rows: Vec<Value> = (0..10_000).map(long_row).collect();
    let rows = body(&rows);
    assert!(rows.len() > 2 * limit, "it cannot be in memory at once: {}", rows.len());
    let outcomes = import(&shop, admin, &rows).await;
    assert_eq!(outcomes.len(), 10_000);
    assert!(outcomes.iter().all(|outcome| outcome["status"] == "created"));
    let answer = shop.get(EXPORT).by(admin).await;
    assert!(answer.text.len() > 2 * limit);
    assert_eq!(answer.text.lines().count(), 10_000);
    let again = import(&shop, admin, &answer.text).await;
    assert_eq!(statuses(&again), ["unchanged"; 10_000]);
    // Nor what others do with the events of an import.
    shop.settle().await;
    assert_eq!(shop.value("inventory", "SELECT count(*) FROM stock WHERE on_hand = 9"), 10_000);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_breaks_off_has_done_what_it_told_of() {
    let shop = open().await;
    let (url, token) = (shop.url(), shop.access_token(shop.admin().await).await);
    let rows: Vec<Value> = (0..150).map(|number| row(&format!("S-{number}"), 5.0)).collect();
    let first = body(&rows[..120]);
    tokio::task::spawn_blocking(move || {
        let mut request = Slow::begin(&url, &token);
        request.send(&first);
        request.answered();
        for _ in 0..100 {
            assert_eq!(request.outcome().unwrap()["status"], "created");
        }
        // Gone, in the middle of a row.
        request.send("{\"sku\":");
        request.stream.get_mut().shutdown(std::net::Shutdown::Both).unwrap();
    })
    .await
    .unwrap();
    shop.settle().await;
    let outcomes = import(&shop, shop.admin().await, &body(&rows)).await;
    let outcomes = statuses(&outcomes);
    assert_eq!(outcomes[..100], ["unchanged"; 100]);
    assert_eq!(outcomes[120..], ["created"; 30]);
    shop.settle().await;
    assert_eq!(shop.value("catalog", "SELECT count(*) FROM products"), 150);
    shop.audit();
}
