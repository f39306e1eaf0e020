//! Nobody finds out what there is: who has an account, which orders, payments, carts and mails belong to others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

const LOGIN: &str = "/api/v1/auth/login";
/// A number that nothing has.
const NOTHING: i64 = 987_654_321;

/// All of an answer that may differ for no other reason than which of two things was asked for: `name` stands for how
/// each was called in the request.
fn shown(answer: &Answer, name: &str) -> (u16, BTreeMap<String, String>, String) {
    let changing = ["x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset", "date", "retry-after"];
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.filter(|(name, _)| !changing.contains(&name.as_str())).collect();
    (
        answer.status.as_u16(),
        headers,
        answer.text.replace(&format!("{}", answer.status.as_u16()), "status").replace(name, "…"),
    )
}

/// What somebody else has, that a stranger must not tell from nothing.
struct Treasure {
    shop: Shop,
    bob: Customer,
    rival: Customer,
    order: i64,
    paid: i64,
    number: String,
    payment: i64,
    address: i64,
    method: i64,
    mail: i64,
    session: String,
    owner: i64,
    draft: i64,
}

impl Treasure {
    async fn hide() -> Self {
        let shop = Shop::start(ShopOptions::default()).await;
        let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
        let (sue, rival) = (shop.seller("sue").await, shop.seller("rival").await);
        let mug = shop.product(1.0, 50).await;
        let order = shop.place(&ann, mug, 1, None).await;
        let paid = shop.place(&ann, mug, 1, Some("tok_visa")).await;
        shop.wait_for(order, "reserved").await;
        shop.wait_for(paid, "paid").await;
        let id = |value: Value| value["id"].as_i64().unwrap();
        let address = json!({ "line1": "1 Main St", "city": "x", "postalCode": "x", "country": "US" });
        let address = shop.post("/api/v1/users/me/addresses", &address).by(&ann).await.expect(201);
        let method = json!({ "token": "tok_visa" });
        let method = shop.post("/api/v1/users/me/payment-methods", &method).by(&ann).await.expect(201);
        let draft = json!({ "name": "Secret", "description": "", "price": 1, "stock": 1, "status": "draft" });
        let draft = shop.post("/api/v1/products", &draft).by(&sue).await.expect(201);
        shop.post("/api/v1/auth/forgot-password", &json!({ "email": ann.email })).await.expect(202);
        let written = async || shop.value("notifications", "SELECT max(id) FROM mails").is_i64();
        eventually(Duration::from_secs(20), "the mail is written", written).await;
        shop.settle().await;
        let sessions = shop.get("/api/v1/users/me/sessions").by(&ann).await.expect(200);
        Self {
            number: shop.find_order(order).await["number"].as_str().unwrap().to_owned(),
            payment: id(shop.payment_of(paid).await.expect(200)),
            mail: shop.value("notifications", "SELECT max(id) FROM mails").as_i64().unwrap(),
            session: sessions["items"][0]["id"].as_str().unwrap().to_owned(),
            address: id(address),
            method: id(method),
            draft: id(draft),
            owner: ann.id,
            shop,
            bob,
            rival,
            order,
            paid,
        }
    }
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_told_from_nothing_by_nobody() {
    let there = Treasure::hide().await;
    let (shop, bob, rival) = (&there.shop, &there.bob, &there.rival);
    let address = json!({ "line1": "1 Main St", "city": "x", "postalCode": "x", "country": "US" });
    let mug = shop.product(1.0, 5).await;
    let order = |name: &str, value: i64| {
        let mut body = json!({ "items": [{ "productId": mug, "quantity": 1 }] });
        body[name] = json!(value);
        body
    };
    let (number, session) = (there.number.as_str(), there.session.as_str());
    let (empty, nothing) = (json!({}), NOTHING.to_string());
    let made_up = ("B-2026-999999", "00000000-0000-7000-8000-000000000000");
    // Who asks, how, and under which two names; `#` stands for them, in the path and in the body.
    let cases: Vec<(&Customer, &str, &str, Value, String, &str)> = vec![
        (bob, "GET", "/orders/#", json!(null), there.order.to_string(), &nothing),
        (bob, "GET", "/orders/#", json!(null), there.paid.to_string(), &nothing),
        (bob, "GET", "/orders/#/timeline", json!(null), there.order.to_string(), &nothing),
        (bob, "GET", "/orders/#/events", json!(null), there.paid.to_string(), &nothing),
        (bob, "GET", "/orders/#/refunds", json!(null), there.paid.to_string(), &nothing),
        (bob, "GET", "/orders/number/#", json!(null), number.to_owned(), made_up.0),
        (bob, "GET", "/orders/user/#", json!(null), there.owner.to_string(), &nothing),
        (bob, "POST", "/orders/#/cancel", empty.clone(), there.order.to_string(), &nothing),
        (bob, "DELETE", "/orders/#", json!(null), there.paid.to_string(), &nothing),
        (bob, "PUT", "/orders/#/status", json!({ "status": "shipped" }), there.paid.to_string(), &nothing),
        (bob, "POST", "/orders/#/refunds", empty.clone(), there.paid.to_string(), &nothing),
        (bob, "GET", "/payments/#", json!(null), there.payment.to_string(), &nothing),
        (bob, "GET", "/payments/order/#", json!(null), there.paid.to_string(), &nothing),
        (bob, "GET", "/payments/order/#", json!(null), there.order.to_string(), &nothing),
        (bob, "POST", "/payments", json!({ "orderId": "#", "token": "tok_visa" }), there.order.to_string(), &nothing),
        (bob, "POST", "/payments", json!({ "orderId": "#", "token": "tok_visa" }), there.paid.to_string(), &nothing),
        (bob, "POST", "/payments/#/refund", empty.clone(), there.payment.to_string(), &nothing),
        (bob, "POST", "/payments/#/capture", empty.clone(), there.payment.to_string(), &nothing),
        (bob, "POST", "/payments/#/void", empty.clone(), there.payment.to_string(), &nothing),
        (bob, "GET", "/payments/ledger?orderId=#", json!(null), there.paid.to_string(), &nothing),
        (bob, "GET", "/users/#", json!(null), there.owner.to_string(), &nothing),
        (bob, "GET", "/users/#/verify", json!(null), there.owner.to_string(), &nothing),
        (bob, "PUT", "/users/#/role", json!({ "role": "user" }), there.owner.to_string(), &nothing),
        (bob, "DELETE", "/users/#", json!(null), there.owner.to_string(), &nothing),
        (bob, "GET", "/users/me/addresses/#", json!(null), there.address.to_string(), &nothing),
        (bob, "PUT", "/users/me/addresses/#", address, there.address.to_string(), &nothing),
        (bob, "DELETE", "/users/me/addresses/#", json!(null), there.address.to_string(), &nothing),
        (bob, "GET", "/users/me/payment-methods/#", json!(null), there.method.to_string(), &nothing),
        (bob, "DELETE", "/users/me/payment-methods/#", json!(null), there.method.to_string(), &nothing),
        (bob, "DELETE", "/users/me/sessions/#", json!(null), session.to_owned(), made_up.1),
        (bob, "GET", "/notifications/#", json!(null), there.mail.to_string(), &nothing),
        (bob, "GET", "/carts/#", json!(null), there.owner.to_string(), &nothing),
        (bob, "GET", "/discounts/#", json!(null), "SPRING".to_owned(), "SUMMER"),
        (bob, "POST", "/orders", order("shippingAddressId", -1), there.address.to_string(), &nothing),
        (bob, "POST", "/orders", order("billingAddressId", -1), there.address.to_string(), &nothing),
        (bob, "POST", "/orders", order("paymentMethodId", -1), there.method.to_string(), &nothing),
        (bob, "GET", "/products/#", json!(null), there.draft.to_string(), &nothing),
        (rival, "GET", "/products/#", json!(null), there.draft.to_string(), &nothing),
        (bob, "GET", "/inventory/check?productId=#&quantity=1", json!(null), there.draft.to_string(), &nothing),
        (rival, "GET", "/inventory/#", json!(null), there.draft.to_string(), &nothing),
        (rival, "GET", "/inventory/#/history", json!(null), there.draft.to_string(), &nothing),
        (rival, "POST", "/inventory/#/adjust", json!({ "delta": 1, "reason": "x" }), there.draft.to_string(), &nothing),
    ];
    let spring = json!({ "code": "SPRING", "kind": "fixed", "value": 1 });
    shop.post("/api/v1/discounts", &spring).by(shop.admin().await).await.expect(201);
    let mut told = Vec::new();
    for (who, method, path, body, theirs, unknown) in cases {
        let ask = async |name: &str| {
            let body = body.to_string().replace("\"#\"", name).replace("-1", name);
            let call = shop.request(method.parse().unwrap(), format!("/api/v1{}", path.replace('#', name))).by(who);
            let call = if body == "null" { call } else { call.header("content-type", "application/json").bytes(body) };
            shown(&call.await, name)
        };
        let (found, missing) = (ask(&theirs).await, ask(unknown).await);
        if found != missing || !(400..500).contains(&found.0) {
            told.push(format!("{method} {path}: {found:?} is not {missing:?}"));
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
    assert_eq!(shop.find_order(there.order).await["status"], "reserved", "and nothing has been done");
    // Lists have nothing of others either, whatever they are asked for.
    for path in
        ["orders", &format!("orders?userId={}", there.owner), "notifications", &format!("orders?number={number}")]
    {
        let list = shop.get(format!("/api/v1/{path}")).by(bob).await;
        let mine = list.status.is_success().then(|| list.body["items"].as_array().unwrap().len());
        assert!(
            mine.unwrap_or(0) <= 1 && !list.text.contains(&format!("\"userId\":{}", there.owner)),
            "{path}: {}",
            list.text
        );
    }
}

#[tokio::test]
async fn signing_in_says_the_same_after_the_same_work_whoever_it_is() {
    needs_bench!("it writes into a database that a server has open, and looks at calls");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    shop.tamper("accounts", &format!("UPDATE users SET status = 'suspended' WHERE id = {}", bob.id));
    let attempt = async |email: &str, password: &str| {
        script.record();
        let answer = shop.post(LOGIN, &json!({ "email": email, "password": password })).await;
        let seen = script.recorded();
        let own = |sql: &str| {
            !["DELETE", "deliveries", "rate_limits", "sqlite_", "_at < $1 LIMIT 1"]
                .iter()
                .any(|other| sql.contains(other))
        };
        // Not what housekeeping does meanwhile.
        let about = |sql: &str| ["users", "failures", "sessions", "passwords"].iter().any(|table| sql.contains(table));
        let calls: Vec<_> =
            seen.into_iter().map(|call| call.detail).filter(|detail| own(detail) && about(detail)).collect();
        (shown(&answer, email), calls)
    };
    // The first ones open connections.
    attempt("warm.up@example.com", "not the password").await;
    let expected = attempt(&ann.email, "not the password").await;
    assert_eq!(expected.0.0, 401);
    assert!(expected.1.iter().any(|call| call.contains("passwords.spin.internal")), "{:?}", expected.1);
    for (email, password) in [
        ("nobody@example.com", "not the password"),
        ("no address at all", "not the password"),
        (bob.email.as_str(), "not the password"),
        (bob.email.as_str(), bob.password.as_str()),
    ] {
        assert_eq!(attempt(email, password).await, expected, "{email}");
    }
}

#[tokio::test]
async fn a_taken_address_is_told_to_who_registers_and_to_few_of_them() {
    let variables =
        [("auth_rate_limit_max".to_owned(), "8".to_owned()), ("rate_limit_window_ms".to_owned(), "3600000".to_owned())];
    let shop = Shop::start(ShopOptions { variables: variables.into(), ..ShopOptions::default() }).await;
    needs_bench!("it moves the clock");
    shop.clock.advance(Duration::from_secs(3600 - shop.now().as_secs() % 3600));
    let ann = shop.customer("ann").await;
    // Registering and signing in were two of eight.
    let statuses = async |count: usize| {
        let mut statuses = BTreeSet::new();
        for number in 0..count {
            let email = if number % 2 == 0 { ann.email.clone() } else { format!("new{number}@example.com") };
            let body = json!({ "email": email, "password": "short" });
            statuses.insert(shop.post("/api/v1/auth/register", &body).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses(6).await, BTreeSet::from([422]), "a password that is none says nothing of the address");
    assert_eq!(statuses(6).await, BTreeSet::from([429]));
}
