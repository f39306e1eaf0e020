//! When little is left, when a hold has lasted too long, and whether the history adds up whatever happens.

use std::time::Duration;

use futures::future::join_all;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, needs_bench};

const INVENTORY: &str = "/api/v1/inventory";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

async fn adjust(shop: &Shop, product: i64, delta: i64) -> u16 {
    let body = json!({ "delta": delta, "reason": "counted" });
    let answer = shop.post(format!("{INVENTORY}/{product}/adjust"), &body).by(shop.admin().await).await;
    answer.status.as_u16()
}

async fn set(shop: &Shop, product: i64, body: Value) {
    shop.put(format!("{INVENTORY}/{product}"), &body).by(shop.admin().await).await.expect(200);
}

async fn hold(shop: &Shop, product: i64, quantity: i64, seconds: i64) -> i64 {
    let body = json!({ "productId": product, "quantity": quantity, "expiresInSeconds": seconds });
    let held = shop.post(format!("{INVENTORY}/reserve"), &body).by(shop.admin().await).await.expect(201);
    held["id"].as_i64().unwrap()
}

async fn release(shop: &Shop, reservation: i64) -> Value {
    let body = json!({ "reservationId": reservation });
    shop.post(format!("{INVENTORY}/release"), &body).by(shop.admin().await).await.expect(200)
}

/// What was said of a product that became low, in order: what was available, and the threshold.
fn warnings(shop: &Shop, product: i64) -> Vec<(i64, i64)> {
    let rows = shop.query("inventory", "SELECT envelope FROM outbox ORDER BY id");
    let events = rows.iter().map(|row| serde_json::from_str::<Value>(row[0].as_str().unwrap()).unwrap());
    let low = events.filter(|event| event["eventType"] == "STOCK_LOW" && event["data"]["productId"] == product);
    low.map(|event| (event["data"]["available"].as_i64().unwrap(), event["data"]["threshold"].as_i64().unwrap()))
        .collect()
}

#[tokio::test]
async fn the_threshold_is_a_tenth_of_the_first_stock_at_least_five_and_the_sellers_to_set() {
    let shop = open().await;
    for (stock, threshold) in [(0, 5), (10, 5), (59, 5), (60, 6), (200, 20), (209, 20)] {
        let product = shop.product(1.0, stock).await;
        assert_eq!(shop.stock(product).await["reorderThreshold"], threshold, "{stock}");
        assert_eq!(shop.stock(product).await["lowStock"], stock <= threshold, "{stock}");
    }
    let product = shop.product(1.0, 100).await;
    assert_eq!(adjust(&shop, product, 900).await, 200);
    assert_eq!(shop.stock(product).await["reorderThreshold"], 10, "of the first stock, not of what came later");
    set(&shop, product, json!({ "reorderThreshold": 0 })).await;
    assert_eq!(shop.stock(product).await["reorderThreshold"], 0);
}

