//! Who may do what: every operation, by everybody.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions};

/// Whose order and payment it is, another customer, a program, the seller of the product, another seller, the admin.
/// Nobody comes first.
const CALLERS: [&str; 7] = ["nobody", "owner", "other", "service", "seller", "rival", "admin"];

const ANYONE: [u16; 7] = [200; 7];
const SIGNED_IN: [u16; 7] = [401, 200, 200, 200, 200, 200, 200];
const SELLERS: [u16; 7] = [401, 403, 403, 403, 200, 200, 200];
const SELLERS_CREATE: [u16; 7] = [401, 403, 403, 403, 201, 201, 201];
const OWN_PRODUCT: [u16; 7] = [401, 403, 403, 403, 200, 403, 200];
const OWN: [u16; 7] = [401, 200, 404, 404, 404, 404, 200];
const ADMIN: [u16; 7] = [401, 403, 403, 403, 403, 403, 200];

/// `{product}`, `{order}`, `{paid}` (an order), `{payment}` and `{reservation}` stand for one that is made for the
/// request, `{number}` for that of an order; `{n}` for a number that nobody has; `{owner}` and `{other}` for accounts.
fn operations() -> Vec<(&'static str, &'static str, Value, [u16; 7])> {
    let item = json!({ "productId": "{product}", "quantity": 1 });
    let account = json!({ "email": "new{n}@example.com", "password": "correct horse" });
    let known = json!({ "email": "owner@example.com", "password": "owner's password" });
    let product = json!({ "name": "Mug", "description": "", "price": 1, "stock": 1 });
    vec![
        ("GET", "/health", json!(null), ANYONE),
        ("POST", "/auth/register", account, [201; 7]),
        ("POST", "/auth/login", known, ANYONE),
        ("POST", "/auth/refresh", json!({ "refreshToken": "made up" }), [401; 7]),
        ("GET", "/auth/me", json!(null), SIGNED_IN),
        ("GET", "/users/me", json!(null), SIGNED_IN),
        ("PUT", "/users/{other}/role", json!({ "role": "user" }), ADMIN),
        ("GET", "/products", json!(null), ANYONE),
        ("POST", "/products", product, SELLERS_CREATE),
        ("GET", "/products/{product}", json!(null), ANYONE),
        ("PUT", "/products/{product}", json!({ "price": 0.01 }), OWN_PRODUCT),
        ("DELETE", "/products/{product}", json!(null), [401, 403, 403, 403, 204, 403, 204]),
        ("GET", "/inventory/check?productId={product}&quantity=1", json!(null), ANYONE),
        ("GET", "/inventory", json!(null), SELLERS),
        ("POST", "/inventory", json!({ "productId": "{n}", "quantity": 1 }), SELLERS_CREATE),
        ("GET", "/inventory/{product}", json!(null), SELLERS),
        ("PUT", "/inventory/{product}", json!({ "threshold": 1 }), SELLERS),
        ("POST", "/inventory/{product}/adjust", json!({ "delta": 1, "reason": "found" }), SELLERS),
        ("GET", "/inventory/{product}/history", json!(null), SELLERS),
        ("POST", "/inventory/reserve", json!({ "items": [item] }), SELLERS_CREATE),
        ("POST", "/inventory/release", json!({ "reservationId": "{reservation}" }), SELLERS),
        ("GET", "/orders", json!(null), SIGNED_IN),
        ("POST", "/orders", json!({ "items": [item] }), [401, 201, 201, 201, 201, 201, 201]),
        ("GET", "/orders/{order}", json!(null), OWN),
        ("GET", "/orders/{order}/events", json!(null), OWN),
        ("GET", "/orders/{order}/timeline", json!(null), OWN),
        ("GET", "/orders/{order}/refunds", json!(null), OWN),
        ("POST", "/orders/{paid}/refunds", json!({ "amount": 0.5 }), ADMIN.map(created)),
        ("PUT", "/orders/{paid}/status", json!({ "status": "shipped" }), ADMIN),
        ("GET", "/orders/number/{number}", json!(null), OWN),
        ("GET", "/orders/user/{owner}", json!(null), OWN),
        ("POST", "/orders/{order}/cancel", json!({}), OWN),
        ("DELETE", "/orders/{order}", json!(null), OWN),
        ("POST", "/payments", json!({ "orderId": "{order}", "token": "tok_visa" }), OWN.map(created)),
        ("GET", "/payments/{payment}", json!(null), OWN),
        ("GET", "/payments/order/{order}", json!(null), OWN),
        ("POST", "/payments/{payment}/refund", json!({}), ADMIN.map(created)),
    ]
}

const fn created(status: u16) -> u16 {
    if status == 200 { 201 } else { status }
}

const NAMES: [&str; 9] =
    ["{n}", "{owner}", "{other}", "{product}", "{order}", "{paid}", "{number}", "{payment}", "{reservation}"];

/// A shop, those who come to it, and what it has already.
struct Cast {
    shop: Shop,
    /// In the order of [`CALLERS`], without nobody and the admin.
    people: Vec<Customer>,
    next: i64,
}

