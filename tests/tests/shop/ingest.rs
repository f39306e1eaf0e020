//! Events of others: signed, and each has its effect once. What an external processor says of money settles the order.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::join_all;
use hmac_sha256::HMAC;
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::{
    events::is_delivery,
    support::{assert_invalid, assert_problem},
};

const PATH: &str = "/api/v1/events";
const KEY: &[u8] = b"thirty-two bytes of a secret key";
const OLD_KEY: &[u8] = b"thirty-two bytes of the last key";
const VARIABLE: &str = "ingest_secret";

pub fn secret() -> String {
    format!("whsec_{}", STANDARD.encode(KEY))
}

/// A shop that takes events.
pub fn options() -> ShopOptions {
    ShopOptions { variables: [(VARIABLE.into(), secret())].into(), ..ShopOptions::default() }
}

fn send<'a>(shop: &'a Shop, key: &[u8], at: u64, body: &Value) -> Call<'a> {
    let (id, body) = (format!("msg_{}", body["id"]), body.to_string());
    let signature = format!("v1,{}", STANDARD.encode(HMAC::mac(format!("{id}.{at}.{body}"), key)));
    shop.request(reqwest::Method::POST, PATH)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", &at.to_string())
        .header("webhook-signature", &signature)
        .bytes(body)
}

/// An event that is signed now.
pub fn signed<'a>(shop: &'a Shop, body: &Value) -> Call<'a> {
    send(shop, KEY, shop.now().as_secs(), body)
}

/// What a processor says of an order.
pub fn payment(id: &str, kind: &str, order: i64, amount: f64) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/psp", "type": kind, "subject": format!("order/{order}"),
        "data": { "orderId": order, "amount": amount, "currency": "EUR" }
    })
}

async fn open() -> (Shop, Customer, i64) {
    let shop = Shop::start(options()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    (shop, ann, mug)
}

async fn reserved(shop: &Shop, ann: &Customer, mug: i64) -> i64 {
    let order = shop.place(ann, mug, 2, None).await;
    shop.wait_for(order, "reserved").await;
    order
}

#[tokio::test]
async fn an_external_payment_pays_its_order_once() {
    let (shop, ann, mug) = open().await;
    for kind in ["PAYMENT_SUCCEEDED", "PaymentSucceeded"] {
        let order = reserved(&shop, &ann, mug).await;
        let event = payment(&format!("psp-{order}"), kind, order, 10.0);
        for _ in 0..3 {
            let answer = signed(&shop, &event).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
        }
        shop.wait_for(order, "paid").await;
        let paid = shop.payment_of(order).await.expect(200);
        assert_eq!((&paid["provider"], &paid["status"]), (&json!("hand"), &json!("succeeded")));
        let entries = format!("SELECT account, amount FROM ledger WHERE order_id = {order} ORDER BY id");
        assert_eq!(
            shop.query("payments", &entries).concat(),
            [json!("hand"), json!(1000), json!("revenue"), json!(-1000)]
        );
        // Somebody has paid twice: the event must not pass for one that was taken.
        let second = payment(&format!("psp-{order}-2"), kind, order, 10.0);
        assert_problem(&signed(&shop, &second).await, 409, "already-paid", kind);
    }
    // The shop's own envelope is an event as well.
    let order = reserved(&shop, &ann, mug).await;
    let envelope = json!({
        "eventId": "0190f3c1-8f7e-7c3a-9c8e-4f0d6a1b2c3d", "eventType": "PAYMENT_SUCCEEDED", "eventVersion": 1,
        "occurredAt": "2026-11-23T08:00:00Z", "producer": "psp", "subject": format!("order/{order}"),
        "data": { "orderId": order, "amount": 10, "paymentId": "pi_1" }
    });
    signed(&shop, &envelope).await.expect(204);
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_eq!(shop.provider_books().len(), 0);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn four_copies_at_once_are_one_payment() {
    let (shop, ann, mug) = open().await;
    let order = reserved(&shop, &ann, mug).await;
    let event = payment("psp-1", "PAYMENT_SUCCEEDED", order, 10.0);
    for answer in join_all((0..4).map(|_| signed(&shop, &event).send())).await {
        answer.unwrap().expect(204);
    }
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    let entries = format!("SELECT count(*) FROM ledger WHERE order_id = {order}");
    assert_eq!(shop.value("payments", &entries), 2);
    shop.audit();
}

#[tokio::test]
async fn what_is_not_the_orders_money_changes_nothing() {
    let (shop, ann, mug) = open().await;
    let order = reserved(&shop, &ann, mug).await;
    let good = payment("psp-1", "PAYMENT_SUCCEEDED", order, 10.0);
    for (place, value, field) in [
        ("/data/amount", json!(9.99), "data.amount"),
        ("/data/amount", json!(null), "data.amount"),
        ("/data/amount", json!("10"), "data.amount"),
        ("/data/amount", json!(10.001), "data.amount"),
        ("/data/currency", json!("USD"), "data.currency"),
        ("/data/orderId", json!(order + 1), "data.orderId"),
        ("/data/orderId", json!(-1), "data.orderId"),
        ("/data/orderId", json!("x"), "data.orderId"),
        ("/data", json!({}), "data.orderId"),
        ("/id", json!(null), "id"),
        ("/id", json!("x".repeat(201)), "id"),
        ("/type", json!(null), "type"),
        ("/source", json!(null), "source"),
    ] {
        let mut event = good.clone();
        *event.pointer_mut(place).unwrap() = value.clone();
        assert_invalid(&signed(&shop, &event).await, &[field], &format!("{place} {value}"));
    }
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "reserved");
    shop.payment_of(order).await.expect(404);
    // And the right one is not taken for one that was there before.
    signed(&shop, &good).await.expect(204);
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_payment_that_failed_elsewhere_ends_its_order_as_a_declined_card_does() {
    let (shop, ann, mug) = open().await;
    let order = reserved(&shop, &ann, mug).await;
    let event = payment("psp-1", "PAYMENT_FAILED", order, 10.0);
    for _ in 0..2 {
        signed(&shop, &event).await.expect(204);
    }
    shop.wait_for(order, "failed").await;
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["reserved"], 0);
    // Of an order that is paid it says nothing.
    let paid = reserved(&shop, &ann, mug).await;
    signed(&shop, &payment("psp-2", "PAYMENT_SUCCEEDED", paid, 10.0)).await.expect(204);
    shop.wait_for(paid, "paid").await;
    signed(&shop, &payment("psp-3", "PAYMENT_FAILED", paid, 10.0)).await.expect(204);
    shop.settle().await;
    assert_eq!(shop.find_order(paid).await["status"], "paid");
    shop.audit();
}

#[tokio::test]
async fn money_for_an_order_that_is_over_goes_back() {
    let (shop, ann, mug) = open().await;
    let cancelled = reserved(&shop, &ann, mug).await;
    shop.cancel(&ann, cancelled).await.expect(200);
    let failed = shop.place(&ann, mug, 2, Some("tok_declined")).await;
    shop.wait_for(failed, "failed").await;
    for order in [cancelled, failed] {
        signed(&shop, &payment(&format!("psp-{order}"), "PAYMENT_SUCCEEDED", order, 10.0)).await.expect(204);
        shop.settle().await;
        let payment = shop.payment_of(order).await.expect(200);
        assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("refunded"), &json!(10.0)));
    }
    assert_eq!(shop.stock(mug).await["onHand"], 10);
    shop.audit();
}

