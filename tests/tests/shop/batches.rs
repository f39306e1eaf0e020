//! A relay sends what it has in batches. One of them fails, and the next has a later event of the same subject.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use shop_tests::{Customer, Script, Shop, ShopOptions, eventually, needs_bench, say};

/// As many events as a relay sends at once.
const BATCH: usize = 64;
const PATIENCE: Duration = Duration::from_secs(20);

/// Has ORDER_PAID fail once, with ORDER_CANCELLED of the same order waiting behind it.
async fn fail_once(script: &Script, shop: &Shop, ann: &Customer, mug: i64) {
    let order = shop.place(ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    script.rule(|call| match call.phase {
        Phase::Before if call.detail.ends_with("//inventory.spin.internal/internal/events") => {
            Verdict::Fail("it is down".into())
        }
        _ => Verdict::Proceed,
    });
    shop.pay(ann, order, "tok_visa").await.expect(201);
    shop.wait_for(order, "paid").await;
    let failed = "SELECT count(*) FROM deliveries WHERE subscriber = 'inventory' AND attempts > 0";
    eventually(PATIENCE, "the first attempt failed", async || shop.value("orders", failed) == 1).await;
    shop.cancel(ann, order).await.expect(200);
}

/// Fills a batch but for one place, so that the two go to where it ends and the next begins; then that batch fails.
/// False when the relay has made other batches, because several instances took the orders.
async fn split(script: &Script, shop: &Shop, ann: &Customer, mug: i64) -> bool {
    let sent = Arc::new(AtomicU64::new(0));
    let filled = Arc::new(AtomicU64::new(0));
    let (counting, filling) = (sent.clone(), filled.clone());
    script.rule(move |call| {
        if call.component != "orders" || call.phase != Phase::Before {
            return Verdict::Proceed;
        }
        // What is due is claimed when the batch is full, not by a tick that a request has brought about before.
        if call.detail.starts_with("SELECT 1 FROM deliveries d WHERE") && filling.load(Ordering::SeqCst) == 0 {
            return Verdict::Fail("not yet".into());
        }
        if !call.detail.ends_with("//inventory.spin.internal/internal/events") {
            return Verdict::Proceed;
        }
        match counting.fetch_add(1, Ordering::SeqCst) {
            // Meanwhile everything else waits in line.
            0 => Verdict::Delay(Duration::from_secs(3)),
            1 => Verdict::Fail("it is down once more".into()),
            _ => Verdict::Proceed,
        }
    });
    for _ in 0..BATCH {
        shop.place(ann, mug, 1, None).await;
    }
    let one_line = sent.load(Ordering::SeqCst) == 1;
    filled.store(1, Ordering::SeqCst);
    shop.clock.advance(Duration::from_secs(2));
    shop.tick("orders").await;
    let claimed = "SELECT count(*) FROM deliveries WHERE subscriber = 'inventory' AND due_at > 0";
    let in_line = sent.load(Ordering::SeqCst) == 1 && shop.value("orders", claimed) == 66;
    eventually(PATIENCE, "the batch has failed", async || sent.load(Ordering::SeqCst) >= 2).await;
    script.clear();
    shop.settle_over_time().await;
    one_line && in_line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_event_does_not_overtake_one_whose_batch_has_failed() {
    needs_bench!("it holds up and fails calls of components");
    let script = Script::new();
    let options = ShopOptions { max_instance_reuse: Some(1_000_000), ..ShopOptions::controlled(script.clone()) };
    let shop = Shop::start(ShopOptions { order_timeout: Duration::from_secs(1_000_000), ..options }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10_000).await;
    let mut split_up = false;
    for _ in 0..5 {
        fail_once(&script, &shop, &ann, mug).await;
        split_up = split(&script, &shop, &ann, mug).await;
        assert!(shop.assert_in_order() > 0);
        shop.audit();
        if split_up {
            break;
        }
    }
    if !split_up {
        say("a_later_event_does_not_overtake_…: several instances took the orders each time; nothing was tried");
    }
}
