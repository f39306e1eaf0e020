//! Orders ask for money of a paid order to go back, and are told what became of it.

use std::time::Duration;

use bodega_host::Verdict;
use serde_json::{Value, json};
use shop_tests::{Customer, Script, Shop, ShopOptions, needs_bench};

/// A request's name.
pub fn uuid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// Writes into orders' outbox what orders emit; their relay delivers it.
pub fn emit(shop: &Shop, order: i64, request: &str, amount: Value) {
    // Another event each time, also when it is about the same request.
    let number = shop.last_id("orders", "outbox").as_u64().unwrap();
    let now = shop.now().as_millis();
    let event = format!("00000000-0000-7000-8000-{number:012}");
    let envelope = json!({
        "eventId": event, "eventType": "REFUND_REQUESTED", "eventVersion": 1, "occurredAt": "2026-01-01T00:00:00Z",
        "producer": "orders", "subject": format!("order/{order}"),
        "data": { "orderId": order, "requestId": request, "amount": amount, "reason": "sent back" },
    });
    shop.tamper(
        "orders",
        &format!(
            "INSERT INTO outbox (event_id, envelope, created_at) VALUES ('{event}', '{envelope}', {now}); \
             INSERT INTO deliveries (outbox_id, subscriber, subject, since, due_at) \
             VALUES ((SELECT max(id) FROM outbox), 'payments', 'order/{order}', 0, 0)"
        ),
    );
}

/// What payments have answered to a request: type, and reason of a refusal.
fn answers(shop: &Shop, request: &str) -> Vec<Vec<Value>> {
    let data = "json_extract(envelope, '$.data.requestId')";
    let columns = "json_extract(envelope, '$.eventType'), json_extract(envelope, '$.data.reason')";
    shop.query("payments", &format!("SELECT {columns} FROM outbox WHERE {data} = '{request}' ORDER BY id"))
}

async fn open(script: Option<std::sync::Arc<Script>>, token: &str) -> (Shop, Customer, i64) {
    let shop = match script {
        Some(script) => Shop::start(ShopOptions::controlled(script)).await,
        None => Shop::start(ShopOptions::default()).await,
    };
    let ann = shop.customer("ann").await;
    let mug = shop.product(10.0, 10).await;
    let order = shop.place(&ann, mug, 1, Some(token)).await;
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    (shop, ann, order)
}

#[tokio::test]
async fn a_request_is_fulfilled_once_and_answered_once() {
    needs_bench!("it writes into an outbox");
    let (shop, ann, order) = open(None, "tok_visa").await;
    for _ in 0..3 {
        emit(&shop, order, &uuid(1), json!(4));
    }
    emit(&shop, order, &uuid(2), json!(1.5));
    shop.settle().await;
    let done = [json!("PAYMENT_REFUNDED"), json!(null)];
    for request in [1, 2] {
        assert_eq!(answers(&shop, &uuid(request)), [done.to_vec()], "request {request}");
    }
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!(payment["refundedAmount"], 5.5);
    assert_eq!(payment["refunds"][0]["reason"], "sent back");

    emit(&shop, order, &uuid(3), json!(4.51));
    emit(&shop, 999, &uuid(4), json!(1));
    emit(&shop, order, &uuid(5), json!(0));
    shop.settle().await;
    let refused = |reason: &str| vec![vec![json!("REFUND_FAILED"), json!(reason)]];
    assert_eq!(answers(&shop, &uuid(3)), refused("only 4.50 are left"));
    assert_eq!(answers(&shop, &uuid(4)), refused("there is nothing to give back"));
    assert_eq!(answers(&shop, &uuid(5)), refused("there is nothing to give back"));
    emit(&shop, order, &uuid(6), json!(4.5));
    shop.settle().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_request_that_the_provider_declines_is_told() {
    needs_bench!("it writes into an outbox");
    let (shop, _ann, order) = open(None, "tok_refund_declined").await;
    emit(&shop, order, &uuid(1), json!(4));
    emit(&shop, order, &uuid(1), json!(4));
    shop.settle().await;
    assert_eq!(answers(&shop, &uuid(1)), [[json!("REFUND_FAILED"), json!("refund-declined")]]);
    assert_eq!(shop.payment_of(order).await.expect(200)["refundedAmount"], 0.0);
}

/// Orders cancel at the same moment: both refunds together are all of it and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_and_a_cancellation_give_back_all_and_no_more() {
    needs_bench!("it writes into an outbox");
    let script = Script::new();
    let (shop, ann, order) = open(Some(script.clone()), "tok_refund_timeout").await;
    script.rule(|call| match call.interface {
        "key-value" => Verdict::Delay(Duration::from_millis(20)),
        _ => Verdict::Proceed,
    });
    emit(&shop, order, &uuid(1), json!(4));
    shop.cancel(&ann, order).await.expect(200);
    shop.settle_over_time().await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("refunded"), &json!(10.0)));
    assert_eq!(answers(&shop, &uuid(1)).len(), 1);
    shop.audit();
}
