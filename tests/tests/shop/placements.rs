//! Orders that another service of the shop places: one for each key, whatever happens in between.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Script, Shop, ShopOptions, is_database, needs_bench};

use crate::support::{assert_invalid, assert_problem};

/// A placement key, the same for the same number.
fn key(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

fn wanted(key: &str, by: &Customer, product: i64, quantity: u32) -> Value {
    json!({ "key": key, "userId": by.id, "items": [{ "productId": product, "quantity": quantity }] })
}

async fn place(shop: &Shop, body: &Value) -> Answer {
    shop.internal("orders", Method::POST, "/internal/orders", Some(body)).await
}

async fn forget(shop: &Shop, key: &str) -> Answer {
    shop.internal("orders", Method::POST, &format!("/internal/placements/{key}/forget"), None).await
}

fn address() -> Value {
    json!({ "name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US" })
}

#[tokio::test]
async fn a_key_is_worth_one_order_even_when_it_could_not_be_placed_any_more() {
    needs_bench!("nobody outside makes internal calls");
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(2.5, 100).await;
    let mut body = wanted(&key(1), &ann, mug, 2);
    body["paymentToken"] = json!("tok_visa");
    body["shippingAddress"] = address();
    let placed = place(&shop, &body).await.expect(201);
    let id = placed["id"].as_i64().unwrap();
    assert_eq!(
        (&placed["status"], &placed["total"], &placed["userId"]),
        (&json!("pending"), &json!(5.0), &json!(ann.id))
    );
    shop.wait_for(id, "paid").await;
    assert_eq!(shop.find_order(id).await["shippingAddress"], address());
    assert_eq!(shop.delete(format!("/api/v1/products/{mug}")).by(shop.admin().await).await.status, 204);
    let again = place(&shop, &body).await.expect(201);
    assert_eq!((&again["id"], &again["status"]), (&placed["id"], &json!("paid")));
    assert_problem(&place(&shop, &wanted(&key(1), &bob, mug, 1)).await, 409, "placement-key-reused", "another's");
    assert_eq!(forget(&shop, &key(1)).await.expect(200), json!({ "orderId": id, "fate": "paid" }));
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), 1);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn one_key_many_times_at_once_is_one_order() {
    needs_bench!("nobody outside makes internal calls");
    let (shop, ann) = open().await;
    let mug = shop.product(2.5, 100).await;
    let bodies: Vec<_> = (0..24).map(|number| wanted(&key(number % 3), &ann, mug, 1)).collect();
    let answers = join_all(bodies.iter().map(|body| place(&shop, body))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = answer.expect(201);
        let decided = forget(&shop, &key(u32::try_from(number).unwrap() % 3)).await.expect(200);
        assert_eq!(answer["id"], decided["orderId"], "{number}");
    }
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), 3);
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 97);
    shop.audit();
}