#[tokio::test]
async fn what_is_not_signed_rightly_and_lately_is_refused() {
    let (shop, ann, mug) = open().await;
    let order = reserved(&shop, &ann, mug).await;
    let event = payment("psp-1", "PAYMENT_SUCCEEDED", order, 10.0);
    let now = shop.now().as_secs();
    for (what, call) in [
        ("another key", send(&shop, OLD_KEY, now, &event)),
        ("old", send(&shop, KEY, now - 3600, &event)),
        ("of the future", send(&shop, KEY, now + 3600, &event)),
        ("not signed", shop.post(PATH, &event)),
    ] {
        assert_problem(&call.await, 401, "unauthenticated", what);
    }
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "reserved");
    let closed = Shop::start(ShopOptions::default()).await;
    assert_problem(&signed(&closed, &event).await, 404, "not-found", "a shop without a secret");
    shop.audit();
}

#[tokio::test]
async fn what_is_none_of_the_shops_business_is_acknowledged_and_ignored() {
    let (shop, ann, mug) = open().await;
    let order = reserved(&shop, &ann, mug).await;
    let good = payment("psp-1", "PAYMENT_SUCCEEDED", order, 10.0);
    for (field, value) in
        [("type", "INVOICE_SENT"), ("source", "/bodega/payments"), ("source", "payments"), ("type", "ORDER_PLACED")]
    {
        let mut event = good.clone();
        event[field] = value.into();
        assert_eq!(signed(&shop, &event).await.status, 202, "{field} {value}");
    }
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "reserved");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_comes_before_the_stock_is_asked_for_again() {
    needs_bench!("it cuts off a component");
    let script = Script::new();
    let shop = Shop::start(ShopOptions { control: Some(script.clone()), ..options() }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    shop.settle().await;
    script.rule(|call| match call.phase {
        bodega_host::Phase::Before if is_delivery(call, "inventory") => bodega_host::Verdict::Fail("down".into()),
        _ => bodega_host::Verdict::Proceed,
    });
    let order = shop.place(&ann, mug, 2, None).await;
    let event = payment("psp-1", "PAYMENT_SUCCEEDED", order, 10.0);
    assert_problem(&signed(&shop, &event).await, 503, "unavailable", "not reserved yet");
    script.clear();
    shop.settle_over_time().await;
    signed(&shop, &event).await.expect(204);
    eventually(std::time::Duration::from_secs(10), "it is paid", async || {
        shop.find_order(order).await["status"] == "paid"
    })
    .await;
    shop.settle().await;
    shop.audit();
}
