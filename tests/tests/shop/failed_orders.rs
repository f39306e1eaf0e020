//! An order that fails, for want of stock or money, gives the cart back that it was: whole, once, and to its customer.

use std::{collections::BTreeSet, future::IntoFuture, sync::Arc, time::Duration};

use bodega_host::{Phase, Verdict};
use futures::future::join;
use serde_json::{Value, json};
use shop_tests::{Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::{
    checkout::{GRACE, MINE, PATIENCE, add, check_out, discount, ended, fail_orders, lines, mine, open, orders, uses},
    events::{deliver, is_delivery},
    jitter::jitter,
    support::assert_problem,
};

fn card(token: &str) -> Value {
    json!({ "payment": { "token": token } })
}

/// Checks out with a card; the order.
async fn order(shop: &Shop, by: &Customer, token: &str) -> i64 {
    check_out(shop, by, &card(token)).await.expect(201)["id"].as_i64().unwrap()
}

/// The same with a card that is declined; waits until the order has failed.
async fn declined(shop: &Shop, by: &Customer) -> i64 {
    let order = order(shop, by, "tok_declined").await;
    shop.wait_for(order, "failed").await;
    order
}

/// What orders tell carts does not arrive.
fn hold_news(script: &Script) {
    script.rule(|call| match call.phase {
        Phase::Before if call.component == "orders" && is_delivery(call, "carts") => Verdict::Fail("cut off".into()),
        _ => Verdict::Proceed,
    });
}

const OWED: &str = "SELECT count(*) FROM checkouts WHERE owed IS NOT NULL";
const LEFT: &str = "SELECT (SELECT count(*) FROM carts), (SELECT count(*) FROM checkouts)";

#[tokio::test]
async fn a_declined_card_gives_the_cart_back_with_its_code() {
    let (_, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    add(&shop, &ann, mug, 2).await.expect(200);
    let first = add(&shop, &ann, cup, 1).await.expect(200);
    discount(&shop, &ann, json!({ "maxUses": 1 })).await;
    let submit = || check_out(&shop, &ann, &card("tok_declined")).key("k");
    let placed = submit().await.expect(201);
    shop.wait_for(placed["id"].as_i64().unwrap(), "failed").await;
    shop.settle().await;

    let back = mine(&shop, &ann).await;
    assert_eq!((lines(&back), &back["status"]), (vec![(mug, 2), (cup, 1)], &json!("open")));
    assert_ne!(back["id"], first["id"], "it is another cart");
    assert_eq!(back["discount"], json!({ "code": "TEN", "kind": "percentage", "value": 10.0 }));
    assert_eq!(uses(&shop).await, 0);
    assert_eq!(submit().await.expect(201), placed, "the same request is answered with the same order");
    assert_eq!((orders(&shop), mine(&shop, &ann).await), (1, back));
    shop.audit();

    let paid = order(&shop, &ann, "tok_visa").await;
    assert_eq!(shop.wait_for(paid, "paid").await["discountCode"], "TEN");
    shop.settle().await;
    assert_eq!((lines(&mine(&shop, &ann).await), uses(&shop).await), (vec![], json!(1)));
    shop.audit();
}

#[tokio::test]
async fn what_is_sold_out_comes_back() {
    let (_, shop, ann, mug) = open().await;
    let last = shop.product(9.0, 1).await;
    add(&shop, &ann, mug, 1).await.expect(200);
    add(&shop, &ann, last, 2).await.expect(200);
    let failed = order(&shop, &ann, "tok_visa").await;
    shop.wait_for(failed, "failed").await;
    shop.settle().await;
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 1), (last, 2)]);
    shop.put(format!("{MINE}/items/{last}"), &json!({ "quantity": 1 })).by(&ann).await.expect(200);
    let paid = order(&shop, &ann, "tok_visa").await;
    shop.wait_for(paid, "paid").await;
    shop.settle().await;
    assert_eq!(lines(&mine(&shop, &ann).await), []);
    shop.audit();
}

