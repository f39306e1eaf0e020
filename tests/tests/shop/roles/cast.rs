//! Those who come to the shop, and what they bring along.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, eventually};

use super::{CALLERS, accounts, role};

/// A shop, and who comes to it.
pub(crate) struct Cast {
    pub(crate) shop: Shop,
    /// In the order of [`CALLERS`], without nobody and the admin.
    people: Vec<Customer>,
    next: i64,
}

impl Cast {
    pub(crate) async fn assemble() -> Self {
        let mut options = ShopOptions::default();
        let secret = format!("whsec_{}", STANDARD.encode("a secret that no caller has"));
        options.variables.insert("payment_webhook_secret".to_owned(), secret.clone());
        options.variables.insert("ingest_secret".to_owned(), secret);
        let shop = Shop::start(options).await;
        let mut people = Vec::new();
        for name in &CALLERS[1..6] {
            let person = shop.customer(name).await;
            let path = format!("/api/v1/users/{}/role", person.id);
            shop.put(path, &json!({ "role": role(name) })).by(shop.admin().await).await.expect(200);
            people.push(shop.sign_in(&person.email, &person.password).await);
        }
        Self { shop, people, next: 1_000_000 }
    }

    /// Who signs in by this name of [`CALLERS`].
    pub(crate) async fn caller(&self, name: &str) -> Option<&Customer> {
        match CALLERS.iter().position(|caller| *caller == name).unwrap() {
            0 => None,
            6 => Some(self.shop.admin().await),
            place => Some(&self.people[place - 1]),
        }
    }

    /// The text with something new for each name in braces. What is a number stands in JSON without quotes.
    pub(crate) async fn fill(&mut self, text: &str) -> String {
        let mut filled = text.to_owned();
        for name in names(text) {
            let value = self.make(name).await;
            let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            filled = filled.replace(&format!("\"{{{name}}}\""), &value.to_string());
            filled = filled.replace(&format!("{{{name}}}"), &plain);
        }
        filled
    }

    /// What a name stands for: mostly a thing that is made for this request.
    async fn make(&mut self, name: &str) -> Value {
        self.next += 1;
        let next = self.next;
        match name {
            // A number that nobody has.
            "n" => json!(next),
            // Accounts that there are, and one that has nothing to do with anything.
            "owner" => json!(self.people[0].id),
            "other" => json!(self.people[1].id),
            "admin" => json!(self.shop.admin().await.id),
            "stranger" => json!(self.shop.customer(&format!("stranger{next}")).await.id),
            // Of the owner's account.
            "address" => self.add("owner", "/users/me/addresses", &accounts::address()).await,
            "method" => self.add("owner", "/users/me/payment-methods", &json!({ "token": "tok_visa" })).await,
            "refresh" => self.sign_in("owner").await["refreshToken"].clone(),
            "session" => self.session().await,
            "mail" => self.mail().await,
            // A new account that has forgotten its password, and the code that was sent to it.
            "mailbox" => json!(self.shop.customer(&format!("mailbox{next}")).await.email),
            "otp" => self.otp().await,
            // Of the seller.
            "product" => json!(self.product("active").await),
            "draft" => json!(self.product("draft").await),
            // Of the shop.
            "category" => {
                self.add("admin", "/categories", &json!({ "name": "c", "slug": format!("made-{next}") })).await
            }
            "code" => {
                let code = format!("MADE{next}");
                self.add("admin", "/discounts", &json!({ "code": code, "kind": "fixed", "value": 1 })).await;
                json!(code)
            }
            "reservation" => {
                let item = json!({ "productId": self.product("active").await, "quantity": 1 });
                self.add("admin", "/inventory/reserve", &json!({ "items": [item] })).await
            }
            // In everybody's cart, and a cart of somebody without an account.
            "item" => json!(self.item().await),
            "cart" => self.shop.request(reqwest::Method::POST, "/api/v1/carts").await.expect(201)["token"].clone(),
            // The owner's: waiting for its money, with its money, its number, its payment, one that is only held, and one
            // that has not been sent.
            "order" => json!(self.order(None).await),
            "paid" => json!(self.order(Some("tok_visa")).await),
            "number" => {
                let order = self.order(None).await;
                self.shop.find_order(order).await["number"].clone()
            }
            "payment" => {
                let order = self.order(Some("tok_visa")).await;
                self.shop.payment_of(order).await.expect(200)["id"].clone()
            }
            "held" => {
                let body = json!({ "orderId": self.order(None).await, "token": "tok_visa", "capture": false });
                self.add("owner", "/payments", &body).await
            }
            "waiting" => self.waiting().await,
            "provider" => json!("sandbox"),
            "file" => json!("page.js"),
            // What has a configuration, and one of its profiles.
            "service" => json!("orders"),
            "profile" => json!("default"),
            other => panic!("nobody knows what {{{other}}} is"),
        }
    }

