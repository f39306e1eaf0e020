//! Giving money of an order back, all of it or a part.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Allow, Call, Customer, Script, Shop, ShopOptions, is_database, needs_bench};

use crate::support::{assert_invalid, assert_problem};

async fn open() -> (Shop, Customer, Arc<Script>) {
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    (shop, ann, script)
}

async fn paid(shop: &Shop, by: &Customer, product: i64, quantity: u32, token: &str) -> i64 {
    let order = shop.place(by, product, quantity, Some(token)).await;
    shop.wait_for(order, "paid").await;
    order
}

fn refund<'a>(shop: &'a Shop, by: &'a Customer, order: i64, body: &Value) -> Call<'a> {
    shop.post(format!("/api/v1/orders/{order}/refunds"), body).by(by)
}

/// Status, amount and failure of an order's refunds.
async fn refunds(shop: &Shop, order: i64) -> Value {
    let refunds = shop.get(format!("/api/v1/orders/{order}/refunds")).by(shop.admin().await).await.expect(200);
    let entry = |refund: &Value| json!([refund["status"], refund["amount"], refund["failure"]]);
    json!(refunds["items"].as_array().unwrap().iter().map(entry).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_part_goes_back_through_payments_and_is_shown() {
    let (shop, ann, _) = open().await;
    let mug = shop.product(5.0, 10).await;
    let admin = shop.admin().await;
    let order = paid(&shop, &ann, mug, 2, "tok_visa").await;
    let asked = refund(&shop, admin, order, &json!({ "amount": 2.5, "reason": "a scratch" })).await.expect(201);
    assert_eq!(
        (&asked["status"], &asked["amount"], &asked["orderId"]),
        (&json!("pending"), &json!(2.5), &json!(order))
    );
    shop.settle().await;
    assert_eq!(refunds(&shop, order).await, json!([["succeeded", 2.5, null]]));
    let shown = shop.find_order(order).await;
    assert_eq!((&shown["status"], &shown["refunded"]), (&json!("paid"), &json!(2.5)));
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["refundedAmount"], &payment["status"]), (&json!(2.5), &json!("succeeded")));
    let story = shop.get(format!("/api/v1/orders/{order}/timeline")).by(&ann).await.expect(200);
    let told: Vec<_> =
        story["items"].as_array().unwrap().iter().skip(3).map(|e| json!([e["type"], e["reason"]])).collect();
    assert_eq!(json!(told), json!([["REFUND_REQUESTED", "2.50 EUR: a scratch"], ["PAYMENT_REFUNDED", "2.50 EUR"]]));
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    assert_eq!(refunds(&shop, order).await, json!([["succeeded", 2.5, null], ["succeeded", 7.5, null]]), "the rest");
    assert_eq!(shop.find_order(order).await["refunded"], 10.0);
    assert_problem(&refund(&shop, admin, order, &json!({ "amount": 1 })).await, 409, "not-refundable", "cancelled");
    shop.audit();
}

#[tokio::test]
async fn never_more_than_was_paid_goes_back_however_many_ask_at_once() {
    let (shop, ann, _) = open().await;
    let mug = shop.product(5.0, 10).await;
    let admin = shop.admin().await;
    let order = paid(&shop, &ann, mug, 2, "tok_visa").await;
    let body = json!({ "amount": 1.5 });
    let answers = join_all((0..12).map(|_| async { refund(&shop, admin, order, &body).await })).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 6, "6 × 1.50 of 10.00");
    for answer in refused {
        assert_problem(&answer, 409, "refund-too-large", "1.50 of 1.00");
    }
    let keys = join_all((0..12).map(|_| async { refund(&shop, admin, order, &json!({})).key("rest").await })).await;
    let first = keys[0].clone().expect(201);
    assert_eq!(first["amount"], 1.0, "all that is left");
    assert!(keys.into_iter().all(|answer| answer.expect(201) == first), "one key, one refund");
    assert_problem(&refund(&shop, admin, order, &json!({})).await, 409, "nothing-to-refund", "nothing is left");
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["refunded"], 10.0);
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    shop.audit();
}

#[tokio::test]
async fn what_the_provider_declines_can_be_asked_for_again() {
    let (shop, ann, _) = open().await;
    let mug = shop.product(5.0, 10).await;
    let admin = shop.admin().await;
    let order = paid(&shop, &ann, mug, 2, "tok_refund_declined").await;
    for times in 1..3 {
        refund(&shop, admin, order, &json!({})).await.expect(201);
        shop.settle().await;
        assert_eq!(refunds(&shop, order).await, json!(vec![json!(["failed", 10.0, "refund-declined"]); times]));
    }
    let shown = shop.find_order(order).await;
    assert_eq!((&shown["status"], &shown["refunded"]), (&json!("paid"), &json!(0.0)));
    shop.audit_allowing(&[Allow::DeclinedRefunds]);
}

#[tokio::test]
async fn refunds_of_payments_and_of_orders_count_together() {
    let (shop, ann, _) = open().await;
    let mug = shop.product(5.0, 10).await;
    let admin = shop.admin().await;
    let order = paid(&shop, &ann, mug, 2, "tok_visa").await;
    let payment = shop.payment_of(order).await.expect(200)["id"].clone();
    let direct = shop.post(format!("/api/v1/payments/{payment}/refund"), &json!({ "amount": 4 })).by(admin);
    direct.await.expect(201);
    shop.settle().await;
    assert_eq!(refunds(&shop, order).await, json!([["succeeded", 4.0, null]]));
    assert_problem(
        &refund(&shop, admin, order, &json!({ "amount": 6.01 })).await,
        409,
        "refund-too-large",
        "6.01 of 6",
    );
    refund(&shop, admin, order, &json!({ "amount": 6 })).await.expect(201);
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["refunded"], 10.0);
    shop.audit();
}