impl Cast {
    async fn assemble() -> Self {
        let shop = Shop::start(ShopOptions::default()).await;
        let mut people = Vec::new();
        for name in &CALLERS[1..6] {
            let person = shop.customer(name).await;
            let role = match *name {
                "service" => "service",
                "seller" | "rival" => "supplier",
                _ => "user",
            };
            let path = format!("/api/v1/users/{}/role", person.id);
            shop.put(path, &json!({ "role": role })).by(shop.admin().await).await.expect(200);
            people.push(shop.sign_in(&person.email, &person.password).await);
        }
        Self { shop, people, next: 1_000_000 }
    }

    async fn caller(&self, name: &str) -> Option<&Customer> {
        match CALLERS.iter().position(|caller| *caller == name).unwrap() {
            0 => None,
            6 => Some(self.shop.admin().await),
            place => Some(&self.people[place - 1]),
        }
    }

    /// The seller's product, with a record in inventory.
    async fn product(&self) -> i64 {
        let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": 5 });
        let seller = self.caller("seller").await.unwrap();
        let product = self.shop.post("/api/v1/products", &body).by(seller).await.expect(201)["id"].as_i64().unwrap();
        self.shop.settle().await;
        product
    }

    /// The owner's order, paid or waiting for its money.
    async fn order(&self, paid: bool) -> i64 {
        let product = self.product().await;
        let owner = self.caller("owner").await.unwrap();
        let order = self.shop.place(owner, product, 1, paid.then_some("tok_visa")).await;
        self.shop.settle().await;
        order
    }

    /// The text with something new for each placeholder. As a JSON text it has them in quotes.
    async fn fill(&mut self, text: &str) -> String {
        let mut filled = text.to_owned();
        for name in NAMES {
            if !filled.contains(name) {
                continue;
            }
            self.next += 1;
            if name == "{number}" {
                let order = self.order(false).await;
                let number = self.shop.find_order(order).await["number"].as_str().unwrap().to_owned();
                filled = filled.replace(name, &number);
                continue;
            }
            let id = match name {
                "{n}" => self.next,
                "{owner}" => self.people[0].id,
                "{other}" => self.people[1].id,
                "{paid}" => self.order(true).await,
                "{product}" => self.product().await,
                // Only a paid order has a payment to be found by.
                "{order}" => self.order(text.starts_with("/payments/order")).await,
                "{payment}" => {
                    let order = self.order(true).await;
                    self.shop.payment_of(order).await.expect(200)["id"].as_i64().unwrap()
                }
                _ => {
                    let items = json!({ "items": [{ "productId": self.product().await, "quantity": 1 }] });
                    let admin = self.shop.admin().await;
                    let held = self.shop.post("/api/v1/inventory/reserve", &items).by(admin).await.expect(201);
                    held["id"].as_i64().unwrap()
                }
            };
            filled = filled.replace(&format!("\"{name}\""), &id.to_string()).replace(name, &id.to_string());
        }
        filled
    }
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let mut cast = Cast::assemble().await;
    let mut wrong = Vec::new();
    for (method, path, body, statuses) in operations() {
        let body = (!body.is_null()).then(|| body.to_string());
        let (mut at, mut sent) = (String::new(), None);
        for (name, status) in CALLERS.into_iter().zip(statuses) {
            // What is only looked at serves all.
            if method != "GET" || name == CALLERS[0] {
                at = cast.fill(path).await;
                sent = match &body {
                    Some(body) => Some(cast.fill(body).await),
                    None => None,
                };
            }
            let prefix = if path == "/health" { "" } else { "/api/v1" };
            let mut call = cast.shop.request(method.parse().unwrap(), format!("{prefix}{at}"));
            if let Some(body) = &sent {
                call = call.header("content-type", "application/json").bytes(body.clone());
            }
            if let Some(caller) = cast.caller(name).await {
                call = call.by(caller);
            }
            let answer = call.await;
            if answer.status != status {
                wrong.push(format!("{method} {at} by {name}: {}, not {status}: {}", answer.status, answer.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cast.shop.settle().await;
    cast.shop.audit();
}

/// The paths of a text, without their query and the names of their parameters.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn the_table_knows_every_documented_path() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md")).unwrap();
    let rows = docs.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let quoted = rows.filter_map(|row| row.split(" | ").nth(1)).flat_map(|cell| cell.split('`'));
    let documented: BTreeSet<_> = quoted.filter(|text| text.starts_with('/')).map(shape).collect();
    let tested: BTreeSet<_> = operations().into_iter().map(|(_, path, ..)| shape(path)).collect();
    assert!(documented.len() > 20, "{documented:?}");
    let missing: Vec<_> = documented.difference(&tested).collect();
    assert!(missing.is_empty(), "documented, and not in the table: {missing:?}");
    assert_eq!(tested.difference(&documented).collect::<Vec<_>>(), ["/health"], "tested, and not in docs/api.md");
}
