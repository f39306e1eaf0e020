//! What happens because time passes, by a clock that the tests turn.

use std::time::Duration;

use serde_json::json;
use shop_tests::{Allow, Customer, Script, Shop, ShopOptions, is_database, needs_bench};

const TIMEOUT: Duration = Duration::from_secs(15 * 60);

async fn open() -> (Shop, Customer, i64) {
    let shop = Shop::start(ShopOptions { order_timeout: TIMEOUT, ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    (shop, ann, mug)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_nobody_pays_is_cancelled_and_its_stock_returns() {
    needs_bench!("it turns the clock");
    let (shop, ann, mug) = open().await;
    let order = shop.place(&ann, mug, 3, None).await;
    shop.wait_for(order, "reserved").await;
    shop.clock.advance(TIMEOUT - Duration::from_secs(30));
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "reserved", "there is still time");
    assert_eq!(shop.stock(mug).await["available"], 7);

    shop.clock.advance(Duration::from_secs(31));
    shop.settle().await;
    let found = shop.find_order(order).await;
    assert_eq!((&found["status"], &found["reason"]), (&json!("cancelled"), &json!("not paid in time")));
    assert_eq!(shop.stock(mug).await["available"], 10);
    let late = shop.pay(&ann, order, "tok_visa").await.expect(409);
    assert_eq!(late["code"], "not-payable");
    assert!(shop.provider_books().is_empty(), "nobody was charged");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_without_an_answer_is_looked_up_until_it_is_known() {
    needs_bench!("it turns the clock");
    let (shop, ann, mug) = open().await;
    for (token, order_ends, payment_ends) in [
        ("tok_timeout", "paid", "succeeded"),
        ("tok_timeout_declined", "failed", "failed"),
        // It never arrived: looked up, found missing, sent again under its key.
        ("tok_timeout_lost", "paid", "succeeded"),
    ] {
        let order = shop.place(&ann, mug, 1, Some(token)).await;
        shop.settle().await;
        assert_eq!(shop.find_order(order).await["status"], "reserved", "{token}: nobody may assume either way");
        assert_eq!(shop.payment_of(order).await.expect(200)["status"], "pending", "{token}");
        shop.settle_over_time().await;
        assert_eq!(shop.find_order(order).await["status"], order_ends, "{token}");
        assert_eq!(shop.payment_of(order).await.expect(200)["status"], payment_ends, "{token}");
    }
    assert_eq!(shop.provider_books().len(), 3, "one charge each");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_charge_is_never_known_ends_and_keeps_no_stock() {
    needs_bench!("it turns the clock");
    let (shop, ann, mug) = open().await;
    let order = shop.place(&ann, mug, 1, Some("tok_unreachable")).await;
    shop.settle().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "pending");
    shop.clock.advance(TIMEOUT + Duration::from_secs(1));
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "cancelled");
    assert_eq!(shop.stock(mug).await["available"], 10);
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "pending", "asked for again, for ever");
    shop.audit_allowing(&[Allow::UnknownCharges]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_turns_out_to_be_taken_after_the_order_ended_goes_back() {
    needs_bench!("it turns the clock");
    let (shop, ann, mug) = open().await;
    let order = shop.place(&ann, mug, 1, Some("tok_timeout")).await;
    shop.settle().await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle_over_time().await;
    assert_eq!(shop.find_order(order).await["status"], "cancelled");
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("refunded"), &json!(5.0)));
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_without_an_answer_is_looked_up_until_it_is_known() {
    needs_bench!("it turns the clock");
    let (shop, ann, mug) = open().await;
    let order = shop.place(&ann, mug, 1, Some("tok_refund_timeout")).await;
    shop.wait_for(order, "paid").await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle_over_time().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restful_shop_forgets_what_is_old() {
    needs_bench!("it turns the clock");
    let (shop, ann, mug) = open().await;
    let order = shop.order(&ann, mug, 1, Some("tok_visa")).key("old").await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    let rows = |service: &str, table: &str| shop.value(service, &format!("SELECT count(*) FROM {table}"));
    assert!(rows("orders", "outbox") != 0 && rows("orders", "inbox") != 0 && rows("orders", "idempotency_keys") != 0);
    shop.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    shop.settle().await;
    shop.tick_all().await;
    for table in ["outbox", "inbox", "idempotency_keys"] {
        assert_eq!(rows("orders", table), 0, "{table}");
    }
    assert_eq!(shop.find_order(order).await["status"], "paid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn housekeeping_forgets_what_is_old_and_writes_nothing_when_there_is_nothing_to_do() {
    needs_bench!("it turns the clock, and sees statements");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (ann, admin) = (shop.customer("ann").await, shop.admin().await);
    let mug = shop.product(5.0, 10).await;
    let order = shop.order(&ann, mug, 1, Some("tok_visa")).key("once").await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(order, "paid").await;
    shop.cancel(admin, order).await.expect(200);
    shop.settle().await;
    let left = |table: &str| shop.value("orders", &format!("SELECT count(*) FROM {table}"));
    let tables = ["idempotency_keys", "rate_limits", "audit_log", "outbox", "inbox"];
    for table in tables {
        assert!(left(table).as_i64().unwrap() > 0, "{table}");
    }
    shop.clock.advance(Duration::from_secs(401 * 24 * 60 * 60));
    // The first rounds may bring about something for another service to do.
    for _ in 0..3 {
        shop.tick_all().await;
    }
    for table in tables {
        assert_eq!(left(table), 0, "{table}");
    }
    script.record();
    shop.tick_all().await;
    let statements = script.recorded().into_iter().filter(|call| is_database(call.interface)).map(|call| call.detail);
    let (writes, reads): (Vec<_>, Vec<_>) = statements.partition(|sql| {
        ["BEGIN", "INSERT", "UPDATE", "DELETE"].iter().any(|word| sql.starts_with(word)) || sql.contains("RETURNING")
    });
    assert!(reads.iter().any(|sql| sql.contains("idempotency_keys")), "{reads:?}");
    assert!(writes.is_empty(), "{writes:?}");
}
