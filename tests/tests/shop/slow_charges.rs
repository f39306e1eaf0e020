//! A charge takes its time on its way to the provider, who meanwhile does not know it; and then the order is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use serde_json::json;
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

const PATIENCE: Duration = Duration::from_secs(20);

/// Cancels an order while its charge is on its way, and lets housekeeping ask the provider after `pause`, who knows
/// nothing yet. Then the charge arrives, and the instance that has sent it dies if it is to be `killed`.
async fn arrives_after_the_end(pause: Duration, meanwhile: &str, killed: bool) {
    let script = Script::new();
    let order_timeout = Duration::from_secs(24 * 60 * 60);
    let shop = Shop::start(ShopOptions { order_timeout, ..ShopOptions::controlled(script.clone()) }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    shop.settle().await;
    let sent = Arc::new(AtomicBool::new(false));
    let sending = sent.clone();
    script.rule(move |call| match call.phase {
        _ if call.interface != "key-value" || call.function != "set" => Verdict::Proceed,
        Phase::Before => {
            sending.store(true, Ordering::SeqCst);
            Verdict::Delay(Duration::from_secs(2))
        }
        Phase::After if killed => Verdict::Kill,
        Phase::After => Verdict::Proceed,
    });
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    eventually(PATIENCE, "the charge is on its way", async || sent.load(Ordering::SeqCst)).await;
    shop.cancel(&ann, order).await.expect(200);
    let closed = format!("SELECT closed FROM payable_orders WHERE order_id = {order}");
    eventually(PATIENCE, "payments knows that it is over", async || shop.value("payments", &closed) == 1).await;
    shop.clock.advance(pause);
    shop.tick("payments").await;
    assert_eq!(shop.value("payments", "SELECT status FROM payments"), meanwhile);
    assert!(shop.provider_books().is_empty(), "it has not arrived yet");

    eventually(PATIENCE, "the charge arrives", async || !shop.provider_books().is_empty()).await;
    script.clear();
    // Its ending is written down by whoever has sent it, if that is still alive.
    let known = "SELECT count(*) FROM payments WHERE status IN ('succeeded', 'refunded')";
    if !killed {
        eventually(PATIENCE, "its ending is known", async || shop.value("payments", known) == 1).await;
    }
    shop.settle_over_time().await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("refunded"), &json!(5.0)));
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_arrives_after_the_end_is_given_back() {
    needs_bench!("it holds up a call to the provider");
    arrives_after_the_end(Duration::from_secs(60), "pending", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_arrives_after_the_end_and_kills_its_sender_is_given_back() {
    needs_bench!("it kills an instance");
    arrives_after_the_end(Duration::from_secs(60), "pending", true).await;
}

/// Later than anybody can wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_arrives_after_it_was_given_up_is_given_back() {
    needs_bench!("it holds up a call to the provider");
    arrives_after_the_end(Duration::from_secs(2 * 60 * 60), "failed", false).await;
}
