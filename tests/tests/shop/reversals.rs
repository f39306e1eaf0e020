//! Refunds that have succeeded, and come back all the same.

use std::future::IntoFuture;

use bodega_host::Verdict;
use futures::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Allow, Customer, Script, Shop, ShopOptions, needs_bench};

use crate::{jitter::jitter, support::assert_problem, webhooks};

/// A shop that takes messages, and a paid order of 10.00.
async fn open() -> (Shop, Customer, i64) {
    open_with(webhooks::options()).await
}

async fn open_with(options: ShopOptions) -> (Shop, Customer, i64) {
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(10.0, 10).await;
    let order = shop.place(&ann, mug, 1, Some("tok_refund_reversed")).await;
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    (shop, ann, order)
}

/// Status, amount and failure of an order's refunds, as orders show them.
async fn refunds(shop: &Shop, order: i64) -> Value {
    let refunds = shop.get(format!("/api/v1/orders/{order}/refunds")).by(shop.admin().await).await.expect(200);
    let entry = |refund: &Value| json!([refund["status"], refund["amount"], refund["failure"]]);
    json!(refunds["items"].as_array().unwrap().iter().map(entry).collect::<Vec<_>>())
}

/// Type and reason of what happened to an order since it was paid.
async fn story(shop: &Shop, order: i64) -> Vec<Value> {
    let story = shop.get(format!("/api/v1/orders/{order}/timeline")).by(shop.admin().await).await.expect(200);
    let told = story["items"].as_array().unwrap().iter().skip(3).map(|entry| json!([entry["type"], entry["reason"]]));
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_is_booked_once_and_can_go_back_again() {
    let (shop, _ann, order) = open().await;
    let path = format!("/api/v1/orders/{order}/refunds");
    shop.post(&path, &json!({ "amount": 4 })).by(shop.admin().await).await.expect(201);
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["refunded"], 4.0);

    let key = shop.value("payments", "SELECT refund_key FROM refunds");
    let message = webhooks::about("refund.failed", key.as_str().unwrap());
    let ids = ["msg_1", "msg_1", "msg_2", "msg_3"];
    let told = join_all(ids.map(|id| webhooks::signed(&shop, id, &message).into_future())).await;
    assert!(told.iter().all(|answer| answer.status == 204), "{told:?}");
    shop.settle().await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("succeeded"), &json!(0.0)));
    let refund = &payment["refunds"][0];
    assert_eq!((&refund["status"], &refund["reason"]), (&json!("failed"), &json!("refund-reversed")));
    let ledger = format!("/api/v1/payments/ledger?orderId={order}");
    let ledger = shop.get(ledger).by(shop.admin().await).await.expect(200)["items"].as_array().unwrap()[2..].to_vec();
    let ledger = ledger.iter().map(|entry| json!([entry["posting"], entry["account"], entry["amount"]]));
    let (there, back) = (format!("refund/{}", refund["id"]), format!("refund-reversal/{}", refund["id"]));
    let expected =
        json!([[there, "refunds", 4.0], [there, "provider", -4.0], [back, "provider", 4.0], [back, "refunds", -4.0]]);
    assert_eq!(json!(ledger.collect::<Vec<_>>()), expected);
    let shown = shop.find_order(order).await;
    assert_eq!((&shown["status"], &shown["refunded"]), (&json!("paid"), &json!(0.0)));
    assert_eq!(refunds(&shop, order).await, json!([["failed", 4.0, "refund-reversed"]]));
    let happened = story(&shop, order).await;
    assert_eq!(happened[1..], [json!(["PAYMENT_REFUNDED", "4.00 EUR"]), json!(["REFUND_FAILED", "refund-reversed"])]);
    shop.audit_allowing(&[Allow::DeclinedRefunds]);

    shop.post(&path, &json!({})).by(shop.admin().await).await.expect(201);
    shop.settle().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    // That one stays, whatever somebody says.
    webhooks::signed(&shop, "msg_4", &json!({ "type": "refund.failed", "data": { "orderId": order } }))
        .await
        .expect(204);
    shop.settle().await;
    assert_eq!(refunds(&shop, order).await, json!([["failed", 4.0, "refund-reversed"], ["succeeded", 10.0, null]]));
    shop.audit_allowing(&[Allow::DeclinedRefunds]);
}

#[tokio::test]
async fn what_comes_back_of_an_order_that_is_over_goes_back_again() {
    needs_bench!("it moves the clock");
    let (shop, ann, order) = open().await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    // A message about the payment is a reason to look at its refunds, too.
    let message = json!({ "type": "refund.failed", "data": { "orderId": order } });
    webhooks::signed(&shop, "msg_1", &message).await.expect(204);
    shop.settle().await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("succeeded"), &json!(0.0)));
    assert_eq!(shop.find_order(order).await["refunded"], 0.0);
    shop.settle_over_time().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    let shown = shop.find_order(order).await;
    assert_eq!((&shown["status"], &shown["refunded"]), (&json!("cancelled"), &json!(10.0)));
    assert_eq!(refunds(&shop, order).await, json!([["failed", 10.0, "refund-reversed"], ["succeeded", 10.0, null]]));
    shop.audit_allowing(&[Allow::DeclinedRefunds]);
}

