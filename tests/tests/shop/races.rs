//! Many at once: whatever the order in which things happen, money and stock are exact.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bodega_host::{HostCall, Phase, Verdict};
use futures::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use serde_json::{Value, json};
use shop_tests::{Customer, Script, Shop, ShopOptions, eventually, needs_bench};

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

fn statuses(shop: &Shop) -> BTreeMap<String, i64> {
    let rows = shop.query("orders", "SELECT status, count(*) FROM orders GROUP BY status");
    rows.into_iter().map(|row| (row[0].as_str().unwrap().to_owned(), row[1].as_i64().unwrap())).collect()
}

/// Places 200 orders for the last 5 pieces, watching the stock all the while; what became of the orders.
async fn two_hundred_for_five(token: Option<&str>) -> (Shop, BTreeMap<String, i64>) {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 5).await;
    let buying = AtomicBool::new(true);
    let buy = async {
        let orders = (0..200).map(|_| shop.order(&ann, mug, 1, token).into_future());
        let placed: Vec<_> = stream::iter(orders).buffer_unordered(50).collect().await;
        assert!(placed.iter().all(|answer| answer.status == 201), "every order is accepted, and then decided");
        shop.settle().await;
        buying.store(false, Ordering::SeqCst);
    };
    let watch = async {
        while buying.load(Ordering::SeqCst) {
            let seen = shop.query("inventory", "SELECT on_hand, reserved, on_hand - reserved FROM stock");
            for row in seen {
                assert!(row.iter().all(|number| number.as_i64().unwrap() >= 0), "stock below zero: {row:?}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    join(buy, watch).await;
    let statuses = statuses(&shop);
    (shop, statuses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_orders_for_the_last_five_reserve_five() {
    let (shop, statuses) = two_hundred_for_five(None).await;
    assert_eq!(statuses, BTreeMap::from([("reserved".to_owned(), 5), ("failed".to_owned(), 195)]));
    assert_eq!(shop.value("inventory", "SELECT on_hand - reserved FROM stock"), 0);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_paying_orders_for_the_last_five_sell_five() {
    let (shop, statuses) = two_hundred_for_five(Some("tok_visa")).await;
    assert_eq!(statuses, BTreeMap::from([("paid".to_owned(), 5), ("failed".to_owned(), 195)]));
    assert_eq!(shop.value("inventory", "SELECT on_hand FROM stock"), 0);
    assert_eq!(shop.provider_books().len(), 5, "five charges");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_order_request_sent_fifty_times_at_once_is_one_order_and_one_charge() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    let order = || shop.order(&ann, mug, 1, Some("tok_visa")).key("the only one").into_future();
    let answers = join_all((0..50).map(|_| order())).await;

    let distinct: BTreeSet<_> = answers.iter().map(|answer| (answer.status.as_u16(), answer.text.clone())).collect();
    assert_eq!(distinct.len(), 1, "{distinct:#?}");
    assert_eq!(answers[0].status, 201);
    let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed") == Some("true")).count();
    assert_eq!(replayed, 49);
    shop.settle().await;
    assert_eq!(statuses(&shop), BTreeMap::from([("paid".to_owned(), 1)]));
    assert_eq!(shop.provider_books().len(), 1, "one charge");

    let other = shop.order(&ann, mug, 2, Some("tok_visa")).key("the only one").await.expect(422);
    assert_eq!(other["code"], "idempotency-key-reused");
    let bob = shop.customer("bob").await;
    shop.order(&bob, mug, 2, Some("tok_visa")).key("the only one").await.expect(201);
    shop.settle().await;
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_paid_twenty_times_at_once_is_charged_once() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    let answers = join_all((0..20).map(|_| shop.pay(&ann, order, "tok_visa").into_future())).await;

    let paid = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((paid, refused), (1, 19));
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_eq!(shop.provider_books().len(), 1, "one charge");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_request_sent_twenty_times_at_once_has_twenty_equal_answers() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    let pay = || shop.pay(&ann, order, "tok_visa").key("pay").into_future();
    let answers = join_all((0..20).map(|_| pay())).await;

    let distinct: BTreeSet<_> = answers.iter().map(|answer| (answer.status.as_u16(), answer.text.clone())).collect();
    assert_eq!(distinct.len(), 1, "{distinct:#?}");
    assert_eq!((answers[0].status.as_u16(), &answers[0].body["status"]), (201, &json!("succeeded")));
    shop.settle().await;
    assert_eq!(shop.provider_books().len(), 1, "one charge");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_at_once_never_give_back_more_than_was_paid() {
    let (shop, ann) = open().await;
    let mug = shop.product(10.0, 100).await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    let payment = shop.payment_of(order).await.expect(200)["id"].as_i64().unwrap();
    let admin = shop.admin().await;
    let path = format!("/api/v1/payments/{payment}/refund");
    let refund = || shop.post(path.as_str(), &json!({ "amount": 3.0 })).by(admin).into_future();
    let answers = join_all((0..20).map(|_| refund())).await;

    let given = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!((given, refused), (3, 17));
    assert_eq!(shop.payment_of(order).await.expect(200)["refundedAmount"], json!(9.0));
    shop.settle().await;
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_registrations_of_one_address_make_one_account() {
    let (shop, _) = open().await;
    let body = json!({ "email": "bob@example.com", "password": "correct horse battery" });
    let answers = join_all((0..50).map(|_| shop.post("/api/v1/auth/register", &body).into_future())).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let others: BTreeSet<_> =
        answers.iter().map(|answer| answer.status.as_u16()).filter(|status| *status != 201).collect();
    assert_eq!(made, 1);
    // 503 is allowed: passwords are checked a few at a time, and the line is short.
    assert!(others.iter().all(|status| [409, 503].contains(status)), "{others:?}");
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users WHERE email = 'bob@example.com'"), 1);
}

/// Cancels an order while it is being paid, at every stage of that: `hold` delays one call of the saga until the
/// cancellation has been answered.
async fn cancel_while(held: &'static str) -> Value {
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    shop.settle().await;
    let reached = Arc::new(AtomicBool::new(false));
    let cancelled = Arc::new(AtomicBool::new(false));
    let (reaches, released) = (reached.clone(), cancelled.clone());
    script.rule(move |call| {
        let stage = format!("{} {} {}", call.component, call.function, call.detail);
        if call.phase == Phase::Before && stage.contains(held) && !released.load(Ordering::SeqCst) {
            reaches.store(true, Ordering::SeqCst);
            return Verdict::Delay(Duration::from_millis(700));
        }
        Verdict::Proceed
    });
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    eventually(Duration::from_secs(20), held, async || reached.load(Ordering::SeqCst)).await;
    let answer = shop.cancel(&ann, order).await;
    cancelled.store(true, Ordering::SeqCst);
    assert_eq!(answer.status, 200, "{held}: {}", answer.text);
    script.clear();
    shop.settle().await;

    let order = shop.find_order(order).await;
    assert_eq!(order["status"], "cancelled", "{held}");
    let stock = shop.stock(mug).await;
    assert_eq!((&stock["onHand"], &stock["reserved"]), (&json!(10), &json!(0)), "{held}");
    // Whether money was taken, and that it is back, is for the audit.
    shop.audit();
    let payment = shop.payment_of(order["id"].as_i64().unwrap()).await;
    if payment.status == 404 { Value::Null } else { payment.expect(200)["status"].clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_races_a_charge_ends_with_nothing_kept() {
    needs_bench!("it holds calls between components");
    // Before the order is reserved: nobody is charged.
    assert_eq!(cancel_while("orders send POST http://inventory.spin.internal/internal/events").await, Value::Null);
    // Reserved, but payments have not heard: they hear both.
    let before_charge = cancel_while("orders send POST http://payments.spin.internal/internal/events").await;
    assert!([json!("refunded"), Value::Null].contains(&before_charge), "{before_charge}");
    // While the provider is at it, and before its answer is written down: taken, and given back.
    assert_eq!(cancel_while("payments set charge/").await, "refunded");
    // Charged, but orders have not heard.
    assert_eq!(cancel_while("payments send POST http://orders.spin.internal/internal/events").await, "refunded");
    // Paid, but inventory has not heard: sold pieces come back.
    assert_eq!(cancel_while("UPDATE orders SET status").await, "refunded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_at_any_moment_ends_paid_or_cancelled_and_refunded() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 1000).await;
    let round = async |number: u64| {
        let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
        tokio::time::sleep(Duration::from_micros(number * 700)).await;
        let answer = shop.cancel(&ann, order).await;
        assert!([200, 409].contains(&answer.status.as_u16()), "{}", answer.text);
        (order, answer.status == 200)
    };
    let rounds: Vec<_> = stream::iter((0..40).map(round)).buffer_unordered(8).collect().await;
    shop.settle().await;
    for (order, cancelled) in rounds {
        let found = shop.find_order(order).await;
        assert_eq!(found["status"], if cancelled { "cancelled" } else { "paid" });
    }
    shop.audit();
}

/// The seller counts ten and adds two while the catalog has not heard yet that three were sold.
#[tokio::test]
async fn what_a_seller_counts_does_not_bring_back_what_was_sold_meanwhile() {
    needs_bench!("it holds events up");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    shop.settle().await;
    let cut_off = |call: &HostCall<'_>| {
        let (from, to) = (call.component, call.detail);
        let between = from == "catalog" && to.ends_with("//inventory.spin.internal/internal/events")
            || from == "inventory" && to.ends_with("//catalog.spin.internal/internal/events");
        if between { Verdict::Fail("cut off".into()) } else { Verdict::Proceed }
    };
    script.rule(cut_off);
    let order = shop.place(&ann, mug, 3, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    let counted = json!({ "stock": 12 });
    shop.put(format!("/api/v1/products/{mug}"), &counted).by(shop.admin().await).await.expect(200);
    script.clear();
    shop.settle_over_time().await;
    assert_eq!(shop.stock(mug).await["available"], 9);
    assert_eq!(shop.get(format!("/api/v1/products/{mug}")).await.expect(200)["stock"], 9);
    shop.audit();
}