    /// The id of something that `name` creates.
    async fn add(&self, name: &str, path: &str, body: &Value) -> Value {
        let person = self.caller(name).await.unwrap();
        self.shop.post(format!("/api/v1{path}"), body).by(person).await.expect(201)["id"].clone()
    }

    /// A further sign-in.
    async fn sign_in(&self, name: &str) -> Value {
        let person = self.caller(name).await.unwrap();
        let body = json!({ "email": person.email, "password": person.password });
        self.shop.post("/api/v1/auth/login", &body).await.expect(200)
    }

    async fn session(&self) -> Value {
        self.sign_in("owner").await;
        let owner = self.caller("owner").await.unwrap();
        let sessions = self.shop.get("/api/v1/users/me/sessions").by(owner).await.expect(200);
        sessions["items"][0]["id"].clone()
    }

    async fn mail(&self) -> Value {
        let owner = self.caller("owner").await.unwrap();
        self.shop.post("/api/v1/auth/forgot-password", &json!({ "email": owner.email })).await.expect(202);
        let find = format!("SELECT max(id) FROM mails WHERE user_id = {} AND status = 'sent'", owner.id);
        let there = async || self.shop.value("notifications", &find).is_i64();
        eventually(Duration::from_secs(20), "the mail is sent", there).await;
        self.shop.value("notifications", &find)
    }

    /// A code for a new password of the newest account.
    async fn otp(&self) -> Value {
        let email = self.shop.value("accounts", "SELECT email FROM users ORDER BY id DESC LIMIT 1");
        self.shop.post("/api/v1/auth/forgot-password", &json!({ "email": email })).await.expect(202);
        let find =
            format!("SELECT json_extract(data, '$.code') FROM mails WHERE recipient = '{}'", email.as_str().unwrap());
        let there = async || self.shop.value("notifications", &find).is_string();
        eventually(Duration::from_secs(20), "the code is written", there).await;
        self.shop.value("notifications", &find)
    }

    /// A product of the seller, which inventory knows.
    async fn product(&self, status: &str) -> i64 {
        let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": 5, "status": status });
        let product = self.add("seller", "/products", &body).await.as_i64().unwrap();
        self.shop.settle().await;
        product
    }

    async fn item(&self) -> i64 {
        let product = self.product("active").await;
        let body = json!({ "productId": product, "quantity": 1 });
        for person in self.people.iter().chain([self.shop.admin().await]) {
            self.shop.post("/api/v1/carts/me/items", &body).by(person).await.expect(200);
        }
        product
    }

    async fn waiting(&self) -> Value {
        let order = self.order(None).await;
        // As if the news that its stock is reserved were still under way.
        self.shop.tamper("payments", &format!("DELETE FROM payable_orders WHERE order_id = {order}"));
        self.add("owner", "/payments", &json!({ "orderId": order, "token": "tok_visa" })).await
    }

    async fn order(&self, token: Option<&str>) -> i64 {
        let product = self.product("active").await;
        let order = self.shop.place(self.caller("owner").await.unwrap(), product, 1, token).await;
        self.shop.settle().await;
        order
    }
}

/// The names in braces. An object of JSON has a quote or nothing behind its brace.
fn names(text: &str) -> Vec<&str> {
    let rest = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let name = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    rest.map(|(name, _)| name).filter(name).collect()
}
