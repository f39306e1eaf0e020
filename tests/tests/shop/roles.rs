//! Who may do what: every operation, by everybody.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, eventually};

/// Whose order and payment it is, another customer, a program, the seller of the product, another seller, the admin.
/// Nobody comes first.
const CALLERS: [&str; 7] = ["nobody", "owner", "other", "service", "seller", "rival", "admin"];

const ANYONE: [u16; 7] = [200; 7];
const SIGNED_IN: [u16; 7] = [401, 200, 200, 200, 200, 200, 200];
const SELLERS: [u16; 7] = [401, 403, 403, 403, 200, 200, 200];
const SELLERS_CREATE: [u16; 7] = [401, 403, 403, 403, 201, 201, 201];
const OWN_PRODUCT: [u16; 7] = [401, 403, 403, 403, 200, 403, 200];
/// Inventory does not know which products are for sale: it tells other suppliers of none.
const OWN_STOCK: [u16; 7] = [401, 403, 403, 403, 200, 404, 200];
const OWN: [u16; 7] = [401, 200, 404, 404, 404, 404, 200];
const ADMIN: [u16; 7] = [401, 403, 403, 403, 403, 403, 200];
/// Under `/users/me`: not even an admin is somebody else there.
const MINE: [u16; 7] = [401, 200, 404, 404, 404, 404, 404];
const WRONG: [u16; 7] = [401, 422, 422, 422, 422, 422, 422];