#[tokio::test]
async fn a_product_that_becomes_low_is_announced_once_until_there_was_more() {
    let shop = open().await;
    let product = shop.product(1.0, 20).await;
    for (delta, expected) in [
        (-14, &[][..]),
        (-1, &[(5, 5)]),
        (-1, &[(5, 5)]),
        (-4, &[(5, 5)]),
        (5, &[(5, 5)]),
        (1, &[(5, 5)]),
        (-3, &[(5, 5), (3, 5)]),
        (-3, &[(5, 5), (3, 5)]),
        (100, &[(5, 5), (3, 5)]),
        (-100, &[(5, 5), (3, 5), (0, 5)]),
    ] {
        assert_eq!(adjust(&shop, product, delta).await, 200);
        assert_eq!(warnings(&shop, product), expected, "{delta}");
    }
    assert_eq!(adjust(&shop, product, -1).await, 409);
    assert_eq!(warnings(&shop, product).len(), 3, "what is refused announces nothing");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn whatever_makes_a_product_low_announces_it() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let product = shop.product(1.0, 10).await;
    // A hold, and its release.
    let held = hold(&shop, product, 6, 60).await;
    assert_eq!(warnings(&shop, product), [(4, 5)]);
    release(&shop, held).await;
    // The threshold itself; together with a count it is one change.
    set(&shop, product, json!({ "reorderThreshold": 10 })).await;
    assert_eq!(warnings(&shop, product), [(4, 5), (10, 10)]);
    set(&shop, product, json!({ "reorderThreshold": 5 })).await;
    set(&shop, product, json!({ "reorderThreshold": 50, "onHand": 60 })).await;
    set(&shop, product, json!({ "reorderThreshold": 5, "onHand": 7 })).await;
    assert_eq!(warnings(&shop, product).len(), 2, "neither was low before or after");
    // An order; when it is paid, nothing becomes less.
    let order = shop.place(&ann, product, 2, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_eq!(warnings(&shop, product)[2..], [(5, 5)]);
    // The catalog.
    let path = format!("/api/v1/products/{product}");
    for (stock, count) in [(9, 3), (1, 4), (2, 4)] {
        shop.put(&path, &json!({ "stock": stock })).by(shop.admin().await).await.expect(200);
        shop.settle().await;
        assert_eq!(warnings(&shop, product).len(), count, "{stock}");
    }
    // What is no longer sold is not reordered.
    shop.put(&path, &json!({ "stock": 9 })).by(shop.admin().await).await.expect(200);
    shop.settle().await;
    shop.delete(&path).by(shop.admin().await).await;
    shop.settle().await;
    assert_eq!(warnings(&shop, product).len(), 4);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_orders_at_once_one_makes_the_product_low() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let product = shop.product(1.0, 20).await;
    join_all((0..20).map(|_| shop.place(&ann, product, 1, None))).await;
    shop.settle().await;
    assert_eq!(shop.stock(product).await["available"], 0);
    assert_eq!(warnings(&shop, product), [(5, 5)]);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_is_taken_from_two_sides_at_once_is_taken_once() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let product = shop.product(1.0, 30).await;
    let orders = join_all((0..25).map(|_| shop.place(&ann, product, 1, Some("tok_visa"))));
    let adjustments = join_all((0..25).map(|_| adjust(&shop, product, -1)));
    let (orders, adjustments) = futures::join!(orders, adjustments);
    shop.settle().await;
    let mut paid = 0;
    for order in &orders {
        paid += i64::from(shop.find_order(*order).await["status"] == "paid");
    }
    let taken = i64::try_from(adjustments.iter().filter(|status| **status == 200).count()).unwrap();
    assert!(adjustments.iter().all(|status| [200, 409].contains(status)), "{adjustments:?}");
    assert_eq!(paid + taken, 30, "{paid} paid orders and {taken} adjustments");
    assert_eq!(shop.stock(product).await["onHand"], 0);
    assert_eq!(warnings(&shop, product), [(5, 5)]);
    shop.audit();
}

#[tokio::test]
async fn what_is_held_by_hand_comes_back_when_its_time_is_up() {
    needs_bench!("it turns the clock");
    let shop = open().await;
    let product = shop.product(1.0, 10).await;
    let (short, long) = (hold(&shop, product, 3, 60).await, hold(&shop, product, 2, 3600).await);
    let body = json!({ "productId": product, "quantity": 1 });
    let unsaid = shop.post(format!("{INVENTORY}/reserve"), &body).by(shop.admin().await).await.expect(201);
    assert!(unsaid["expiresAt"].is_string(), "{unsaid}");
    shop.clock.advance(Duration::from_secs(55));
    shop.settle().await;
    assert_eq!(shop.stock(product).await["reserved"], 6, "there is still time");
    shop.clock.advance(Duration::from_secs(6));
    shop.settle().await;
    assert_eq!(shop.stock(product).await["reserved"], 3);
    shop.clock.advance(Duration::from_secs(15 * 60));
    shop.settle().await;
    assert_eq!(shop.stock(product).await["reserved"], 2, "a quarter of an hour when nobody says");
    let history = format!("{INVENTORY}/{product}/history?limit=1");
    let last = shop.get(history).by(shop.admin().await).await.expect(200)["items"][0].clone();
    assert_eq!((&last["kind"], &last["reason"]), (&json!("released"), &json!("expired")));
    assert_eq!(release(&shop, short).await["status"], "expired", "it is let go once");
    assert_eq!(release(&shop, long).await["status"], "released");
    assert_eq!(shop.stock(product).await["available"], 10);
    shop.clock.advance(Duration::from_secs(3600));
    shop.settle().await;
    assert_eq!(shop.stock(product).await["available"], 10);
    shop.audit();
}

#[tokio::test]
async fn many_holds_that_are_over_come_back_over_some_ticks() {
    needs_bench!("it turns the clock");
    let shop = open().await;
    let (mug, cup) = (shop.product(1.0, 100).await, shop.product(1.0, 100).await);
    for number in 0..40 {
        hold(&shop, if number % 2 == 0 { mug } else { cup }, 2, 60).await;
    }
    shop.clock.advance(Duration::from_secs(61));
    shop.settle().await;
    shop.settle().await;
    assert_eq!((&shop.stock(mug).await["available"], &shop.stock(cup).await["available"]), (&json!(100), &json!(100)));
    shop.audit();
}

#[derive(Debug, Clone)]
enum Step {
    Adjust(i64),
    Set(i64),
    Hold(i64, i64),
    Release(prop::sample::Index),
    Order(u32, &'static str),
    Cancel(prop::sample::Index),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (-9..9i64).prop_map(Step::Adjust),
        (0..40i64).prop_map(Step::Set),
        (1..8i64, 1..600i64).prop_map(|(quantity, seconds)| Step::Hold(quantity, seconds)),
        any::<prop::sample::Index>().prop_map(Step::Release),
        (1..8u32, prop_oneof![Just("tok_visa"), Just("tok_declined")])
            .prop_map(|(quantity, token)| Step::Order(quantity, token)),
        any::<prop::sample::Index>().prop_map(Step::Cancel),
        (1..300u64).prop_map(Step::Wait),
    ]
}

/// Does one step; what it asks for may be refused.
async fn walk(shop: &Shop, ann: &Customer, product: i64, step: Step, holds: &mut Vec<i64>, orders: &mut Vec<i64>) {
    let admin = shop.admin().await;
    match step {
        Step::Adjust(delta) => _ = adjust(shop, product, delta).await,
        Step::Set(on_hand) => {
            _ = shop.put(format!("{INVENTORY}/{product}"), &json!({ "onHand": on_hand })).by(admin).await;
        }
        Step::Hold(quantity, seconds) => {
            let body = json!({ "productId": product, "quantity": quantity, "expiresInSeconds": seconds });
            let held = shop.post(format!("{INVENTORY}/reserve"), &body).by(admin).await;
            holds.extend(held.body["id"].as_i64());
        }
        Step::Release(which) if !holds.is_empty() => _ = release(shop, *which.get(holds)).await,
        Step::Order(quantity, token) => orders.push(shop.place(ann, product, quantity, Some(token)).await),
        Step::Cancel(which) if !orders.is_empty() => _ = shop.cancel(ann, *which.get(orders)).await,
        Step::Wait(seconds) => shop.clock.advance(Duration::from_secs(seconds)),
        Step::Release(_) | Step::Cancel(_) => {}
    }
}

#[tokio::test]
async fn whatever_happens_the_history_adds_up_and_every_fall_is_announced_once() {
    needs_bench!("it turns the clock");
    let mut runner = TestRunner::deterministic();
    let shop = open().await;
    let ann = shop.customer("ann").await;
    for _ in 0..4 {
        let product = shop.product(1.0, 20).await;
        let steps = proptest::collection::vec(step(), 25).new_tree(&mut runner).unwrap().current();
        let (mut holds, mut orders) = (Vec::new(), Vec::new());
        for step in steps.clone() {
            walk(&shop, &ann, product, step, &mut holds, &mut orders).await;
            shop.settle().await;
        }
        let movements =
            format!("SELECT on_hand_delta, reserved_delta FROM movements WHERE product_id = {product} ORDER BY id");
        let (mut on_hand, mut reserved, mut falls) = (0, 0, 0);
        for row in shop.query("inventory", &movements) {
            let before: i64 = on_hand - reserved;
            on_hand += row[0].as_i64().unwrap();
            reserved += row[1].as_i64().unwrap();
            falls += usize::from(before > 5 && on_hand - reserved <= 5);
        }
        let record = shop.stock(product).await;
        assert_eq!((&record["onHand"], &record["reserved"]), (&json!(on_hand), &json!(reserved)), "{steps:?}");
        assert_eq!(warnings(&shop, product).len(), falls, "{steps:?}");
        shop.audit();
    }
}
