//! Two who cannot both win, held up by other amounts in each round so that each wins at each step: whoever does, money
//! and stock end together.

use std::{
    collections::BTreeSet,
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use futures::future::join;
use serde_json::{Value, json};
use shop_tests::{Customer, Script, Shop, ShopOptions, needs_bench};

const ROUNDS: u64 = 30;
const TIMEOUT: Duration = Duration::from_secs(600);

async fn open() -> (Arc<Script>, Shop, Customer, i64) {
    let script = Script::new();
    let shop = Shop::start(ShopOptions { order_timeout: TIMEOUT, ..ShopOptions::controlled(script.clone()) }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 1000).await;
    (script, shop, ann, mug)
}

/// Holds up the calls that decide the race.
pub fn jitter(script: &Script, seed: u64) {
    let state = Arc::new(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
    script.rule(move |call| {
        let decisive = matches!(call.detail, "BEGIN IMMEDIATE" | "BEGIN" | "COMMIT")
            || call.interface == "http"
            || call.interface == "key-value";
        if !decisive || call.phase == Phase::After {
            return Verdict::Proceed;
        }
        // xorshift: what each call draws depends on the seed and on how many drew before it.
        let drawn = state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| {
            let state = state ^ (state << 13);
            let state = state ^ (state >> 7);
            Some(state ^ (state << 17))
        });
        Verdict::Delay(Duration::from_millis(drawn.unwrap() % 12))
    });
}

/// `paid` with the money taken, or `cancelled` with none kept: the order's status, and its payment's.
async fn end_of(shop: &Shop, order: i64) -> (Value, Value) {
    shop.settle().await;
    let status = shop.find_order(order).await["status"].clone();
    let payment = shop.payment_of(order).await;
    let payment = if payment.status == 404 { json!("none") } else { payment.expect(200)["status"].clone() };
    let fits = match status.as_str() {
        Some("paid") => payment == "succeeded",
        Some("cancelled") => ["none", "failed", "refunded"].iter().any(|end| payment == *end),
        _ => false,
    };
    assert!(fits, "order {order} is {status}, its payment is {payment}");
    shop.audit();
    (status, payment)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_races_a_payment_ends_either_way_and_never_between() {
    needs_bench!("it delays calls of components");
    let (script, shop, ann, mug) = open().await;
    let mut payments = BTreeSet::new();
    for round in 0..ROUNDS {
        let order = shop.place(&ann, mug, 1, None).await;
        shop.wait_for(order, "reserved").await;
        shop.settle().await;
        jitter(&script, round);
        // First the one is late, then the other.
        let late = |millis: u64| tokio::time::sleep(Duration::from_millis(millis));
        let pay = async {
            late((ROUNDS * 2).saturating_sub(round * 4)).await;
            shop.pay(&ann, order, "tok_visa").await
        };
        let cancel = async {
            late((round * 4).saturating_sub(ROUNDS * 2)).await;
            shop.cancel(&ann, order).await
        };
        let (paid, cancelled) = join(pay, cancel).await;
        script.clear();
        assert!([201, 409].contains(&paid.status.as_u16()), "{}", paid.text);
        // An order that is paid can still be cancelled, so a cancel always wins in the end.
        cancelled.expect(200);
        let (status, payment) = end_of(&shop, order).await;
        assert_eq!(status, "cancelled");
        payments.insert(payment.to_string());
    }
    assert!(payments.len() > 1, "all rounds ended the same way: {payments:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_that_races_a_payment_ends_either_way_and_never_between() {
    needs_bench!("it moves the clock");
    let (script, shop, ann, mug) = open().await;
    let mut ends = BTreeSet::new();
    for round in 0..ROUNDS {
        let order = shop.place(&ann, mug, 1, None).await;
        shop.wait_for(order, "reserved").await;
        shop.settle().await;
        let token = shop.access_token(&ann).await;
        jitter(&script, 1000 + round);
        let expire = async {
            tokio::time::sleep(Duration::from_millis(round * 4)).await;
            shop.clock.advance(TIMEOUT);
            shop.tick("orders").await;
        };
        let body = json!({ "orderId": order, "token": "tok_visa" });
        let pay = shop.post("/api/v1/payments", &body).bearer(&token);
        let (paid, ()) = join(pay.into_future(), expire).await;
        script.clear();
        // That the access token is over, too, when the request arrives is one more way to be late.
        assert!([201, 401, 409].contains(&paid.status.as_u16()), "{}", paid.text);
        ends.insert(end_of(&shop, order).await.0.to_string());
    }
    assert_eq!(ends.len(), 2, "all rounds ended the same way: {ends:?}");
}