#[tokio::test]
async fn what_comes_back_adds_up_with_what_was_put_in_meanwhile() {
    needs_bench!("it holds events up");
    let (script, shop, ann, mug) = open().await;
    let (cup, pen) = (shop.product(2.5, 10).await, shop.product(0.5, 10).await);
    for product in [mug, pen] {
        add(&shop, &ann, product, 2).await.expect(200);
    }
    discount(&shop, &ann, json!({})).await;
    hold_news(&script);
    declined(&shop, &ann).await;
    for (product, quantity) in [(cup, 1), (mug, 3), (pen, 9_999)] {
        add(&shop, &ann, product, quantity).await.expect(200);
    }
    let other = json!({ "code": "OTHER", "kind": "fixed", "value": 1 });
    shop.post("/api/v1/discounts", &other).by(shop.admin().await).await.expect(201);
    let before = shop.put(format!("{MINE}/discount"), &json!({ "code": "OTHER" })).by(&ann).await.expect(200);
    assert_eq!(lines(&before), [(cup, 1), (mug, 3), (pen, 9_999)]);
    script.clear();
    shop.settle_over_time().await;

    let after = mine(&shop, &ann).await;
    assert_eq!(lines(&after), [(cup, 1), (mug, 5), (pen, 10_000)], "a line holds no more");
    let owed = shop.value("carts", "SELECT owed FROM checkouts WHERE owed IS NOT NULL");
    assert_eq!(owed, json!([{ "productId": pen, "quantity": 1 }]).to_string(), "the other one is still to come");
    assert_eq!(after["discount"]["code"], "OTHER", "it has one");
    assert_eq!((&after["id"], uses(&shop).await), (&before["id"], json!(0)));
    let stale = shop.delete(MINE).by(&ann).header("if-match", &format!("\"{}\"", before["version"])).await;
    assert_problem(&stale, 412, "precondition-failed", "it is another version");

    shop.delete(format!("{MINE}/items/{pen}")).by(&ann).await.expect(200);
    check_out(&shop, &ann, &json!({ "payment": { "token": "tok_visa" } })).await.expect(201);
    shop.settle().await;
    assert_eq!(lines(&mine(&shop, &ann).await), [(pen, 1)]);
    shop.audit();
}

/// An order of two mugs, with a code, has failed, and carts have not heard of it. There are cups as well.
async fn failed_unheard() -> (Arc<Script>, Shop, Customer, [i64; 2]) {
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    add(&shop, &ann, mug, 2).await.expect(200);
    discount(&shop, &ann, json!({})).await;
    hold_news(&script);
    declined(&shop, &ann).await;
    (script, shop, ann, [mug, cup])
}

#[tokio::test]
async fn a_code_that_does_not_hold_any_more_stays_away() {
    needs_bench!("it holds events up");
    let (script, shop, ann, [mug, _]) = failed_unheard().await;
    let admin = shop.admin().await;
    shop.put("/api/v1/discounts/TEN", &json!({ "active": false })).by(admin).await.expect(200);
    script.clear();
    shop.settle_over_time().await;
    let back = mine(&shop, &ann).await;
    assert_eq!((lines(&back), &back["discount"]), (vec![(mug, 2)], &Value::Null));
    shop.audit();
}

#[tokio::test]
async fn nothing_comes_back_of_an_order_that_ends_otherwise_or_was_no_cart() {
    needs_bench!("it moves the clock");
    let (_, shop, ann, mug) = open().await;
    let bought = async |token: &'static str, status: &'static str| {
        add(&shop, &ann, mug, 1).await.expect(200);
        let order = order(&shop, &ann, token).await;
        shop.wait_for(order, status).await;
        order
    };
    let paid = bought("tok_visa", "paid").await;
    shop.cancel(&ann, paid).await.expect(200);
    let sent_back = bought("tok_visa", "paid").await;
    for status in ["shipped", "delivered", "returned"] {
        let path = format!("/api/v1/orders/{sent_back}/status");
        shop.put(path, &json!({ "status": status })).by(shop.admin().await).await.expect(200);
    }
    // The customer had the whole time to pay: by now these things may have been bought in another order.
    let unpaid = bought("tok_unreachable", "reserved").await;
    let called_off = bought("tok_unreachable", "reserved").await;
    shop.cancel(&ann, called_off).await.expect(200);
    discount(&shop, &ann, json!({})).await;
    shop.delete(format!("{MINE}/discount")).by(&ann).await.expect(200);
    for code in [Value::Null, json!("TEN")] {
        let body = json!({ "items": [{ "productId": mug, "quantity": 1 }], "discountCode": code,
            "payment": { "token": "tok_declined" } });
        let order = shop.post("/api/v1/orders", &body).by(&ann).await.expect(201);
        shop.wait_for(order["id"].as_i64().unwrap(), "failed").await;
    }
    shop.clock.advance(Duration::from_secs(15 * 60 + 1));
    shop.settle().await;
    assert_eq!(shop.find_order(unpaid).await["reason"], "not paid in time");
    assert_eq!(lines(&mine(&shop, &ann).await), []);
    assert_eq!(shop.query("carts", "SELECT DISTINCT status FROM checkouts"), [[json!("placed")]]);
    shop.audit_allowing(&[shop_tests::Allow::UnknownCharges]);
}