#[tokio::test]
async fn pieces_are_worth_what_was_paid_for_them_and_go_back_into_stock_once() {
    let (shop, ann, _) = open().await;
    let (mug, cup) = (shop.product(3.33, 10).await, shop.product(10.0, 10).await);
    let admin = shop.admin().await;
    let body = json!({ "items": [{ "productId": mug, "quantity": 3 }, { "productId": cup, "quantity": 1 }],
        "payment": { "token": "tok_visa" } });
    let order = shop.post("/api/v1/orders", &body).by(&ann).await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(order, "paid").await;
    let items = |product: i64, quantity: u32, restock: bool| json!({ "items": [{ "productId": product, "quantity": quantity }], "restock": restock });
    let made = refund(&shop, admin, order, &items(mug, 2, true)).await.expect(201);
    assert_eq!((&made["amount"], &made["restock"]), (&json!(6.66), &json!(true)));
    assert_invalid(&refund(&shop, admin, order, &items(mug, 2, true)).await, &["items[0].quantity"], "1 is left");
    assert_invalid(&refund(&shop, admin, order, &items(999, 1, false)).await, &["items[0].productId"], "not ordered");
    refund(&shop, admin, order, &items(mug, 1, false)).await.expect(201);
    shop.settle().await;
    assert_eq!((&shop.stock(mug).await["available"], &shop.stock(cup).await["available"]), (&json!(9), &json!(9)));
    shop.audit();
    for status in ["shipped", "delivered", "returned"] {
        let path = format!("/api/v1/orders/{order}/status");
        shop.put(path, &json!({ "status": status })).by(admin).await.expect(200);
    }
    assert_problem(&refund(&shop, admin, order, &items(cup, 1, true)).await, 409, "already-restocked", "returned");
    assert_eq!(refund(&shop, admin, order, &items(cup, 1, false)).await.expect(201)["amount"], 10.0);
    shop.settle().await;
    assert_eq!((&shop.stock(mug).await["available"], &shop.stock(cup).await["available"]), (&json!(10), &json!(10)));
    assert_eq!(shop.find_order(order).await["refunded"], 19.99);
    shop.audit();
}

#[tokio::test]
async fn a_refund_that_makes_no_sense_or_is_not_for_the_caller_is_refused() {
    let (shop, ann, _) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(5.0, 100).await;
    let admin = shop.admin().await;
    let order = paid(&shop, &ann, mug, 2, "tok_visa").await;
    for (body, field) in [
        (json!({ "amount": 0 }), "amount"),
        (json!({ "amount": -1 }), "amount"),
        (json!({ "amount": 1.005 }), "amount"),
        (json!({ "items": [] }), "items"),
        (json!({ "items": [{ "productId": mug, "quantity": 0 }] }), "items[0].quantity"),
        (json!({ "amount": 1, "restock": true }), "restock"),
        (json!({ "amount": 1, "reason": "" }), "reason"),
    ] {
        assert_invalid(&refund(&shop, admin, order, &body).await, &[field], &body.to_string());
    }
    assert_problem(&refund(&shop, &ann, order, &json!({})).await, 403, "forbidden", "by the customer");
    assert_problem(&refund(&shop, admin, 999, &json!({})).await, 404, "not-found", "999");
    let of_ann = format!("/api/v1/orders/{order}/refunds");
    assert_problem(&shop.get(&of_ann).by(&bob).await, 404, "not-found", "ann's, by bob");
    assert_eq!(shop.get(&of_ann).by(&ann).await.expect(200), json!({ "items": [] }));
    let reserved = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(reserved, "reserved").await;
    let failed = shop.place(&ann, mug, 1, Some("tok_declined")).await;
    shop.wait_for(failed, "failed").await;
    for order in [reserved, failed] {
        assert_problem(&refund(&shop, admin, order, &json!({})).await, 409, "not-refundable", "nothing was paid");
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn wherever_an_instance_dies_the_refund_is_made_once() {
    needs_bench!("it kills instances");
    let (shop, ann, script) = open().await;
    let mug = shop.product(5.0, 100).await;
    let admin = shop.admin().await;
    // At each of the calls of orders, until they have fewer.
    for number in 0.. {
        let order = paid(&shop, &ann, mug, 1, "tok_visa").await;
        shop.settle().await;
        let calls = Arc::new(AtomicU32::new(0));
        let seen = calls.clone();
        script.rule(move |call| {
            let here = call.component == "orders" && is_database(call.interface) && call.phase == Phase::Before;
            let kill = here && seen.fetch_add(1, Ordering::Relaxed) == number;
            if kill { Verdict::Kill } else { Verdict::Proceed }
        });
        let body = json!({ "amount": 2 });
        // No answer is an answer, too.
        _ = refund(&shop, admin, order, &body).key(&format!("k{number}")).send().await;
        script.clear();
        refund(&shop, admin, order, &body).key(&format!("k{number}")).await.expect(201);
        shop.settle_over_time().await;
        assert_eq!(refunds(&shop, order).await, json!([["succeeded", 2.0, null]]), "call {number}");
        if calls.load(Ordering::Relaxed) <= number {
            assert!(number > 8, "it was killed {number} times");
            break;
        }
    }
    shop.settle().await;
    shop.audit();
}