/// The order is over before the money comes back, or after that: all of it goes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_while_its_order_is_cancelled_goes_back_all_the_same() {
    needs_bench!("it holds up calls, and moves the clock");
    let script = Script::new();
    let shop = Shop::start(ShopOptions { control: Some(script.clone()), ..webhooks::options() }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(10.0, 100).await;
    for round in 1..=10 {
        let order = shop.place(&ann, mug, 1, Some("tok_refund_reversed")).await;
        shop.wait_for(order, "paid").await;
        let refund = shop.post(format!("/api/v1/orders/{order}/refunds"), &json!({ "amount": 4 }));
        refund.by(shop.admin().await).await.expect(201);
        shop.settle().await;
        assert_eq!(shop.find_order(order).await["refunded"], 4.0);
        jitter(&script, round);
        let message = json!({ "data": { "orderId": order } });
        let told = webhooks::signed(&shop, &format!("msg_{round}"), &message).into_future();
        let (told, cancelled) = join(told, shop.cancel(&ann, order).into_future()).await;
        assert_eq!((told.status.as_u16(), cancelled.status.as_u16()), (204, 200));
        shop.settle_over_time().await;
        script.clear();
        assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded", "round {round}");
        assert_eq!(shop.find_order(order).await["refunded"], 10.0, "round {round}");
        shop.audit_allowing(&[Allow::DeclinedRefunds]);
    }
}

#[tokio::test]
async fn a_message_about_a_refund_that_nobody_can_look_up_comes_again() {
    needs_bench!("it makes the provider silent");
    let script = Script::new();
    let (shop, ann, order) = open_with(ShopOptions { control: Some(script.clone()), ..webhooks::options() }).await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    let key = shop.value("payments", "SELECT refund_key FROM refunds");
    script.rule(|call| match call.interface {
        "key-value" if call.detail.contains("refund/") => Verdict::Fail("no answer".into()),
        _ => Verdict::Proceed,
    });
    let messages = [webhooks::about("refund.failed", key.as_str().unwrap()), json!({ "data": { "orderId": order } })];
    for message in &messages {
        assert_problem(&webhooks::signed(&shop, "msg_1", message).await, 503, "unavailable", "the provider is silent");
    }
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded", "nothing is known");
    script.clear();
    webhooks::signed(&shop, "msg_1", &messages[1]).await.expect(204);
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "succeeded");
    shop.settle_over_time().await;
    shop.audit_allowing(&[Allow::DeclinedRefunds]);
}

#[tokio::test]
async fn a_message_about_a_refund_that_the_provider_has_lost_is_not_taken_for_heard() {
    let (shop, ann, order) = open().await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    let key = shop.value("payments", "SELECT refund_key FROM refunds");
    shop.tamper("payments", "UPDATE refunds SET refund_key = 'lost'");
    for message in [webhooks::about("refund.failed", "lost"), json!({ "data": { "orderId": order } })] {
        assert_problem(&webhooks::signed(&shop, "msg_1", &message).await, 503, "unavailable", "lost");
    }
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    shop.tamper("payments", &format!("UPDATE refunds SET refund_key = '{}'", key.as_str().unwrap()));
    let message = webhooks::about("refund.failed", key.as_str().unwrap());
    webhooks::signed(&shop, "msg_1", &message).await.expect(204);
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "succeeded", "it has come back");
}

/// Whatever order the news comes in, and however often: a refund that has failed stays so.
#[tokio::test]
async fn orders_take_the_news_of_a_refund_in_any_order_and_any_number() {
    needs_bench!("it delivers events itself");
    let (shop, _ann, order) = open().await;
    let mut number = 0;
    let mut tell = async |kind: &str, refund: i64, request: Value| {
        number += 1;
        let envelope = json!([{
            "eventId": format!("00000000-0000-7000-8000-{number:012}"), "eventType": kind, "eventVersion": 1,
            "occurredAt": "2026-01-01T00:00:00Z", "producer": "payments", "subject": format!("order/{order}"),
            "data": { "orderId": order, "paymentId": 1, "refundId": refund, "requestId": request, "amount": 2.5,
                "currency": "EUR", "full": false, "reason": "sent back" },
        }]);
        let receipt = shop.internal("orders", Method::POST, "/internal/events", Some(&envelope)).await.expect(200);
        assert_eq!(receipt["refused"], json!([]), "{kind} {refund}");
    };
    // As orders write it down, but payments are not asked: the test answers.
    let asked = |number: i64| {
        let name = format!("00000000-0000-4000-8000-{number:012}");
        shop.tamper(
            "orders",
            &format!(
                "UPDATE orders SET promised = promised + 250 WHERE id = {order}; \
                 INSERT INTO refunds (name, order_id, status, amount, items, restock, created_at, updated_at) \
                 VALUES ('{name}', {order}, 'pending', 250, '[]', FALSE, 0, 0)"
            ),
        );
        json!(name)
    };
    let refunded = || shop.value("orders", &format!("SELECT refunded + promised FROM orders WHERE id = {order}"));
    let (done, failed) = ("PAYMENT_REFUNDED", "REFUND_FAILED");
    let mut expected = Vec::new();
    for (refund, news) in (100..).zip([
        vec![done, failed],
        vec![failed, done],
        vec![done, done, failed, failed, done],
        vec![failed, done, failed, done],
    ]) {
        for (refund, was_asked) in [(refund, false), (refund + 100, true)] {
            let request = if was_asked { asked(refund) } else { Value::Null };
            for kind in &news {
                tell(kind, refund, request.clone()).await;
            }
            assert_eq!(refunded(), 0, "{news:?} {request}");
            expected.push(json!(["failed", 2.5, "sent back"]));
        }
    }
    assert_eq!(refunds(&shop, order).await, json!(expected));
    shop.audit();
}
