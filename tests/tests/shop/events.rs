//! Events arrive: twice, late, out of order across subjects, or not for a while. The end is the same.

use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bodega_host::{HostCall, Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Allow, Customer, Rows, Script, Shop, ShopOptions, as_written, needs_bench};

/// Longer than the relay tries to deliver an event.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

async fn open() -> (Arc<Script>, Shop, Customer) {
    let script = Script::new();
    let shop = Shop::start(ShopOptions { order_timeout: LONG, ..ShopOptions::controlled(script.clone()) }).await;
    let ann = shop.customer("ann").await;
    (script, shop, ann)
}

pub(crate) fn is_delivery(call: &HostCall<'_>, subscriber: &str) -> bool {
    call.interface == "http" && call.detail == format!("POST http://{subscriber}.spin.internal/internal/events")
}

/// A subscriber that cannot be reached.
fn down(script: &Script, subscriber: &'static str) {
    script.rule(move |call| match call.phase {
        Phase::Before if is_delivery(call, subscriber) => Verdict::Fail("it is down".into()),
        _ => Verdict::Proceed,
    });
}

/// Numbers that look random and are the same in every run.
struct Dice(AtomicU64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn roll(&self, sides: usize) -> usize {
        let next = |state: u64| {
            let state = state ^ (state << 13);
            let state = state ^ (state >> 7);
            Some(state ^ (state << 17))
        };
        let rolled = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap();
        usize::try_from(rolled >> 33).unwrap() % sides
    }
}

/// Everything that events have an effect on, without times.
fn state(shop: &Shop) -> Vec<Rows> {
    [
        ("orders", "SELECT id, status, reason, total FROM orders ORDER BY id"),
        ("orders", "SELECT order_id, type, status, reason FROM order_history ORDER BY order_id, id"),
        ("inventory", "SELECT product_id, on_hand, reserved FROM stock ORDER BY product_id"),
        ("inventory", "SELECT order_id, status, lines FROM reservations ORDER BY order_id"),
        (
            "inventory",
            "SELECT product_id, kind, count(*), sum(on_hand_delta), sum(reserved_delta) FROM movements GROUP BY 1, 2",
        ),
        ("payments", "SELECT order_id, amount, status, refunded, reason FROM payments ORDER BY order_id"),
        ("payments", "SELECT payment_id, amount, status, reason FROM refunds ORDER BY payment_id, id"),
        ("payments", "SELECT order_id, closed FROM payable_orders ORDER BY order_id"),
        ("catalog", "SELECT id, stock FROM products ORDER BY id"),
    ]
    .map(|(service, sql)| shop.query(service, sql))
    .to_vec()
}

