//! The money of an order that is over goes back, whatever the provider says the first time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use futures::future::{join, join_all};
use serde_json::{Value, json};
use shop_tests::{Allow, Answer, Customer, Script, Shop, ShopOptions, needs_bench};

use crate::support::assert_problem;

const HOUR: i64 = 60 * 60 * 1000;

/// A paid order of 10.00.
async fn paid(shop: &Shop, ann: &Customer, token: &str) -> i64 {
    let mug = shop.product(10.0, 1).await;
    let order = shop.place(ann, mug, 1, Some(token)).await;
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    order
}

/// What the admin gives back by hand.
async fn refund(shop: &Shop, order: i64, body: Value) -> Answer {
    let payment = shop.payment_of(order).await.expect(200);
    shop.post(format!("/api/v1/payments/{}/refund", payment["id"]), &body).by(shop.admin().await).await
}

/// Of an order's payment: its status, and status and amount of its refunds.
async fn money(shop: &Shop, order: i64) -> Value {
    let payment = shop.payment_of(order).await.expect(200);
    let refunds = payment["refunds"].as_array().unwrap().iter();
    let refunds: Vec<_> = refunds.map(|refund| json!([refund["status"], refund["amount"]])).collect();
    json!([payment["status"], refunds])
}

/// How often the provider was asked to give back, and the cents that it has.
fn given_back(shop: &Shop) -> (usize, i64) {
    let books = shop.provider_books();
    let refunds: Vec<_> = books.iter().filter(|(key, _)| key.starts_with("refund/")).collect();
    let approved = refunds.iter().filter(|(_, entry)| entry["ending"] == "Approved");
    (refunds.len(), approved.map(|(_, entry)| entry["amount"].as_i64().unwrap()).sum())
}

#[tokio::test]
async fn what_is_declined_goes_back_later_by_itself() {
    needs_bench!("it moves the clock");
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let order = paid(&shop, &ann, "tok_refund_declined_once").await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    assert_eq!(money(&shop, order).await, json!(["succeeded", [["failed", 10.0], ["pending", 10.0]]]));
    assert_problem(&refund(&shop, order, json!({})).await, 409, "nothing-to-refund", "it is on its way");
    shop.clock.advance(Duration::from_secs(50));
    shop.settle().await;
    assert_eq!(given_back(&shop), (1, 0), "not at once");
    shop.clock.advance(Duration::from_secs(80));
    shop.settle().await;
    assert_eq!(money(&shop, order).await, json!(["refunded", [["failed", 10.0], ["succeeded", 10.0]]]));
    assert_eq!(given_back(&shop), (2, 1000));
    assert_eq!(shop.find_order(order).await["refunded"], 10.0);
    let story = shop.get(format!("/api/v1/orders/{order}/timeline")).by(&ann).await.expect(200);
    let told = story["items"].as_array().unwrap().iter().skip(4).map(|entry| json!([entry["type"], entry["reason"]]));
    let expected = json!([["REFUND_FAILED", "refund-declined"], ["PAYMENT_REFUNDED", "10.00 EUR"]]);
    assert_eq!(json!(told.collect::<Vec<_>>()), expected);
    shop.audit_allowing(&[Allow::DeclinedRefunds]);
}