/// `{product}`, `{category}`, `{order}`, `{paid}` (an order), `{payment}` and `{reservation}` stand for one that is made for
/// the request, `{number}` for that of an order; `{n}` for a number that nobody has; `{owner}` and `{other}` for the account
/// of the owner and of the other customer; `{stranger}` for an account that is made for the request; `{address}`,
/// `{method}`, `{session}` and `{mail}` for one of the owner; `{item}` for a product that is in everybody's cart; `{code}` for
/// a discount code.
fn operations() -> Vec<(&'static str, &'static str, Value, [u16; 7])> {
    let item = json!({ "productId": "{product}", "quantity": 1 });
    let account = json!({ "email": "new{n}@example.com", "password": "correct horse" });
    let known = json!({ "email": "owner@example.com", "password": "owner's password" });
    let product = json!({ "name": "Mug", "description": "", "price": 1, "stock": 1 });
    let address = json!({ "name": "Ann", "line1": "1 Main St", "city": "Springfield", "postalCode": "62701",
        "country": "US" });
    let reset = json!({ "email": "owner@example.com", "code": "made up", "newPassword": "a better horse" });
    vec![
        ("GET", "/health", json!(null), ANYONE),
        ("POST", "/auth/register", account, [201; 7]),
        ("POST", "/auth/login", known, ANYONE),
        ("POST", "/auth/refresh", json!({ "refreshToken": "made up" }), [401; 7]),
        ("GET", "/auth/me", json!(null), SIGNED_IN),
        ("POST", "/auth/logout", json!({ "refreshToken": "made up" }), [204; 7]),
        ("POST", "/auth/forgot-password", json!({ "email": "new{n}@example.com" }), [202; 7]),
        ("POST", "/auth/reset-password", reset, [422; 7]),
        ("POST", "/auth/introspect", json!({ "token": "made up" }), [401, 403, 403, 200, 403, 403, 200]),
        ("GET", "/users/me", json!(null), SIGNED_IN),
        ("PUT", "/users/me", json!({ "phone": "555 0100" }), SIGNED_IN),
        ("PATCH", "/users/me", json!({ "phone": null }), SIGNED_IN),
        ("GET", "/users/me/addresses", json!(null), SIGNED_IN),
        ("POST", "/users/me/addresses", address.clone(), [401, 201, 201, 201, 201, 201, 201]),
        ("GET", "/users/me/addresses/{address}", json!(null), MINE),
        ("PUT", "/users/me/addresses/{address}", address, MINE),
        ("DELETE", "/users/me/addresses/{address}", json!(null), MINE.map(gone)),
        ("GET", "/users/me/payment-methods", json!(null), SIGNED_IN),
        ("POST", "/users/me/payment-methods", json!({ "token": "tok_visa" }), [401, 201, 201, 201, 201, 201, 201]),
        ("GET", "/users/me/payment-methods/{method}", json!(null), MINE),
        ("PUT", "/users/me/payment-methods/{method}", json!({ "label": "mine" }), MINE),
        ("DELETE", "/users/me/payment-methods/{method}", json!(null), MINE.map(gone)),
        ("GET", "/users/me/sessions", json!(null), SIGNED_IN),
        ("DELETE", "/users/me/sessions/{session}", json!(null), MINE.map(gone)),
        // With a wrong password: right ones end what the table needs.
        ("POST", "/users/me/password", json!({ "currentPassword": "wrong", "newPassword": "a better horse" }), WRONG),
        ("PUT", "/users/me/password", json!({ "currentPassword": "wrong", "newPassword": "a better horse" }), WRONG),
        ("DELETE", "/users/me", json!({ "password": "wrong" }), WRONG),
        ("GET", "/users", json!(null), ADMIN),
        ("GET", "/users/{owner}", json!(null), OWN),
        ("GET", "/users/{owner}/verify", json!(null), [401, 200, 404, 200, 404, 404, 200]),
        ("PUT", "/users/{other}/role", json!({ "role": "user" }), ADMIN),
        ("PATCH", "/users/{other}/role", json!({ "role": "user" }), ADMIN),
        ("PUT", "/users/{other}/status", json!({ "status": "active" }), ADMIN),
        ("PATCH", "/users/{other}/status", json!({ "status": "active" }), ADMIN),
        ("DELETE", "/users/{stranger}", json!(null), ADMIN.map(gone)),
        ("GET", "/notifications", json!(null), SIGNED_IN),
        ("GET", "/notifications/{mail}", json!(null), OWN),
        ("GET", "/products", json!(null), ANYONE),
        ("POST", "/products", product, SELLERS_CREATE),
        ("GET", "/products/{product}", json!(null), ANYONE),
        ("PUT", "/products/{product}", json!({ "price": 0.01 }), OWN_PRODUCT),
        ("DELETE", "/products/{product}", json!(null), [401, 403, 403, 403, 204, 403, 204]),
        // Sent as JSON, which an import is not: those who may are told so.
        ("POST", "/products/import", json!({}), [401, 403, 403, 403, 415, 415, 415]),
        ("GET", "/products/export", json!(null), SELLERS),
        ("GET", "/products?status=draft", json!(null), SELLERS),
        ("GET", "/categories", json!(null), ANYONE),
        ("GET", "/categories/tree", json!(null), ANYONE),
        ("POST", "/categories", json!({ "name": "c", "slug": "c{n}" }), SELLERS_CREATE),
        ("GET", "/categories/{category}", json!(null), ANYONE),
        ("GET", "/categories/{category}/products", json!(null), ANYONE),
        ("PUT", "/categories/{category}", json!({ "description": "New." }), ADMIN),
        ("DELETE", "/categories/{category}", json!(null), ADMIN.map(gone)),
        ("GET", "/inventory/check?productId={product}&quantity=1", json!(null), ANYONE),
        ("GET", "/inventory", json!(null), SELLERS),
        ("POST", "/inventory", json!({ "productId": "{n}", "quantity": 1 }), SELLERS_CREATE),
        ("GET", "/inventory/{product}", json!(null), OWN_STOCK),
        ("PUT", "/inventory/{product}", json!({ "reorderThreshold": 1 }), OWN_STOCK),
        ("POST", "/inventory/{product}/adjust", json!({ "delta": 1, "reason": "found" }), OWN_STOCK),
        ("GET", "/inventory/{product}/history", json!(null), OWN_STOCK),
        ("POST", "/inventory/reserve", json!({ "items": [item] }), OWN_STOCK.map(created)),
        ("POST", "/inventory/release", json!({ "reservationId": "{reservation}" }), OWN_STOCK),
        ("POST", "/carts", json!(null), [201; 7]),
        ("GET", "/carts/me", json!(null), SIGNED_IN),
        ("GET", "/carts/{owner}", json!(null), OWN),
        ("POST", "/carts/me/items", item.clone(), SIGNED_IN),
        ("PATCH", "/carts/me/items/{item}", json!({ "quantity": 2 }), SIGNED_IN),
        ("PUT", "/carts/me/items/{item}", json!({ "quantity": 2 }), SIGNED_IN),
        ("DELETE", "/carts/me/items/{item}", json!(null), SIGNED_IN),
        // A code is a text: the space keeps the quotes around it, and does not matter.
        ("PUT", "/carts/me/discount", json!({ "code": "{code} " }), SIGNED_IN),
        ("DELETE", "/carts/me/discount", json!(null), SIGNED_IN),
        ("POST", "/carts/me/merge", json!({ "cartToken": "made up" }), [401, 404, 404, 404, 404, 404, 404]),
        ("POST", "/carts/me/checkout", json!({}), [401, 201, 201, 201, 201, 201, 201]),
        ("DELETE", "/carts/me", json!(null), SIGNED_IN),
        ("GET", "/discounts", json!(null), ADMIN),
        ("POST", "/discounts", json!({ "code": "C{n}", "kind": "fixed", "value": 1 }), ADMIN.map(created)),
        ("GET", "/discounts/{code}", json!(null), ADMIN),
        ("PUT", "/discounts/{code}", json!({ "value": 2 }), ADMIN),
        ("DELETE", "/discounts/{code}", json!(null), [401, 403, 403, 403, 403, 403, 204]),
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
        ("POST", "/payments/{payment}/capture", json!(null), ADMIN),
        // It is captured already.
        ("POST", "/payments/{payment}/void", json!(null), [401, 403, 403, 403, 403, 403, 409]),
        ("GET", "/payments/ledger", json!(null), ADMIN),
        // Nobody has a secret to sign with here.
        ("POST", "/payments/webhooks/{provider}", json!({}), [503; 7]),
        // The last ones: after them nobody is signed in.
        ("DELETE", "/users/me/sessions", json!(null), SIGNED_IN.map(gone)),
        ("POST", "/auth/logout-all", json!({}), SIGNED_IN.map(gone)),
    ]
}

