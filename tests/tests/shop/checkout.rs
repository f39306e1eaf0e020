//! A cart becomes an order once: no item for free, and none lost, whatever happens at the same time.

use std::{
    collections::BTreeSet,
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    jitter::jitter,
    support::{assert_invalid, assert_problem},
};
use bodega_host::{Phase, Verdict};
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Call, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

pub(crate) const MINE: &str = "/api/v1/carts/me";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than others leave a checkout to the request that began it.
pub(crate) const GRACE: Duration = Duration::from_secs(16);

pub(crate) async fn open() -> (Arc<Script>, Shop, Customer, i64) {
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 1000).await;
    shop.settle().await;
    (script, shop, ann, mug)
}

pub(crate) fn add<'a>(shop: &'a Shop, by: &'a Customer, product: i64, quantity: u32) -> Call<'a> {
    shop.post(format!("{MINE}/items"), &json!({ "productId": product, "quantity": quantity })).by(by)
}

pub(crate) fn check_out<'a>(shop: &'a Shop, by: &'a Customer, body: &Value) -> Call<'a> {
    shop.post(format!("{MINE}/checkout"), body).by(by)
}

pub(crate) async fn mine(shop: &Shop, by: &Customer) -> Value {
    shop.get(MINE).by(by).await.expect(200)
}

/// Products and quantities of a cart or an order.
pub(crate) fn lines(of: &Value) -> Vec<(i64, i64)> {
    let items = of["items"].as_array().unwrap();
    items.iter().map(|item| (item["productId"].as_i64().unwrap(), item["quantity"].as_i64().unwrap())).collect()
}

pub(crate) fn orders(shop: &Shop) -> i64 {
    shop.value("orders", "SELECT count(*) FROM orders").as_i64().unwrap()
}

pub(crate) async fn discount(shop: &Shop, by: &Customer, fields: Value) {
    let mut body = json!({ "code": "TEN", "kind": "percentage", "value": 10 });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    shop.post("/api/v1/discounts", &body).by(shop.admin().await).await.expect(201);
    shop.put(format!("{MINE}/discount"), &json!({ "code": "ten" })).by(by).await.expect(200);
}

pub(crate) async fn uses(shop: &Shop) -> Value {
    shop.get("/api/v1/discounts/TEN").by(shop.admin().await).await.expect(200)["uses"].clone()
}

#[tokio::test]
async fn a_cart_becomes_an_order_and_the_next_one_is_empty() {
    let (_, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    add(&shop, &ann, mug, 2).await.expect(200);
    let cart = add(&shop, &ann, cup, 1).await.expect(200);
    discount(&shop, &ann, json!({ "maxUses": 1 })).await;
    let address = json!({ "name": "Ann", "line1": "1 Main St", "city": "Ulm", "postalCode": "89073", "country": "DE" });
    let body = json!({ "payment": { "token": "tok_visa" }, "shippingAddress": address });
    let placed = check_out(&shop, &ann, &body).key("k").await.expect(201);
    assert_eq!((lines(&placed), &placed["status"]), (vec![(mug, 2), (cup, 1)], &json!("pending")));
    assert_eq!((&placed["userId"], &placed["shippingAddress"]), (&json!(ann.id), &address));
    shop.wait_for(placed["id"].as_i64().unwrap(), "paid").await;

    let next = mine(&shop, &ann).await;
    assert_eq!((lines(&next), &next["discount"], &next["status"]), (vec![], &Value::Null, &json!("open")));
    let added = add(&shop, &ann, cup, 3).await.expect(200);
    assert_ne!(added["id"], cart["id"], "it is another cart");
    let again = check_out(&shop, &ann, &body).key("k").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(201), placed, "the same request is answered with the same order");
    assert_eq!(lines(&mine(&shop, &ann).await), [(cup, 3)], "and leaves the next cart alone");
    shop.settle().await;
    assert_eq!((orders(&shop), uses(&shop).await), (1, json!(1)));
    let kept = shop.query("carts", "SELECT details FROM checkouts");
    assert_eq!(kept, [[Value::Null]], "neither the address nor the payment token is kept");
    shop.audit();
}