/// Hands one event to a service, as a relay would. True when it was taken.
pub(crate) async fn deliver(shop: &Shop, subscriber: &str, envelope: &str) -> bool {
    let batch: Value = serde_json::from_str(&format!("[{envelope}]")).unwrap();
    let receipt = shop.internal(subscriber, Method::POST, "/internal/events", Some(&batch)).await.expect(200);
    receipt["refused"].as_array().unwrap().is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_again_has_no_effect() {
    needs_bench!("it delivers events itself");
    let (_script, shop, ann) = open().await;
    let mug = shop.product(5.0, 20).await;
    for token in [Some("tok_visa"), Some("tok_declined"), None] {
        shop.place(&ann, mug, 2, token).await;
    }
    let cancelled = shop.place(&ann, mug, 3, Some("tok_visa")).await;
    shop.wait_for(cancelled, "paid").await;
    shop.cancel(&ann, cancelled).await.expect(200);
    let too_many = shop.place(&ann, mug, 1000, None).await;
    shop.wait_for(too_many, "failed").await;
    shop.settle().await;
    shop.audit();
    let before = state(&shop);

    let dice = Dice::new(1);
    let services = ["catalog", "inventory", "orders", "payments"];
    let all = services.map(|service| shop.query(service, "SELECT envelope FROM outbox")).concat();
    let mut copies: Vec<_> = all.iter().flat_map(|row| services.map(|to| (row[0].as_str().unwrap(), to))).collect();
    assert!(copies.len() > 100, "only {} copies", copies.len());
    for round in 0..2 {
        // A shuffle: out of order, also within subjects.
        (1..copies.len()).for_each(|last| copies.swap(last, dice.roll(last + 1)));
        let known = copies.iter().filter(|(envelope, to)| inbox_has(&shop, to, envelope));
        let taken = join_all(known.map(|(envelope, to)| deliver(&shop, to, envelope))).await;
        assert!(taken.len() > 20 && taken.iter().all(|taken| *taken), "round {round}: {taken:?}");
    }
    shop.settle().await;
    assert_eq!(state(&shop), before);
    shop.audit();
}

fn inbox_has(shop: &Shop, service: &str, envelope: &str) -> bool {
    let envelope: Value = serde_json::from_str(envelope).unwrap();
    let id = envelope["eventId"].as_str().unwrap();
    !shop.query(service, &format!("SELECT 1 FROM inbox WHERE event_id = '{id}'")).is_empty()
}

/// What happens in the orders of one run, whatever the order in which events arrive.
async fn several_orders(shop: &Shop, ann: &Customer) {
    for (quantity, token) in
        [(2, Some("tok_visa")), (1, Some("tok_declined")), (3, None), (4, Some("tok_visa")), (1000, None)]
    {
        let mug = shop.value("catalog", "SELECT min(id) FROM products").as_i64().unwrap();
        shop.place(ann, mug, quantity, token).await;
    }
}

/// The relay is cut off, and the test delivers instead: every copy twice or more, subjects in any order, each subject in
/// its own.
async fn by_hand(shop: &Shop, dice: &Dice) {
    let mut delivered: BTreeMap<String, Vec<(i64, String, String)>> = BTreeMap::new();
    let mut last_of: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    for _ in 0..2000 {
        let mut next: Vec<(String, i64, String, String, String)> = Vec::new();
        for service in ["catalog", "inventory", "orders", "payments"] {
            let rows = shop.query(
                service,
                "SELECT d.id, d.subscriber, d.subject, o.envelope FROM deliveries d \
                 JOIN outbox o ON o.id = d.outbox_id ORDER BY d.id",
            );
            let mut begun = Vec::new();
            for row in rows {
                let (id, subscriber, subject) =
                    (row[0].as_i64().unwrap(), row[1].as_str().unwrap(), row[2].as_str().unwrap());
                let lane = (service.to_owned(), subscriber.to_owned(), subject.to_owned());
                let new = last_of.get(&lane).is_none_or(|last| id > *last);
                if new && !begun.contains(&lane) {
                    next.push((
                        service.to_owned(),
                        id,
                        subscriber.into(),
                        subject.into(),
                        row[3].as_str().unwrap().into(),
                    ));
                    begun.push(lane);
                }
            }
        }
        // What a provider's answer or a charge brings about comes a little later.
        if next.is_empty() {
            let open = "SELECT count(*) FROM payments WHERE check_at IS NOT NULL";
            if shop.value("payments", open) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        }
        let (service, id, subscriber, subject, envelope) = next.swap_remove(dice.roll(next.len()));
        if deliver(shop, &subscriber, &envelope).await {
            last_of.insert((service, subscriber.clone(), subject), id);
            delivered.entry(subscriber.clone()).or_default().push((id, subscriber, envelope));
        }
        let again: Vec<_> = delivered.values().flatten().collect();
        if !again.is_empty() {
            let (_, subscriber, envelope) = again[dice.roll(again.len())];
            assert!(deliver(shop, subscriber, envelope).await, "a copy is taken");
        }
    }
    panic!("the events do not come to an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_out_of_order_across_subjects_come_to_the_same_end() {
    needs_bench!("it delivers events itself");
    let mut ends = Vec::new();
    for seed in 0..4 {
        let (script, shop, ann) = open().await;
        shop.product(5.0, 10).await;
        shop.settle().await;
        if seed > 0 {
            script.rule(|call| match call.phase {
                Phase::Before if call.detail.ends_with("/internal/events") => Verdict::Fail("cut off".into()),
                _ => Verdict::Proceed,
            });
            several_orders(&shop, &ann).await;
            by_hand(&shop, &Dice::new(seed)).await;
            script.clear();
        } else {
            several_orders(&shop, &ann).await;
        }
        // On its way by hand, everything comes once more from the relay.
        shop.settle_over_time().await;
        shop.audit();
        // In which order inventory served two orders is free; how they end is not.
        ends.push(shop.query("orders", "SELECT id, status FROM orders ORDER BY id"));
        ends.push(shop.query("inventory", "SELECT product_id, on_hand, reserved FROM stock"));
        assert_eq!(ends[ends.len() - 2..], ends[..2], "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_is_down_gets_its_events_when_it_is_back() {
    needs_bench!("it cuts off a component");
    let (script, shop, ann) = open().await;
    let mug = shop.product(5.0, 10).await;
    shop.settle().await;
    down(&script, "inventory");
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    let copy = || shop.query("orders", "SELECT attempts, due_at, parked_at IS NOT NULL FROM deliveries").remove(0);
    let attempts = || copy()[0].as_i64().unwrap();
    shop_tests::eventually(Duration::from_secs(10), "the first attempt failed", async || attempts() == 1).await;
    let mut waits = Vec::new();
    for attempt in 1..13 {
        let wait = Duration::from_millis(copy()[1].as_u64().unwrap()).saturating_sub(shop.now());
        waits.push(wait);
        shop.tick("orders").await;
        assert_eq!(attempts(), attempt, "not before it is due");
        shop.clock.advance(wait + Duration::from_millis(1));
        shop.tick("orders").await;
        assert_eq!(attempts(), attempt + 1);
    }
    assert!(waits.windows(5).all(|waits| waits[4] > waits[0]), "it backs off: {waits:?}");
    assert_eq!(copy()[2], 1, "parked after the last attempt");
    assert_eq!(shop.find_order(order).await["status"], "pending");

    let parked = shop.internal("orders", Method::GET, "/internal/parked", None).await.expect(200);
    assert_eq!(parked.as_array().unwrap().len(), 1, "{parked}");
    assert_eq!(parked[0]["subscriber"], "inventory");
    assert_eq!(parked[0]["event"]["eventType"], "ORDER_PLACED");
    assert_eq!(parked[0]["attempts"], 13);
    shop.clock.advance(LONG / 2);
    script.clear();
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "pending", "what is parked stays parked");
    assert!(!shop.violations(&[]).is_empty());

    let replay = format!("/internal/parked/{}/replay", parked[0]["id"]);
    shop.internal("orders", Method::POST, &replay, None).await.expect(204);
    shop.internal("orders", Method::POST, &replay, None).await.expect(204);
    shop.settle_over_time().await;
    shop.internal("orders", Method::POST, &replay, None).await.expect(404);
    assert_eq!(shop.find_order(order).await["status"], "paid");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_is_down_holds_up_nobody_else() {
    needs_bench!("it cuts off a component");
    let (script, shop, ann) = open().await;
    let mug = shop.product(5.0, 10).await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    down(&script, "inventory");
    shop.cancel(&ann, order).await.expect(200);
    let closed = format!("SELECT closed FROM payable_orders WHERE order_id = {order}");
    let hears = async || shop.value("payments", &closed) == 1;
    shop_tests::eventually(Duration::from_secs(10), "payments hears of the end", hears).await;
    assert_eq!(shop.stock(mug).await["reserved"], 1, "inventory has not heard");
    script.clear();
    shop.settle_over_time().await;
    assert_eq!(shop.stock(mug).await["reserved"], 0);
    shop.audit();
}

/// An event that its subscriber can never take, between others that it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_is_parked_and_blocks_no_other_subject() {
    needs_bench!("it writes a poison event into an outbox");
    let (script, shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    shop.settle().await;
    // They collect while inventory is down, so that the poison shares a batch with good ones.
    down(&script, "inventory");
    let mut orders = vec![shop.place(&ann, mug, 1, Some("tok_visa")).await];
    for (number, data) in [(1, r#"{"orderId":999,"userId":1,"paymentId":1}"#), (2, r#"{"orderId":"x"}"#)] {
        let envelope = json!({
            "eventId": format!("00000000-0000-7000-8000-00000000000{number}"), "eventType": "ORDER_PAID",
            "eventVersion": 1, "occurredAt": "2026-01-01T00:00:00Z", "producer": "orders",
            "subject": format!("order/99{number}"), "data": serde_json::from_str::<Value>(data).unwrap(),
        });
        shop.tamper(
            "orders",
            &format!(
                "INSERT INTO outbox (event_id, envelope, created_at) VALUES ('{number}', '{envelope}', 0); \
                 INSERT INTO deliveries (outbox_id, subscriber, subject, since, due_at) \
                 VALUES ((SELECT max(id) FROM outbox), 'inventory', 'order/99{number}', 0, 0)"
            ),
        );
    }
    orders.push(shop.place(&ann, mug, 1, Some("tok_visa")).await);
    let failed = "SELECT count(*) FROM deliveries WHERE subscriber = 'inventory' AND attempts > 0";
    shop_tests::eventually(Duration::from_secs(10), "all have failed", async || {
        shop.tick("orders").await;
        shop.value("orders", failed) == 4
    })
    .await;
    script.clear();
    shop.clock.advance(Duration::from_secs(60));
    shop.tick("orders").await;
    for order in &orders {
        shop.wait_for(*order, "paid").await;
    }
    shop.settle_over_time().await;
    let parked = shop.internal("orders", Method::GET, "/internal/parked", None).await.expect(200);
    let mut subjects: Vec<_> =
        parked.as_array().unwrap().iter().map(|parked| parked["subject"].as_str().unwrap()).collect();
    // Which of them was given up first is chance.
    subjects.sort_unstable();
    assert_eq!(subjects, ["order/991", "order/992"]);
    assert!(parked[0]["lastError"].as_str().is_some(), "{parked}");
    shop.audit_allowing(&[Allow::Parked]);
}

/// More than a relay takes at once, of which all but the first could be taken before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_due_later_is_not_overtaken_by_the_many_behind_it() {
    needs_bench!("it cuts a subscriber off");
    let (script, shop, _) = open().await;
    let mug = shop.product(5.0, 20).await;
    shop.settle().await;
    let arrived = shop.query("catalog", "SELECT event_id FROM inbox").len();
    down(&script, "catalog");
    for _ in 0..90 {
        let adjust = json!({ "delta": 1, "reason": "counted" });
        shop.post(format!("/api/v1/inventory/{mug}/adjust"), &adjust).by(shop.admin().await).await.expect(200);
    }
    let copies = "SELECT o.event_id FROM deliveries d JOIN outbox o ON o.id = d.outbox_id \
         WHERE d.subscriber = 'catalog' ORDER BY d.id";
    let sent = shop.query("inventory", copies);
    assert_eq!(sent.len(), 90);
    // All of them are due, the first one least.
    let now = shop.now().as_millis();
    let first = "(SELECT min(id) FROM deliveries WHERE subscriber = 'catalog')";
    shop.clock.advance(Duration::from_secs(600));
    shop.tamper(
        "inventory",
        &format!("UPDATE deliveries SET due_at = CASE id WHEN {first} THEN {now} ELSE {now} - 100000 + id END"),
    );
    script.clear();
    shop.settle().await;
    let inbox = shop.query("catalog", &format!("SELECT event_id FROM inbox ORDER BY {}", as_written()));
    assert_eq!(inbox[arrived..], sent);
    assert_eq!(shop.stock(mug).await["available"], 110);
    shop.audit();
}

/// Deliveries fail at random, before they arrive and after, while a lot is going on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_subject_arrive_in_order_whatever_fails() {
    needs_bench!("it fails calls of components");
    let (script, shop, ann) = open().await;
    let mug = shop.product(5.0, 500).await;
    shop.settle().await;
    let dice = Dice::new(7);
    script.rule(move |call| {
        let fails = call.interface == "http" && call.detail.ends_with("/internal/events") && dice.roll(10) < 3;
        if fails { Verdict::Fail("it rains".into()) } else { Verdict::Proceed }
    });
    let placing = (0..150).map(|number| {
        let token = [None, Some("tok_visa"), Some("tok_declined")][number % 3];
        shop.order(&ann, mug, 1, token).into_future()
    });
    let placed = join_all(placing).await;
    let cancelling = placed.into_iter().step_by(2).map(|placed| {
        let order = placed.expect(201)["id"].as_i64().unwrap();
        shop.cancel(&ann, order).into_future()
    });
    let cancelled = join_all(cancelling).await;
    assert!(cancelled.iter().all(|answer| [200, 409].contains(&answer.status.as_u16())));
    // Time passes, with failures; then the weather gets better.
    for _ in 0..4 {
        shop.clock.advance(Duration::from_secs(2));
        shop.tick_all().await;
    }
    script.clear();
    shop.settle_over_time().await;
    let compared = shop.assert_in_order();
    assert!(compared > 300, "only {compared} pairs of one subject");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_relay_had_claimed_is_delivered_by_another() {
    needs_bench!("it kills instances");
    let (script, shop, ann) = open().await;
    let mug = shop.product(5.0, 10).await;
    shop.settle().await;
    script.rule(|call| match call.phase {
        Phase::Before if is_delivery(call, "inventory") => Verdict::Kill,
        _ => Verdict::Proceed,
    });
    let placed = shop.order(&ann, mug, 1, None).key("once").send().await;
    let order = match placed {
        Ok(answer) if answer.status == 201 => answer.body["id"].as_i64().unwrap(),
        // The instance may die before its answer is out; the same request again tells.
        _ => {
            script.clear();
            shop.order(&ann, mug, 1, None).key("once").await.expect(201)["id"].as_i64().unwrap()
        }
    };
    let waiting = || shop.value("orders", "SELECT due_at FROM deliveries").as_u64();
    script.clear();
    let due = Duration::from_millis(waiting().expect("nobody has delivered it"));
    assert!(due > shop.now(), "the dead instance has it");
    shop.tick("orders").await;
    assert_eq!(shop.find_order(order).await["status"], "pending", "nobody else may have it yet");
    shop.clock.advance(due - shop.now() + Duration::from_millis(1));
    shop.tick("orders").await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    shop.audit();
}