const fn gone(status: u16) -> u16 {
    if status == 200 { 204 } else { status }
}

const fn created(status: u16) -> u16 {
    if status == 200 { 201 } else { status }
}

const NAMES: [&str; 17] = [
    "{n}",
    "{owner}",
    "{other}",
    "{stranger}",
    "{address}",
    "{method}",
    "{session}",
    "{mail}",
    "{item}",
    "{code}",
    "{category}",
    "{product}",
    "{order}",
    "{paid}",
    "{number}",
    "{payment}",
    "{reservation}",
];

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

    /// A product that is in everybody's cart.
    async fn item(&self) -> i64 {
        let product = self.product().await;
        let body = json!({ "productId": product, "quantity": 1 });
        for person in self.people.iter().chain([self.shop.admin().await]) {
            self.shop.post("/api/v1/carts/me/items", &body).by(person).await.expect(200);
        }
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

    /// Something that the owner adds to the account.
    async fn own(&self, path: &str, body: &Value) -> i64 {
        let owner = self.caller("owner").await.unwrap();
        self.shop.post(path, body).by(owner).await.expect(201)["id"].as_i64().unwrap()
    }

    /// A further sign-in of the owner.
    async fn session(&self) -> String {
        let owner = self.caller("owner").await.unwrap();
        self.shop.sign_in(&owner.email, &owner.password).await;
        let sessions = self.shop.get("/api/v1/users/me/sessions").by(owner).await.expect(200);
        sessions["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// A mail to the owner.
    async fn mail(&self) -> i64 {
        let owner = self.caller("owner").await.unwrap();
        self.shop.post("/api/v1/auth/forgot-password", &json!({ "email": owner.email })).await.expect(202);
        let find = "SELECT max(id) FROM mails";
        let there = async || self.shop.value("notifications", find).is_i64();
        eventually(Duration::from_secs(20), "the mail is written", there).await;
        self.shop.value("notifications", find).as_i64().unwrap()
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
                "{category}" => {
                    let body = json!({ "name": "c", "slug": format!("category-{}", self.next) });
                    let admin = self.shop.admin().await;
                    let made = self.shop.post("/api/v1/categories", &body).by(admin).await.expect(201);
                    made["id"].as_i64().unwrap()
                }
                "{stranger}" => self.shop.customer(&format!("stranger{}", self.next)).await.id,
                "{address}" => {
                    let address = json!({ "line1": "1 Main St", "city": "x", "postalCode": "x", "country": "US" });
                    self.own("/api/v1/users/me/addresses", &address).await
                }
                "{method}" => self.own("/api/v1/users/me/payment-methods", &json!({ "token": "tok_visa" })).await,
                "{mail}" => self.mail().await,
                "{session}" => {
                    let session = self.session().await;
                    filled = filled.replace(name, &session);
                    continue;
                }
                "{paid}" => self.order(true).await,
                "{item}" => self.item().await,
                "{code}" => {
                    let body = json!({ "code": self.next.to_string(), "kind": "fixed", "value": 1 });
                    let admin = self.shop.admin().await;
                    self.shop.post("/api/v1/discounts", &body).by(admin).await.expect(201);
                    self.next
                }
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
