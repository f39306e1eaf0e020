//! What the payment provider tells by itself: signed, once, and never believed without a look.

use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bodega_host::{Phase, Verdict};
use futures::future::{join, join_all};
use hmac_sha256::HMAC;
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::support::assert_problem;

const PATH: &str = "/api/v1/payments/webhooks/sandbox";
const KEY: &[u8] = b"thirty-two bytes of a secret key";
const OLD_KEY: &[u8] = b"thirty-two bytes of the last key";
const VARIABLE: &str = "payment_webhook_secret";

fn secret(key: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(key))
}

/// A shop that takes messages.
pub fn options() -> ShopOptions {
    ShopOptions { variables: [(VARIABLE.into(), secret(KEY))].into(), ..ShopOptions::default() }
}

/// `v1,` and the signature of a message.
fn signature(key: &[u8], id: &str, at: u64, body: &str) -> String {
    format!("v1,{}", STANDARD.encode(HMAC::mac(format!("{id}.{at}.{body}"), key)))
}

/// A message with these headers.
fn send<'a>(shop: &'a Shop, id: &str, at: u64, signature: &str, body: &str) -> Call<'a> {
    shop.request(reqwest::Method::POST, PATH)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", &at.to_string())
        .header("webhook-signature", signature)
        .bytes(body)
}

/// A message that is signed now.
pub fn signed<'a>(shop: &'a Shop, id: &str, body: &Value) -> Call<'a> {
    let (at, body) = (shop.now().as_secs(), body.to_string());
    send(shop, id, at, &signature(KEY, id, at, &body), &body)
}

pub fn about(kind: &str, key: &str) -> Value {
    json!({ "type": kind, "timestamp": "2026-11-23T00:00:00Z", "data": { "key": key } })
}

fn key_of(shop: &Shop, order: i64) -> String {
    let key = shop.value("payments", &format!("SELECT charge_key FROM payments WHERE order_id = {order}"));
    key.as_str().unwrap().to_owned()
}