#[tokio::test]
async fn a_forgotten_placement_comes_too_late() {
    needs_bench!("nobody outside makes internal calls");
    let (shop, ann) = open().await;
    let mug = shop.product(2.5, 100).await;
    for _ in 0..2 {
        assert_eq!(forget(&shop, &key(1)).await.expect(200), json!({ "orderId": null, "fate": null }));
        assert_problem(&place(&shop, &wanted(&key(1), &ann, mug, 1)).await, 409, "placement-forgotten", "late");
    }
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), 0);
    assert_eq!(shop.value("orders", "SELECT count(*) FROM outbox"), 0, "and nothing was announced");
    place(&shop, &wanted(&key(2), &ann, mug, 1)).await.expect(201);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn who_asks_for_a_placement_hears_how_its_order_has_ended() {
    needs_bench!("nobody outside makes internal calls");
    let (shop, ann) = open().await;
    let mug = shop.product(2.5, 100).await;
    for (number, token, status, fate) in [
        (1, Some("tok_visa"), "paid", "paid"),
        (2, Some("tok_declined"), "failed", "unpaid"),
        (3, None, "reserved", "open"),
        (4, None, "cancelled", "unpaid"),
        (5, Some("tok_visa"), "cancelled", "paid"),
    ] {
        let mut body = wanted(&key(number), &ann, mug, 1);
        if let Some(token) = token {
            body["paymentToken"] = json!(token);
        }
        let id = place(&shop, &body).await.expect(201)["id"].as_i64().unwrap();
        if status == "cancelled" {
            shop.wait_for(id, if token.is_some() { "paid" } else { "reserved" }).await;
            shop.cancel(&ann, id).await.expect(200);
        }
        shop.wait_for(id, status).await;
        let told = json!({ "orderId": id, "fate": fate });
        assert_eq!(forget(&shop, &key(number)).await.expect(200), told, "{status}");
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn either_it_is_placed_or_it_is_forgotten() {
    needs_bench!("nobody outside makes internal calls");
    let (shop, ann) = open().await;
    let mug = shop.product(2.5, 1000).await;
    let mut both = [0, 0];
    for number in 0..40 {
        let (key, body) = (key(number), wanted(&key(number), &ann, mug, 1));
        let (placed, forgotten) = futures::join!(place(&shop, &body), forget(&shop, &key));
        let order = forgotten.expect(200)["orderId"].clone();
        if order.is_null() {
            assert_problem(&placed, 409, "placement-forgotten", &key);
            both[0] += 1;
        } else {
            assert_eq!(placed.expect(201)["id"], order);
            both[1] += 1;
        }
        let orders = shop.value("orders", "SELECT count(*) FROM orders");
        assert_eq!(orders, both[1], "{key}");
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_instance_that_dies_while_it_places_leaves_an_order_or_nothing() {
    needs_bench!("it kills instances");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(2.5, 100).await;
    place(&shop, &wanted(&key(999), &ann, mug, 1)).await.expect(201);
    let mut placed = 1;
    // At each of its calls, until it has fewer.
    for number in 0.. {
        let body = wanted(&key(number), &ann, mug, 1);
        let calls = Arc::new(AtomicU32::new(0));
        let seen = calls.clone();
        script.rule(move |call| {
            let here = call.component == "orders" && is_database(call.interface) && call.phase == Phase::Before;
            if here && seen.fetch_add(1, Ordering::Relaxed) == number { Verdict::Kill } else { Verdict::Proceed }
        });
        let first = shop.try_internal("orders", Method::POST, "/internal/orders", Some(&body)).await;
        script.clear();
        let again = place(&shop, &body).await.expect(201);
        if let Some(first) = first.filter(|first| first.status == 201) {
            assert_eq!(first.body["id"], again["id"], "call {number}");
        }
        assert_eq!(forget(&shop, &key(number)).await.expect(200)["orderId"], again["id"], "call {number}");
        placed += 1;
        if calls.load(Ordering::Relaxed) <= number {
            assert!(number > 8, "it was killed {number} times");
            break;
        }
    }
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), placed);
    shop.settle_over_time().await;
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 100 - placed);
    shop.audit();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_as_in_the_api() {
    needs_bench!("nobody outside makes internal calls");
    let (shop, ann) = open().await;
    let mug = shop.product(2.5, 100).await;
    let good = || wanted(&key(1), &ann, mug, 1);
    let with = |field: &str, value: Value| {
        let mut body = good();
        body[field] = value;
        body
    };
    let mut abroad = address();
    abroad["country"] = json!("usa");
    for (body, field) in [
        (with("items", json!([])), "items"),
        (with("items", json!([{ "productId": 999, "quantity": 1 }])), "items[0].productId"),
        (with("items", json!([{ "productId": mug, "quantity": 0 }])), "items[0].quantity"),
        (with("key", json!("k")), "key"),
        (with("userId", json!("ann")), "userId"),
        (with("shippingAddress", abroad), "shippingAddress.country"),
        (with("billingAddress", json!({})), "billingAddress.name"),
        (with("paymentToken", json!("")), "paymentToken"),
    ] {
        assert_invalid(&place(&shop, &body).await, &[field], &body.to_string());
    }
    assert_eq!(shop.internal("orders", Method::POST, "/internal/placements/x/forget", None).await.status, 404);
    assert_eq!(shop.post("/internal/orders", &good()).by(&ann).await.status, 404, "from outside");
    place(&shop, &good()).await.expect(201);
}