#[tokio::test]
async fn an_order_that_fails_before_its_checkout_has_heard_of_it_gives_the_cart_back() {
    needs_bench!("it fails calls of components and moves the clock");
    let (script, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 2).await.expect(200);
    discount(&shop, &ann, json!({ "maxUses": 1 })).await;
    fail_orders(&script, Phase::After);
    let submit = || check_out(&shop, &ann, &card("tok_declined")).key("k");
    assert_problem(&submit().await, 503, "unavailable", "nobody knows");
    let order = shop.value("orders", "SELECT id FROM orders").as_i64().unwrap();
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    assert_eq!(shop.value("carts", OWED), 1, "carts know that it has failed");
    assert_eq!(mine(&shop, &ann).await["status"], "checking-out", "but not what the request is to be answered");
    script.clear();
    shop.clock.advance(GRACE);
    ended(&shop).await;
    let back = mine(&shop, &ann).await;
    assert_eq!((lines(&back), &back["status"]), (vec![(mug, 2)], &json!("open")));
    assert_eq!((&back["discount"]["code"], uses(&shop).await), (&json!("TEN"), json!(0)));
    assert_eq!(submit().await.expect(201)["id"], order, "the request is answered with its order");
    assert_eq!((mine(&shop, &ann).await, orders(&shop)), (back, 1));
    shop.settle().await;
    shop.audit();
}

/// An order has failed, and the next cart, with a cup in it, is being ordered by now: it takes nothing in.
async fn failed_while_the_next_is_ordered() -> (Arc<Script>, Shop, Customer, [i64; 2]) {
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.5, 10).await;
    add(&shop, &ann, mug, 2).await.expect(200);
    hold_news(&script);
    declined(&shop, &ann).await;
    add(&shop, &ann, cup, 1).await.expect(200);
    fail_orders(&script, Phase::Before);
    assert_eq!(check_out(&shop, &ann, &card("tok_visa")).await.status, 503);
    shop.clock.advance(GRACE / 2);
    let told = async || {
        shop.tick("orders").await;
        shop.value("carts", OWED) == 1
    };
    eventually(PATIENCE, "carts are told", told).await;
    let locked = mine(&shop, &ann).await;
    assert_eq!((lines(&locked), &locked["status"]), (vec![(cup, 1)], &json!("checking-out")));
    script.clear();
    (script, shop, ann, [mug, cup])
}