async fn reserved(shop: &Shop, by: &Customer) -> i64 {
    let product = shop.product(12.5, 1).await;
    let order = shop.place(by, product, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    order
}

/// A payment that the provider has, and of which the shop does not know how it ended.
async fn unknown(shop: &Shop, by: &Customer, token: &str) -> i64 {
    let order = reserved(shop, by).await;
    assert_eq!(shop.pay(by, order, token).await.expect(201)["status"], "pending");
    order
}

#[tokio::test]
async fn a_message_settles_a_pending_payment_with_the_truth() {
    let shop = Shop::start(options()).await;
    let ann = shop.customer("ann").await;
    for (token, kind, status) in [
        ("tok_timeout", "charge.succeeded", "paid"),
        ("tok_timeout_declined", "charge.failed", "failed"),
        // The message may say what it likes: the provider's own look-up counts.
        ("tok_timeout", "charge.failed", "paid"),
        ("tok_timeout_declined", "charge.succeeded", "failed"),
    ] {
        let order = unknown(&shop, &ann, token).await;
        let id = format!("msg_{order}");
        let message = about(kind, &key_of(&shop, order));
        for _ in 0..3 {
            let answer = signed(&shop, &id, &message).await;
            assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""), "{token}: {kind}");
        }
        shop.wait_for(order, status).await;
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_message_names_its_payment_in_several_ways() {
    let shop = Shop::start(options()).await;
    let ann = shop.customer("ann").await;
    for way in 0..4 {
        let order = unknown(&shop, &ann, "tok_timeout").await;
        let payment = shop.payment_of(order).await.expect(200);
        let data = match way {
            0 => json!({ "key": key_of(&shop, order), "amount": 3 }),
            1 => json!({ "object": { "id": "pi_1", "metadata": { "key": key_of(&shop, order) } } }),
            2 => json!({ "paymentId": payment["id"] }),
            _ => json!({ "orderId": order }),
        };
        let message = json!({ "id": "evt_1", "type": "payment_intent.succeeded", "data": data });
        signed(&shop, &format!("msg_{way}"), &message).await.expect(204);
        shop.wait_for(order, "paid").await;
    }
    for (id, data) in [("a", json!({ "key": "nobody's" })), ("b", json!({ "paymentId": 999 })), ("c", json!({}))] {
        signed(&shop, id, &json!({ "type": "invoice.paid", "data": data })).await.expect(204);
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn what_is_not_signed_rightly_and_lately_changes_nothing() {
    let shop = Shop::start(options()).await;
    let ann = shop.customer("ann").await;
    let order = unknown(&shop, &ann, "tok_timeout").await;
    let body = about("charge.succeeded", &key_of(&shop, order)).to_string();
    let now = shop.now().as_secs();
    let good = signature(KEY, "msg_1", now, &body);
    let refused = async |what: &str, call: Call<'_>| assert_problem(&call.await, 401, "unauthenticated", what);
    refused("another key", send(&shop, "msg_1", now, &signature(OLD_KEY, "msg_1", now, &body), &body)).await;
    refused("another id", send(&shop, "msg_2", now, &good, &body)).await;
    refused("another time", send(&shop, "msg_1", now - 1, &good, &body)).await;
    refused("another body", send(&shop, "msg_1", now, &good, &format!("{body} "))).await;
    refused("another version", send(&shop, "msg_1", now, &good.replace("v1,", "v2,"), &body)).await;
    refused("no signature in it", send(&shop, "msg_1", now, "v1,", &body)).await;
    refused("an id of nothing", send(&shop, "", now, &signature(KEY, "", now, &body), &body)).await;
    for at in [now - 6 * 60, now + 6 * 60] {
        refused("too far from now", send(&shop, "msg_1", at, &signature(KEY, "msg_1", at, &body), &body)).await;
    }
    let bare =
        || shop.request(reqwest::Method::POST, PATH).header("content-type", "application/json").bytes(body.clone());
    refused("no headers", bare()).await;
    refused("no time", bare().header("webhook-id", "msg_1").header("webhook-signature", &good)).await;
    for wrong in ["{}", "[]", "x", r#"{"data":{"key":7}}"#] {
        let call = send(&shop, "msg_1", now, &signature(KEY, "msg_1", now, wrong), wrong);
        assert_problem(&call.await, 400, "malformed", wrong);
    }
    let text = send(&shop, "msg_1", now, &good, &body).header("content-type", "text/plain").await;
    assert_problem(&text, 415, "unsupported-media-type", "not JSON");
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "pending");
    assert_eq!(shop.value("payments", "SELECT count(*) FROM inbox WHERE event_id LIKE 'webhook/%'"), 0);

    let several = format!("v1a,xyz v1,AAAA {good}");
    send(&shop, "msg_1", now, &several, &body).await.expect(204);
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_gap_and_without_one_nothing_is_taken() {
    let both = format!("{} {}", secret(KEY), secret(OLD_KEY));
    let shop = Shop::start(ShopOptions { variables: [(VARIABLE.into(), both)].into(), ..ShopOptions::default() }).await;
    let body = about("charge.succeeded", "nobody's").to_string();
    let now = shop.now().as_secs();
    for key in [KEY, OLD_KEY] {
        send(&shop, "msg_1", now, &signature(key, "msg_1", now, &body), &body).await.expect(204);
    }
    for (secret, status, code) in [("", 404, "not-found"), ("not base64!", 503, "unavailable")] {
        let variables = [(VARIABLE.into(), secret.into())].into();
        let shop = Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await;
        let answer = send(&shop, "msg_1", now, &signature(b"", "msg_1", now, &body), &body).await;
        assert_problem(&answer, status, code, secret);
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_checked_comes_again() {
    let shop = Shop::start(options()).await;
    let ann = shop.customer("ann").await;
    let order = unknown(&shop, &ann, "tok_unreachable").await;
    let message = about("charge.succeeded", &key_of(&shop, order));
    for _ in 0..2 {
        assert_problem(&signed(&shop, "msg_1", &message).await, 503, "unavailable", "the provider is silent");
    }
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "pending");
}

#[tokio::test]
async fn a_refund_of_unknown_ending_is_settled_by_a_message() {
    let shop = Shop::start(options()).await;
    let ann = shop.customer("ann").await;
    let order = reserved(&shop, &ann).await;
    let payment = shop.pay(&ann, order, "tok_refund_timeout").await.expect(201);
    shop.wait_for(order, "paid").await;
    let path = format!("/api/v1/payments/{}/refund", payment["id"]);
    let refund = shop.post(&path, &json!({ "amount": 5 })).by(shop.admin().await).await.expect(201);
    assert_eq!(refund["status"], "pending");
    let key = shop.value("payments", "SELECT refund_key FROM refunds");
    let message = about("charge.refunded", key.as_str().unwrap());
    let calls = join_all((0..5).map(|_| signed(&shop, "msg_1", &message).into_future())).await;
    assert!(calls.iter().all(|answer| answer.status == 204), "{calls:?}");
    let found = shop.payment_of(order).await.expect(200);
    assert_eq!((&found["refundedAmount"], &found["refunds"][0]["status"]), (&json!(5.0), &json!("succeeded")));
    shop.settle().await;
    shop.audit();
}

/// The provider has captured; the shop is told by the answer and by a message at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_that_is_answered_and_announced_at_once_is_booked_once() {
    needs_bench!("it holds up calls to the provider");
    let script = Script::new();
    let shop = Shop::start(ShopOptions { control: Some(script.clone()), ..options() }).await;
    let ann = shop.customer("ann").await;
    for round in 0..6 {
        let order = reserved(&shop, &ann).await;
        let body = json!({ "orderId": order, "token": "tok_visa", "capture": false });
        let payment = shop.post("/api/v1/payments", &body).by(&ann).await.expect(201);
        let key = key_of(&shop, order);
        let captured = Arc::new(AtomicBool::new(false));
        let seen = captured.clone();
        // The answer of the provider is held up after it has captured, for as long as a message takes.
        script.rule(move |call| {
            if call.interface == "key-value" && call.function == "set" && call.phase == Phase::After {
                seen.store(true, Ordering::SeqCst);
                return Verdict::Delay(Duration::from_millis(10 * round));
            }
            Verdict::Proceed
        });
        let capture = shop.request(reqwest::Method::POST, format!("/api/v1/payments/{}/capture", payment["id"]));
        let capture = capture.by(shop.admin().await).into_future();
        let tell = async {
            eventually(Duration::from_secs(10), "captured", async || captured.load(Ordering::SeqCst)).await;
            let id = format!("msg_{round}");
            let message = about("charge.captured", &key);
            join_all((0..3).map(|_| signed(&shop, &id, &message).into_future())).await
        };
        let (answer, told) = join(capture, tell).await;
        assert_eq!(answer.expect(200)["status"], "succeeded", "round {round}");
        assert!(told.iter().all(|answer| answer.status == 204), "{told:?}");
        script.clear();
        shop.wait_for(order, "paid").await;
        let postings = format!("SELECT count(*) FROM ledger WHERE order_id = {order}");
        assert_eq!(shop.value("payments", &postings), 2, "round {round}");
    }
    shop.settle().await;
    shop.audit();
}