#[tokio::test]
async fn a_cart_says_what_it_would_cost_as_an_order() {
    let (_, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    let estimated = async || shop.get(format!("{MINE}?estimate=true")).by(&ann).await.expect(200)["estimate"].clone();
    assert_eq!(estimated().await, Value::Null, "nothing costs nothing");
    add(&shop, &ann, mug, 3).await.expect(200);
    add(&shop, &ann, cup, 1).await.expect(200);
    discount(&shop, &ann, json!({})).await;
    shop.delete(format!("/api/v1/products/{cup}")).by(shop.admin().await).await;
    let estimate = estimated().await;
    assert_eq!((&estimate["subtotal"], &estimate["discount"]), (&json!(15.0), &json!(1.5)), "of what is available");
    assert_eq!(mine(&shop, &ann).await["estimate"], Value::Null, "only when it is asked for");
    shop.delete(format!("{MINE}/items/{cup}")).by(&ann).await.expect(200);
    let placed = check_out(&shop, &ann, &json!({})).await.expect(201);
    for part in ["subtotal", "discount", "shipping", "tax", "total", "currency"] {
        assert_eq!(placed[part], estimate[part], "{part}");
    }
    assert_invalid(&shop.get(format!("{MINE}?shippingAddressId=9")).by(&ann).await, &["shippingAddressId"], "none");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_checkout_that_makes_no_sense_is_refused() {
    let (_, shop, ann, mug) = open().await;
    for call in [check_out(&shop, &ann, &json!({})), shop.request(Method::POST, format!("{MINE}/checkout")).by(&ann)] {
        assert_problem(&call.await, 409, "cart-empty", "nothing in it");
    }
    let cart = add(&shop, &ann, mug, 1).await.expect(200);
    let address = json!({ "name": "", "line1": "1 Main St", "city": "Ulm", "postalCode": "89073", "country": "de" });
    for (body, fields) in [
        (json!({ "payment": {} }), &["payment.token"][..]),
        (json!({ "payment": { "token": "" } }), &["payment.token"]),
        (json!({ "payment": { "token": "tok_visa", "methodId": 1 } }), &["payment.token"]),
        (json!({ "shippingAddress": address }), &["shippingAddress.country", "shippingAddress.name"]),
        (json!({ "billingAddress": { "name": "Ann" } }), &["billingAddress.line1"]),
        (json!({ "shippingAddressId": "x" }), &["shippingAddressId"]),
    ] {
        assert_invalid(&check_out(&shop, &ann, &body).await, fields, &body.to_string());
    }
    assert_eq!(mine(&shop, &ann).await, cart);
    // Nothing needs to be said to order what is in the cart.
    let placed = shop.request(Method::POST, format!("{MINE}/checkout/")).by(&ann).await.expect(201);
    assert_eq!(lines(&placed), [(mug, 1)]);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_cart_is_paid_and_delivered_as_the_account_says() {
    let (_, shop, ann, mug) = open().await;
    let bob = shop.customer("bob").await;
    let address = json!({ "name": "Ann", "line1": "1 Main St", "city": "Ulm", "postalCode": "89073", "country": "DE" });
    let made = async |by: &Customer, what: &str, body: &Value| {
        shop.post(format!("/api/v1/users/me/{what}"), body).by(by).await.expect(201)["id"].clone()
    };
    let (home, others) = (made(&ann, "addresses", &address).await, made(&bob, "addresses", &address).await);
    let card = made(&ann, "payment-methods", &json!({ "token": "tok_visa" })).await;
    add(&shop, &ann, mug, 1).await.expect(200);
    for (body, field) in [
        (json!({ "shippingAddressId": others }), "shippingAddressId"),
        (json!({ "billingAddressId": 999 }), "billingAddressId"),
        (json!({ "shippingAddress": address, "shippingAddressId": home }), "shippingAddressId"),
        (json!({ "payment": { "methodId": 999 } }), "payment.methodId"),
    ] {
        assert_invalid(&check_out(&shop, &ann, &body).await, &[field], &body.to_string());
    }
    let estimate = shop.get(format!("{MINE}?estimate=true&shippingAddressId={home}")).by(&ann).await.expect(200);
    let body = json!({ "shippingAddressId": home, "billingAddressId": home, "payment": { "methodId": card } });
    let placed = check_out(&shop, &ann, &body).await.expect(201);
    assert_eq!((&placed["shippingAddress"], &placed["billingAddress"]), (&address, &address));
    assert_eq!(placed["total"], estimate["estimate"]["total"]);
    shop.wait_for(placed["id"].as_i64().unwrap(), "paid").await;
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_refusal_gives_the_cart_back() {
    let (_, shop, ann, mug) = open().await;
    let cup = shop.product(1.0, 10).await;
    add(&shop, &ann, mug, 1).await.expect(200);
    add(&shop, &ann, cup, 1).await.expect(200);
    discount(&shop, &ann, json!({ "minimum": 20 })).await;
    let submit = || check_out(&shop, &ann, &json!({})).key("k");
    let before = mine(&shop, &ann).await;
    assert_problem(&submit().await, 409, "discount-minimum", "not enough for the code");
    assert_eq!(mine(&shop, &ann).await, before);
    add(&shop, &ann, mug, 4).await.expect(200);
    shop.delete(format!("/api/v1/products/{cup}")).by(shop.admin().await).await;
    assert_invalid(&submit().await, &["items[1].productId"], "no longer sold");
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 5), (cup, 1)]);
    assert_eq!((orders(&shop), uses(&shop).await), (0, json!(0)), "the use is back at once");
    shop.delete(format!("{MINE}/items/{cup}")).by(&ann).await.expect(200);
    let placed = submit().await.expect(201);
    assert_eq!(lines(&placed), [(mug, 5)], "a refusal is not remembered: the key is good for the next attempt");
    shop.settle().await;
    assert_eq!((orders(&shop), uses(&shop).await), (1, json!(1)));
    shop.audit();
}

/// The orders that the answers show, each once.
fn placed(answers: &[Answer]) -> BTreeSet<i64> {
    let placed = answers.iter().filter(|answer| answer.status == 201);
    placed.map(|answer| answer.body["id"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_submitted_many_times_at_once_is_one_order() {
    let (_, shop, ann, mug) = open().await;
    let pay = json!({ "payment": { "token": "tok_visa" } });
    for round in 1..=5 {
        add(&shop, &ann, mug, 1).await.expect(200);
        // Under one key, under many, or under none: whoever comes too late finds an empty cart.
        let submit = |n: usize| {
            let call = check_out(&shop, &ann, &pay);
            match round % 3 {
                0 => call.key(&format!("round {round}")),
                1 => call.key(&format!("round {round}, {n}")),
                _ => call,
            }
        };
        let answers = join_all((0..20).map(|n| submit(n).into_future())).await;
        for answer in &answers {
            let late = answer.status == 409 && answer.body["code"] == "cart-empty" && round % 3 != 0;
            assert!(answer.status == 201 || late, "{}", answer.text);
        }
        assert_eq!(placed(&answers).len(), 1);
        assert_eq!((orders(&shop), lines(&mine(&shop, &ann).await)), (round, vec![]));
    }
    shop.settle().await;
    assert_eq!(shop.provider_books().len(), 5, "one charge each");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_submitted_with_two_cards_is_charged_to_one() {
    let (_, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 1).await.expect(200);
    let tokens = ["tok_visa", "tok_mastercard"];
    let bodies = tokens.map(|token| json!({ "payment": { "token": token } }));
    let answers = join_all((0..10).map(|n| check_out(&shop, &ann, &bodies[n % 2]).into_future())).await;
    for answer in &answers {
        let code = answer.body["code"].as_str().unwrap_or_default();
        assert!(answer.status == 201 || ["checkout-under-way", "cart-empty"].contains(&code), "{}", answer.text);
    }
    assert_eq!((placed(&answers).len(), orders(&shop)), (1, 1));
    shop.settle().await;
    assert_eq!(shop.provider_books().len(), 1);
    shop.audit();
}

/// Every piece that the shop has said to be in the cart is in the order or in the next cart, and no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cart_changed_in_the_instant_of_its_checkout_loses_nothing_and_gives_nothing_away() {
    needs_bench!("it delays calls of components");
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.0, 1000).await;
    let mut endings = BTreeSet::new();
    for round in 0..40 {
        let emptied = shop.delete(MINE).by(&ann).await;
        assert_eq!(emptied.status, 200);
        add(&shop, &ann, mug, 2).await.expect(200);
        jitter(&script, 7000 + round);
        let late = |millis: u64| tokio::time::sleep(Duration::from_millis(millis));
        let submit = async {
            late(40_u64.saturating_sub(round * 2)).await;
            check_out(&shop, &ann, &json!({})).await
        };
        let change = async {
            late((round * 2).saturating_sub(40)).await;
            match round % 4 {
                0 => add(&shop, &ann, cup, 1).await,
                1 => add(&shop, &ann, mug, 3).await,
                2 => shop.put(format!("{MINE}/items/{mug}"), &json!({ "quantity": 5 })).by(&ann).await,
                _ => shop.delete(format!("{MINE}/items/{mug}")).by(&ann).await,
            }
        };
        let (submitted, changed) = join(submit, change).await;
        script.clear();
        let ordered = if submitted.status == 201 { lines(&submitted.body) } else { vec![] };
        let left = lines(&mine(&shop, &ann).await);
        let done = changed.status == 200;
        let with_cup = vec![(mug, 2), (cup, 1)];
        let fits = match (round % 4, done) {
            (_, false) => [404, 409].contains(&changed.status.as_u16()) && ordered == [(mug, 2)] && left.is_empty(),
            (0, true) => (ordered == with_cup && left.is_empty()) || (ordered == [(mug, 2)] && left == [(cup, 1)]),
            (1, true) => (ordered == [(mug, 5)] && left.is_empty()) || (ordered == [(mug, 2)] && left == [(mug, 3)]),
            (2, true) => ordered == [(mug, 5)] && left.is_empty(),
            // Removed before: there was nothing to order.
            (_, true) => submitted.body["code"] == "cart-empty" && left.is_empty(),
        };
        assert!(fits, "round {round}: {} {}; ordered {ordered:?}, left {left:?}", changed.status, submitted.text);
        endings.insert((round % 4, changed.status.as_u16(), left.is_empty()));
    }
    assert!(endings.len() > 6, "the rounds ended alike: {endings:?}");
    shop.settle().await;
    shop.audit();
}

/// Holds up the call of carts for an order until the flag is set.
fn hold_orders(script: &Script) -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let (reached, released) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let flags = (reached.clone(), released.clone());
    script.rule(move |call| {
        let held = call.component == "carts" && call.detail.ends_with("//orders.spin.internal/internal/orders");
        if held && call.phase == Phase::Before && !released.load(Ordering::SeqCst) {
            reached.store(true, Ordering::SeqCst);
            return Verdict::Delay(Duration::from_millis(1500));
        }
        Verdict::Proceed
    });
    flags
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_into_a_cart_that_is_being_ordered() {
    needs_bench!("it delays calls of components");
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.0, 10).await;
    add(&shop, &ann, mug, 2).await.expect(200);
    let anonymous = shop.request(Method::POST, "/api/v1/carts").await.expect(201);
    let token = anonymous["token"].as_str().unwrap();
    let body = json!({ "productId": cup, "quantity": 1 });
    shop.post(format!("{MINE}/items"), &body).header("x-cart-token", token).await.expect(200);

    let (reached, released) = hold_orders(&script);
    let watch = async {
        eventually(PATIENCE, "orders are asked", async || reached.load(Ordering::SeqCst)).await;
        let shown = shop.get(MINE).by(&ann).header("x-cart-token", token).await.expect(200);
        assert_eq!((&shown["status"], lines(&shown)), (&json!("checking-out"), vec![(mug, 2)]));
        for change in [
            add(&shop, &ann, cup, 1),
            shop.put(format!("{MINE}/items/{mug}"), &json!({ "quantity": 9 })).by(&ann),
            shop.delete(format!("{MINE}/items/{mug}")).by(&ann),
            shop.delete(MINE).by(&ann),
            shop.delete(format!("{MINE}/discount")).by(&ann),
            shop.post(format!("{MINE}/merge"), &json!({ "cartToken": token })).by(&ann),
            check_out(&shop, &ann, &json!({ "payment": { "token": "tok_visa" } })),
        ] {
            assert_problem(&change.await, 409, "checkout-under-way", "meanwhile");
        }
        released.store(true, Ordering::SeqCst);
    };
    let (placed, ()) = join(check_out(&shop, &ann, &json!({})).into_future(), watch).await;
    assert_eq!(lines(&placed.expect(201)), [(mug, 2)]);
    let next = shop.get(MINE).by(&ann).header("x-cart-token", token).await.expect(200);
    assert_eq!(lines(&next), [(cup, 1)], "what was brought along waited for the next cart");
    shop.settle().await;
    shop.audit();
}

/// Fails calls of carts for an order, in this phase.
pub(crate) fn fail_orders(script: &Script, phase: Phase) {
    script.rule(move |call| {
        let asked = call.component == "carts" && call.detail.ends_with("//orders.spin.internal/internal/orders");
        if asked && call.phase == phase { Verdict::Fail("no connection".into()) } else { Verdict::Proceed }
    });
}

const OPEN: &str = "SELECT count(*) FROM checkouts WHERE status = 'open'";

/// Waits until housekeeping has brought every checkout to its end.
pub(crate) async fn ended(shop: &Shop) {
    let ended = async || {
        shop.tick("carts").await;
        shop.value("carts", OPEN) == 0
    };
    eventually(PATIENCE, "every checkout has ended", ended).await;
}

#[tokio::test]
async fn a_checkout_whose_answer_is_lost_is_finished_without_anybody_asking() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    for (round, phase) in [(1, Phase::Before), (2, Phase::After)] {
        add(&shop, &ann, mug, 1).await.expect(200);
        fail_orders(&script, phase);
        let submit = || check_out(&shop, &ann, &json!({})).key(&format!("round {round}"));
        for _ in 0..2 {
            assert_problem(&submit().await, 503, "unavailable", "nobody knows");
        }
        assert_eq!(mine(&shop, &ann).await["status"], "checking-out");
        shop.clock.advance(GRACE);
        shop.tick("carts").await;
        assert_eq!(mine(&shop, &ann).await["status"], "checking-out", "orders are still down");
        script.clear();
        shop.clock.advance(3 * GRACE);
        ended(&shop).await;
        assert_eq!((orders(&shop), lines(&mine(&shop, &ann).await)), (round, vec![]));
        let answer = submit().await;
        assert_eq!(answer.header("idempotent-replayed"), Some("true"));
        assert_eq!(lines(&answer.expect(201)), [(mug, 1)]);
        assert_eq!(orders(&shop), round);
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_refusal_ends_a_checkout_only_when_no_order_can_come_of_it_any_more() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(1.0, 10).await;
    let withdraw = async |product: i64| {
        let answer = shop.delete(format!("/api/v1/products/{product}")).by(shop.admin().await).await;
        assert_eq!(answer.status, 204);
    };
    let key = || shop.value("carts", "SELECT key FROM checkouts ORDER BY created_at DESC, key DESC LIMIT 1");

    // The order exists, and nobody has heard: what would be refused now was not refused then.
    add(&shop, &ann, cup, 1).await.expect(200);
    fail_orders(&script, Phase::After);
    assert_eq!(check_out(&shop, &ann, &json!({})).await.status, 503);
    withdraw(cup).await;
    script.clear();
    let placed = check_out(&shop, &ann, &json!({})).await.expect(201);
    assert_eq!((lines(&placed), orders(&shop)), (vec![(cup, 1)], 1));

    // The order does not exist, and must not come into being when the cart is the customer's again.
    let pen = shop.product(1.0, 10).await;
    add(&shop, &ann, mug, 1).await.expect(200);
    add(&shop, &ann, pen, 1).await.expect(200);
    fail_orders(&script, Phase::Before);
    assert_eq!(check_out(&shop, &ann, &json!({})).await.status, 503);
    script.clear();
    withdraw(pen).await;
    shop.clock.advance(GRACE);
    ended(&shop).await;
    let back = mine(&shop, &ann).await;
    assert_eq!((lines(&back), &back["status"]), (vec![(mug, 1), (pen, 1)], &json!("open")));
    let late = json!({ "key": key(), "userId": ann.id, "items": [{ "productId": mug, "quantity": 1 }] });
    let refused = shop.internal("orders", Method::POST, "/internal/orders", Some(&late)).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert_eq!(orders(&shop), 1);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_checkout_that_orders_never_understand_is_given_up() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 1).await.expect(200);
    fail_orders(&script, Phase::Before);
    assert_eq!(check_out(&shop, &ann, &json!({})).await.status, 503);
    let given_up = async || {
        shop.clock.advance(Duration::from_secs(301));
        shop.tick("carts").await;
        shop.value("carts", OPEN) == 0
    };
    eventually(PATIENCE, "it is given up", given_up).await;
    let attempts = shop.value("carts", "SELECT attempts FROM checkouts").as_i64().unwrap();
    assert!(attempts > 12, "after {attempts} attempts");
    let back = mine(&shop, &ann).await;
    assert_eq!((lines(&back), &back["status"]), (vec![(mug, 1)], &json!("open")));
    script.clear();
    check_out(&shop, &ann, &json!({})).await.expect(201);
    assert_eq!(orders(&shop), 1);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_checkout_is_forgotten_after_its_key() {
    needs_bench!("it moves the clock");
    let (_, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 1).await.expect(200);
    check_out(&shop, &ann, &json!({})).key("k").await.expect(201);
    let left = || shop.value("carts", "SELECT count(*) FROM checkouts");
    shop.clock.advance(Duration::from_secs(47 * 60 * 60));
    shop.settle().await;
    assert_eq!(left(), 1);
    shop.clock.advance(Duration::from_secs(2 * 60 * 60));
    let forgotten = async || {
        shop.tick("carts").await;
        left() == 0
    };
    eventually(PATIENCE, "it is forgotten", forgotten).await;
    shop.settle().await;
    shop.audit();
}