#[tokio::test]
async fn what_comes_back_waits_for_the_end_of_the_next_checkout() {
    needs_bench!("it fails calls of components and moves the clock");
    let (_script, shop, ann, [mug, _]) = failed_while_the_next_is_ordered().await;
    shop.clock.advance(GRACE);
    ended(&shop).await;
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 2)], "the cup is ordered");
    shop.settle().await;
    shop.audit();

    let (_script, shop, ann, [mug, cup]) = failed_while_the_next_is_ordered().await;
    shop.delete(format!("/api/v1/products/{cup}")).by(shop.admin().await).await;
    shop.clock.advance(GRACE);
    ended(&shop).await;
    assert_eq!(lines(&mine(&shop, &ann).await), [(cup, 1), (mug, 2)], "the cup could not be ordered");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn what_finds_no_room_in_a_full_cart_waits_for_the_next() {
    needs_bench!("it holds events up and writes into a database that a server has open");
    let (script, shop, ann, [mug, cup]) = failed_unheard().await;
    add(&shop, &ann, cup, 1).await.expect(200);
    let full: Vec<_> = (0..100).map(|id| json!({ "productId": id + 1000, "quantity": 1 })).collect();
    shop.tamper("carts", &format!("UPDATE carts SET lines = '{}'", json!(full)));
    script.clear();
    shop.settle_over_time().await;
    let is_as_before = async || {
        let cart = mine(&shop, &ann).await;
        assert_eq!((&cart["itemCount"], &cart["discount"]), (&json!(100), &Value::Null), "no code without lines");
    };
    is_as_before().await;
    // A refused checkout is no way out, either; and however long it takes, it is not forgotten.
    assert_eq!(check_out(&shop, &ann, &json!({})).await.status, 422);
    shop.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    shop.settle().await;
    is_as_before().await;
    assert_eq!(shop.value("carts", OWED), 1);
    shop.delete(MINE).by(&ann).await.expect(200);
    add(&shop, &ann, cup, 1).await.expect(200);
    order(&shop, &ann, "tok_visa").await;
    let back = mine(&shop, &ann).await;
    assert_eq!((lines(&back), &back["discount"]["code"]), (vec![(mug, 2)], &json!("TEN")));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_code_that_was_removed_does_not_come_again_with_the_rest() {
    needs_bench!("it holds events up");
    let (script, shop, ann, [mug, cup]) = failed_unheard().await;
    add(&shop, &ann, mug, 9_999).await.expect(200);
    script.clear();
    shop.settle_over_time().await;
    let back = mine(&shop, &ann).await;
    assert_eq!((lines(&back), &back["discount"]["code"]), (vec![(mug, 10_000)], &json!("TEN")));
    assert_eq!(shop.value("carts", OWED), 1, "one piece finds no room");

    shop.delete(format!("{MINE}/discount")).by(&ann).await.expect(200);
    add(&shop, &ann, cup, 1).await.expect(200);
    shop.delete(format!("/api/v1/products/{cup}")).by(shop.admin().await).await;
    assert_eq!(check_out(&shop, &ann, &json!({})).await.status, 422, "the cup is not sold any more");
    let refused = mine(&shop, &ann).await;
    assert_eq!((lines(&refused), &refused["discount"]), (vec![(mug, 10_000), (cup, 1)], &Value::Null));
    for (product, quantity) in [(cup, 0), (mug, 3)] {
        let path = format!("{MINE}/items/{product}");
        shop.put(path, &json!({ "quantity": quantity })).by(&ann).await.expect(200);
    }
    order(&shop, &ann, "tok_visa").await;
    let rest = mine(&shop, &ann).await;
    assert_eq!((lines(&rest), &rest["discount"]), (vec![(mug, 1)], &Value::Null));
    assert_eq!(shop.value("carts", OWED), 0);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn the_news_of_a_failure_has_its_effect_once() {
    needs_bench!("it delivers events itself");
    let (_, shop, ann, mug) = open().await;
    add(&shop, &ann, mug, 2).await.expect(200);
    declined(&shop, &ann).await;
    shop.settle().await;
    let back = mine(&shop, &ann).await;
    assert_eq!(lines(&back), [(mug, 2)]);
    let told = shop.value("orders", "SELECT envelope FROM outbox WHERE envelope LIKE '%ORDER_FAILED%'");
    let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
    let mut again = told.clone();
    again["eventId"] = json!("00000000-0000-4000-8000-000000000001");
    let mut of_nobody = told.clone();
    of_nobody["eventId"] = json!("00000000-0000-4000-8000-000000000002");
    of_nobody["data"]["key"] = json!("00000000-0000-4000-8000-000000000003");
    let mut of_before = told.clone();
    of_before["eventId"] = json!("00000000-0000-4000-8000-000000000004");
    of_before["data"].as_object_mut().unwrap().remove("key");
    for event in [&told, &told, &again, &of_nobody, &of_before] {
        assert!(deliver(&shop, "carts", &event.to_string()).await);
    }
    assert_eq!(mine(&shop, &ann).await, back);
    order(&shop, &ann, "tok_visa").await;
    for event in [&told, &again] {
        assert!(deliver(&shop, "carts", &event.to_string()).await);
    }
    assert_eq!(lines(&mine(&shop, &ann).await), []);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn nothing_comes_back_to_an_account_that_is_gone() {
    needs_bench!("it holds events up");
    let (script, shop, ann, mug) = open().await;
    let bob = shop.customer("bob").await;
    let delete = async |who: &Customer| {
        let deleted = shop.delete(format!("/api/v1/users/{}", who.id)).by(shop.admin().await).await;
        assert_eq!(deleted.status, 204, "{}", deleted.text);
        shop.tick("accounts").await;
    };
    // Of ann's order carts hear after they have heard that she is gone; of bob's, while nobody knows of it.
    add(&shop, &ann, mug, 2).await.expect(200);
    hold_news(&script);
    declined(&shop, &ann).await;
    add(&shop, &bob, mug, 3).await.expect(200);
    script.rule(|call| {
        let held = call.component == "orders" && is_delivery(call, "carts");
        let lost = call.component == "carts" && call.detail.ends_with("//orders.spin.internal/internal/orders");
        match call.phase {
            Phase::Before if held => Verdict::Fail("cut off".into()),
            Phase::After if lost => Verdict::Fail("no connection".into()),
            _ => Verdict::Proceed,
        }
    });
    assert_eq!(check_out(&shop, &bob, &card("tok_declined")).await.status, 503);
    delete(&ann).await;
    delete(&bob).await;
    let gone = async || shop.query("carts", LEFT) == [[json!(0), json!(1)]];
    eventually(PATIENCE, "carts know that they are gone", gone).await;
    script.clear();
    shop.settle_over_time().await;
    assert_eq!(shop.query("orders", "SELECT status FROM orders"), [[json!("failed")], [json!("failed")]]);
    assert_eq!(shop.query("carts", LEFT), [[json!(0), json!(0)]]);
    shop.audit();
}

#[tokio::test]
async fn an_order_that_fails_days_later_gives_its_cart_back_all_the_same() {
    needs_bench!("it moves the clock");
    let day = Duration::from_secs(24 * 60 * 60);
    let shop = Shop::start(ShopOptions { order_timeout: 10 * day, ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    add(&shop, &ann, mug, 1).await.expect(200);
    let order = check_out(&shop, &ann, &json!({})).await.expect(201)["id"].as_i64().unwrap();
    shop.settle().await;
    shop.clock.advance(9 * day);
    shop.settle().await;
    shop.pay(&ann, order, "tok_declined").await.expect(201);
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    assert_eq!(lines(&mine(&shop, &ann).await), [(mug, 1)]);
    shop.clock.advance(13 * day);
    let forgotten = async || {
        shop.tick("carts").await;
        shop.value("carts", "SELECT count(*) FROM checkouts") == 0
    };
    eventually(PATIENCE, "the checkout is forgotten", forgotten).await;
    shop.settle().await;
    shop.audit();
}

/// Every card is declined, so every piece that was ever put in is in the cart at the end of a round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_the_cart_while_an_order_fails_loses_nothing_and_gives_nothing_away() {
    needs_bench!("it delays calls of components");
    let (script, shop, ann, mug) = open().await;
    let cup = shop.product(2.0, 1000).await;
    let (mut mugs, mut cups) = (0, 0);
    let mut endings = BTreeSet::new();
    for round in 0..25_u64 {
        add(&shop, &ann, mug, 2).await.expect(200);
        mugs += 2;
        jitter(&script, 9000 + round);
        let late = |millis: u64| tokio::time::sleep(Duration::from_millis(millis));
        let submit = check_out(&shop, &ann, &card("tok_declined"));
        let change = async {
            late(round * 8).await;
            let added = add(&shop, &ann, cup, 1).await.status;
            late(20).await;
            // Once more, with whatever is in it by now.
            (added, check_out(&shop, &ann, &card("tok_declined")).await)
        };
        let (submitted, (added, again)) = join(submit.into_future(), change).await;
        script.clear();
        cups += i64::from(added == 200);
        for answer in [&submitted, &again] {
            assert!(answer.status == 201 || answer.body["code"] == "cart-empty", "{}", answer.text);
        }
        shop.settle().await;
        let left = mine(&shop, &ann).await;
        let of = |product| lines(&left).iter().find(|line| line.0 == product).map_or(0, |line| line.1);
        assert_eq!((of(mug), of(cup)), (mugs, cups), "round {round}: {left}");
        endings.insert((added.as_u16(), again.status.as_u16(), submitted.body["id"] == again.body["id"]));
    }
    assert!(endings.len() > 1, "the rounds ended alike: {endings:?}");
    shop.audit();
}