/// A part was on its way back when the order was cancelled, so that only the rest was given back with it.
#[tokio::test]
async fn a_part_that_is_declined_after_a_cancellation_goes_back_all_the_same() {
    needs_bench!("it loses an answer of the provider, and moves the clock");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    for asked_by_orders in [false, true] {
        let order = paid(&shop, &ann, "tok_refund_declined_once").await;
        let before = given_back(&shop);
        // The provider has declined, but nobody hears of it, now or by a look-up.
        let sent = AtomicBool::new(false);
        script.rule(move |call| {
            let refund = call.interface == "key-value" && call.detail.contains("refund/");
            let declined = refund && call.function == "set" && call.phase == Phase::After;
            if declined {
                sent.store(true, Ordering::SeqCst);
            }
            if refund && sent.load(Ordering::SeqCst) { Verdict::Fail("no answer".into()) } else { Verdict::Proceed }
        });
        if asked_by_orders {
            let path = format!("/api/v1/orders/{order}/refunds");
            shop.post(path, &json!({ "amount": 4 })).by(shop.admin().await).await.expect(201);
            shop.settle().await;
        } else {
            assert_eq!(refund(&shop, order, json!({ "amount": 4 })).await.expect(201)["status"], "pending");
        }
        shop.cancel(&ann, order).await.expect(200);
        shop.settle().await;
        assert_eq!(money(&shop, order).await, json!(["succeeded", [["pending", 4.0], ["pending", 6.0]]]));
        script.clear();
        shop.settle_over_time().await;
        let expected = json!(["refunded", [["failed", 4.0], ["succeeded", 6.0], ["succeeded", 4.0]]]);
        assert_eq!(money(&shop, order).await, expected);
        assert_eq!(given_back(&shop), (before.0 + 3, before.1 + 1000));
        assert_eq!(shop.find_order(order).await["refunded"], 10.0);
        shop.audit_allowing(&[Allow::DeclinedRefunds]);
    }
}

#[tokio::test]
async fn what_is_declined_again_and_again_is_left_to_a_person_after_some_days() {
    needs_bench!("it moves the clock");
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let order = paid(&shop, &ann, "tok_refund_declined").await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle_over_time().await;
    let failed = |times: usize| json!(["succeeded", vec![json!(["failed", 10.0]); times]]);
    assert_eq!(money(&shop, order).await, failed(9));
    let times = shop.query("payments", "SELECT updated_at FROM refunds ORDER BY id").concat();
    let waits: Vec<_> = times.windows(2).map(|two| two[1].as_i64().unwrap() - two[0].as_i64().unwrap()).collect();
    assert!(waits[0] < HOUR / 20 && waits[7] >= 12 * HOUR && waits[7] <= 25 * HOUR, "{waits:?}");
    shop.clock.advance(Duration::from_secs(30 * 24 * 60 * 60));
    shop.settle().await;
    assert_eq!(given_back(&shop), (9, 0), "that is all");
    shop.audit_allowing(&[Allow::KeptMoney]);

    // By hand, and from there by itself.
    assert_eq!(refund(&shop, order, json!({ "amount": 3 })).await.expect(201)["status"], "failed");
    shop.settle_over_time().await;
    let all = money(&shop, order).await;
    assert_eq!(all[1].as_array().unwrap()[9..11], [json!(["failed", 3.0]), json!(["failed", 10.0])]);
    assert_eq!(given_back(&shop), (18, 0));
    shop.audit_allowing(&[Allow::KeptMoney]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admins_and_the_shop_at_once_give_back_what_was_taken_and_no_more() {
    needs_bench!("it holds up calls to the provider, and moves the clock");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    for round in 1..=4 {
        let order = paid(&shop, &ann, "tok_refund_declined_once").await;
        script.rule(move |call| match call.interface {
            "key-value" => Verdict::Delay(Duration::from_millis(5 * round)),
            _ => Verdict::Proceed,
        });
        let by_hand = async |wait: u64, body: Value| {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            refund(&shop, order, body).await
        };
        let by_hand = join_all([
            by_hand(0, json!({ "amount": 3 })),
            by_hand(5 * round, json!({ "amount": 3 })),
            by_hand(10 * round, json!({})),
            by_hand(20 * round, json!({})),
        ]);
        let (answers, cancelled) = join(by_hand, async { shop.cancel(&ann, order).await }).await;
        cancelled.expect(200);
        assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status.as_u16())), "{answers:?}");
        // Once more while the shop does it again.
        let again = join_all((0..3).map(|_| refund(&shop, order, json!({ "amount": 1 }))));
        let (answers, ()) = join(again, shop.settle_over_time()).await;
        assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status.as_u16())), "{answers:?}");
        script.clear();
        shop.settle_over_time().await;
        assert_eq!(money(&shop, order).await[0], "refunded", "round {round}");
        assert_eq!(given_back(&shop).1, 1000 * i64::try_from(round).unwrap(), "round {round}");
        shop.audit_allowing(&[Allow::DeclinedRefunds]);
    }
}
