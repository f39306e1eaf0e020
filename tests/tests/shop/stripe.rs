//! The shop with Stripe as its provider, or something that speaks as Stripe does, in all its moods.

use std::{
    fs,
    future::IntoFuture,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Allow, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::{
    fake_stripe::{self, FakeStripe, Mood, SECRET},
    webhooks,
};

const PAYMENTS: &str = "/api/v1/payments";
/// For one request to Stripe.
const PATIENCE: Duration = Duration::from_millis(300);
/// How many failures open the circuit, and how long it stays open.
const THRESHOLD: usize = 5;
const OPEN: Duration = Duration::from_secs(10);

/// The lines of `spin.toml` that docs/payments.md says to change: `-` becomes `+`.
fn changes() -> Vec<(String, String)> {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/payments.md")).unwrap();
    let block = docs.split("```diff\n").nth(1).unwrap().split("```").next().unwrap();
    let mut changes: Vec<(String, String)> = Vec::new();
    let mut before = ' ';
    for line in block.lines() {
        let (sign, line) = (line.chars().next().unwrap_or(' '), line.get(1..).unwrap_or_default());
        match sign {
            '-' if before != '-' => changes.push((line.to_owned(), String::new())),
            '-' => changes.last_mut().unwrap().0 += &format!("\n{line}"),
            '+' if before != '+' => changes.last_mut().unwrap().1 = line.to_owned(),
            '+' => changes.last_mut().unwrap().1 += &format!("\n{line}"),
            _ => {}
        }
        before = sign;
    }
    assert!(changes.len() >= 2 && changes.iter().all(|(from, to)| !from.is_empty() && !to.is_empty()), "{changes:?}");
    changes
}

async fn open(script: Option<Arc<Script>>) -> (FakeStripe, Shop, Customer) {
    let stripe = fake_stripe::start().await;
    let mut variables = webhooks::options().variables;
    variables.extend(
        [
            ("stripe_url", stripe.url()),
            ("stripe_secret_key", SECRET.to_owned()),
            ("stripe_timeout_ms", PATIENCE.as_millis().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let control = script.map(|script| -> Arc<dyn bodega_host::Control> { script });
    let shop = Shop::start(ShopOptions {
        variables,
        changes: changes(),
        provider_books: Some({
            let books = stripe.work().clone();
            Arc::new(move || books.books())
        }),
        // Time passes in jumps here; no order's time may be up by them.
        order_timeout: Duration::from_secs(365 * 24 * 60 * 60),
        control,
        ..ShopOptions::default()
    })
    .await;
    let ann = shop.customer("ann").await;
    (stripe, shop, ann)
}

async fn reserved(shop: &Shop, by: &Customer) -> i64 {
    let product = shop.product(12.5, 1).await;
    let order = shop.place(by, product, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    order
}

async fn act(shop: &Shop, payment: &Value, action: &str, body: Value) -> Value {
    let path = format!("{PAYMENTS}/{}/{action}", payment["id"]);
    let answer = shop.post(path, &body).by(shop.admin().await).await;
    assert!(answer.status.is_success(), "{action}: {}", answer.text);
    answer.body
}

/// What Stripe has taken and given back, in cents.
fn moved(shop: &Shop) -> (i64, i64) {
    let books = shop.provider_books();
    let sum = |kind: &str| {
        let own = books.iter().filter(|(key, entry)| key.starts_with(kind) && entry["ending"] == "Approved");
        own.map(|(_, entry)| entry["amount"].as_i64().unwrap()).sum()
    };
    (sum("charge/"), sum("refund/"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_taken_held_let_go_and_given_back() {
    let (_stripe, shop, ann) = open(None).await;
    let order = reserved(&shop, &ann).await;
    let payment = shop.pay(&ann, order, "tok_visa").await.expect(201);
    assert_eq!((&payment["status"], &payment["provider"]), (&json!("succeeded"), &json!("stripe")), "{payment}");
    shop.wait_for(order, "paid").await;
    for amount in [2.0, 3.0] {
        assert_eq!(act(&shop, &payment, "refund", json!({ "amount": amount })).await["status"], "succeeded");
    }
    assert_eq!(moved(&shop), (1250, 500));

    for (action, status, order_status) in [("capture", "succeeded", "paid"), ("void", "voided", "failed")] {
        let order = reserved(&shop, &ann).await;
        let body = json!({ "orderId": order, "token": "pm_card_visa", "capture": false });
        let payment = shop.post(PAYMENTS, &body).by(&ann).await.expect(201);
        assert_eq!(payment["status"], "authorized", "{payment}");
        assert_eq!(act(&shop, &payment, action, json!({})).await["status"], status);
        shop.wait_for(order, order_status).await;
    }
    for (token, reason) in [("tok_declined", "card-declined"), ("tok_nobodys", "resource-missing")] {
        let order = reserved(&shop, &ann).await;
        let payment = shop.pay(&ann, order, token).await.expect(201);
        assert_eq!((&payment["status"], &payment["reason"]), (&json!("failed"), &json!(reason)));
        shop.wait_for(order, "failed").await;
    }
    shop.settle().await;
    assert_eq!(moved(&shop), (2500, 500));
    shop.audit();
}

/// Stripe says later that a refund has failed, as banks do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_fails_after_it_succeeded_goes_back_again_when_its_order_is_over() {
    needs_bench!("it moves the clock");
    let (stripe, shop, ann) = open(None).await;
    let order = reserved(&shop, &ann).await;
    shop.pay(&ann, order, "tok_visa").await.expect(201);
    shop.wait_for(order, "paid").await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    assert_eq!(moved(&shop), (1250, 1250));

    stripe.work().fail_refunds();
    let key = shop.value("payments", "SELECT refund_key FROM refunds");
    let object = json!({ "id": "re_1", "object": "refund", "status": "failed", "metadata": { "key": key } });
    let message = json!({ "id": "evt_1", "type": "refund.failed", "data": { "object": object } });
    for id in ["msg_1", "msg_1", "msg_2"] {
        webhooks::signed(&shop, id, &message).await.expect(204);
    }
    shop.settle().await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("succeeded"), &json!(0.0)));
    let failed = &payment["refunds"][0];
    assert_eq!((&failed["status"], &failed["reason"]), (&json!("failed"), &json!("expired-or-canceled-card")));
    shop.settle_over_time().await;
    assert_eq!(shop.payment_of(order).await.expect(200)["status"], "refunded");
    assert_eq!(moved(&shop), (1250, 1250));
    assert_eq!(shop.find_order(order).await["refunded"], 12.5);
    shop.audit_allowing(&[Allow::DeclinedRefunds]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_mood_charges_or_refunds_twice() {
    needs_bench!("it moves the clock");
    let (stripe, shop, ann) = open(None).await;
    let moods = [
        Mood::FAILING,
        Mood::FailingAfterwards,
        Mood::Hanging,
        Mood::HangingAfterwards,
        Mood::Resetting,
        Mood::ResettingAfterwards,
    ];
    for (round, mood) in (1i64..).zip(moods) {
        let order = reserved(&shop, &ann).await;
        stripe.set_mood(mood);
        let payment = shop.pay(&ann, order, "tok_visa").await.expect(201);
        assert_eq!(payment["status"], "pending", "{mood:?}: {payment}");
        shop.settle().await;
        assert_eq!(moved(&shop).0, (round - 1) * 1250, "{mood:?}: an intent that is not confirmed moves nothing");
        stripe.set_mood(Mood::Fine);
        shop.settle_over_time().await;
        assert_eq!(shop.find_order(order).await["status"], "paid", "{mood:?}");

        stripe.set_mood(mood);
        let refund = act(&shop, &payment, "refund", json!({ "amount": 5 })).await;
        assert_eq!(refund["status"], "pending", "{mood:?}: {refund}");
        stripe.set_mood(Mood::Fine);
        shop.settle_over_time().await;
        assert_eq!(shop.payment_of(order).await.expect(200)["refundedAmount"], 5.0, "{mood:?}");
        assert_eq!(moved(&shop), (round * 1250, round * 500), "{mood:?}");
        shop.audit();
    }
}

/// The instance dies at a request to Stripe, before it is sent or after it has had its effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_at_a_request_charges_and_refunds_once() {
    needs_bench!("it kills instances");
    let script = Script::new();
    let (stripe, shop, ann) = open(Some(script.clone())).await;
    let url = stripe.url();
    let mut rounds = 0;
    for (request, phase) in [(0, Phase::Before), (0, Phase::After), (1, Phase::Before), (1, Phase::After)] {
        let die_at = |at: usize| {
            let (url, passed) = (url.clone(), AtomicUsize::new(0));
            script.rule(move |call| {
                let own = call.interface == "http" && call.phase == phase && call.detail.contains(&url);
                if own && passed.fetch_add(1, Ordering::SeqCst) == at { Verdict::Kill } else { Verdict::Proceed }
            });
        };
        let order = reserved(&shop, &ann).await;
        die_at(request);
        let pay = shop.pay(&ann, order, "tok_visa").key(&format!("pay {order}"));
        assert!(pay.clone().await.status.is_server_error());
        script.clear();
        shop.settle_over_time().await;
        let payment = pay.await.expect(201);
        assert_eq!(payment["status"], "succeeded", "{request} {phase:?}");
        assert_eq!(shop.find_order(order).await["status"], "paid");

        die_at(0);
        let path = format!("{PAYMENTS}/{}/refund", payment["id"]);
        let refund = shop.post(path, &json!({ "amount": 5 })).by(shop.admin().await).key(&format!("back {order}"));
        assert!(refund.clone().await.status.is_server_error());
        script.clear();
        shop.settle_over_time().await;
        assert_eq!(refund.await.expect(201)["status"], "succeeded");
        rounds += 1;
        assert_eq!(moved(&shop), (rounds * 1250, rounds * 500), "{request} {phase:?}");
        shop.audit();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_circuit_opens_lets_one_try_and_closes() {
    needs_bench!("it moves the clock");
    let (stripe, shop, ann) = open(None).await;
    let mut orders = Vec::new();
    for _ in 0..THRESHOLD + 4 {
        orders.push(reserved(&shop, &ann).await);
    }
    let before = stripe.requests();
    stripe.set_mood(Mood::Hanging);
    for order in &orders[..THRESHOLD] {
        assert_eq!(shop.pay(&ann, *order, "tok_visa").await.expect(201)["status"], "pending");
    }
    assert_eq!(stripe.requests() - before, THRESHOLD, "closed: each has asked");
    let began = Instant::now();
    for order in &orders[THRESHOLD..THRESHOLD + 2] {
        assert_eq!(shop.pay(&ann, *order, "tok_visa").await.expect(201)["status"], "pending");
    }
    assert_eq!(stripe.requests() - before, THRESHOLD, "open: nobody asks");
    assert!(began.elapsed() < PATIENCE * 2, "and nobody waits: {:?}", began.elapsed());

    shop.clock.advance(OPEN);
    assert_eq!(shop.pay(&ann, orders[THRESHOLD + 2], "tok_visa").await.expect(201)["status"], "pending");
    assert_eq!(stripe.requests() - before, THRESHOLD + 1, "half open: one tries");
    shop.tick("payments").await;
    assert_eq!(stripe.requests() - before, THRESHOLD + 1, "and has failed: open again");

    stripe.set_mood(Mood::Fine);
    shop.clock.advance(OPEN);
    // The one that tries is this one or, of those that wait, one that housekeeping has come to first.
    shop.pay(&ann, orders[THRESHOLD + 3], "tok_visa").await.expect(201);
    shop.settle_over_time().await;
    orders.push(reserved(&shop, &ann).await);
    let paid = shop.pay(&ann, orders[THRESHOLD + 4], "tok_visa").await.expect(201);
    assert_eq!(paid["status"], "succeeded", "closed");
    shop.settle().await;
    for order in &orders {
        assert_eq!(shop.find_order(*order).await["status"], "paid");
    }
    assert_eq!(moved(&shop).0, 1250 * i64::try_from(orders.len()).unwrap());
    shop.audit();
}

/// Everything at once: payments and refunds, while the server changes its mood all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stripe_that_comes_and_goes_is_reconciled() {
    needs_bench!("it moves the clock");
    let (stripe, shop, ann) = open(None).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(reserved(&shop, &ann).await);
    }
    let moods = [Mood::ResettingAfterwards, Mood::Fine, Mood::FailingAfterwards, Mood::Fine, Mood::HangingAfterwards];
    let changing = async {
        for mood in moods.iter().cycle().take(20) {
            stripe.set_mood(*mood);
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        stripe.set_mood(Mood::Fine);
    };
    let paying = join_all(orders.iter().map(|order| shop.pay(&ann, *order, "tok_visa").into_future()));
    let (answers, ()) = futures::join!(paying, changing);
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    for order in orders.iter().step_by(2) {
        let cancelled = shop.cancel(&ann, *order).await;
        assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    }
    // What was sent for an order that is over is given up when it cannot arrive any more.
    eventually(Duration::from_secs(60), "all is known", async || {
        shop.settle_over_time().await;
        shop.violations(&[]).is_empty()
    })
    .await;
    shop.audit();
}
