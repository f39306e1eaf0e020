//! Paying, and giving back.

use crate::support::{assert_invalid, assert_problem};
use bodega_host::Verdict;
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Script, Shop, ShopOptions, needs_bench};

const PAYMENTS: &str = "/api/v1/payments";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

/// An order of one piece at this price that waits for its money.
async fn reserved(shop: &Shop, by: &Customer, price: f64) -> i64 {
    let product = shop.product(price, 1).await;
    let order = shop.place(by, product, 1, None).await;
    shop.wait_for(order, "reserved").await;
    // Payments has heard of it when it has heard all there is to hear.
    shop.settle().await;
    order
}

/// A payment of this much that was taken.
async fn taken(shop: &Shop, by: &Customer, price: f64) -> Value {
    let order = reserved(shop, by, price).await;
    let payment = shop.pay(by, order, "tok_visa").await.expect(201);
    shop.wait_for(order, "paid").await;
    payment
}

async fn refund<'a>(shop: &'a Shop, payment: &Value, body: Value) -> Call<'a> {
    shop.post(format!("{PAYMENTS}/{}/refund", payment["id"]), &body).by(shop.admin().await)
}

/// What the provider was asked to take and to give back, in cents.
fn moved(shop: &Shop) -> (Vec<i64>, Vec<i64>) {
    let books = shop.provider_books();
    let of = |kind: &str| {
        let own = books.iter().filter(|(key, _)| key.starts_with(kind));
        own.map(|(_, entry)| entry["amount"].as_i64().unwrap()).collect()
    };
    (of("charge/"), of("refund/"))
}

#[tokio::test]
async fn an_order_is_paid_once_by_its_owner_or_for_him() {
    let (shop, ann) = open().await;
    let (bob, admin) = (shop.customer("bob").await, shop.admin().await);
    let order = reserved(&shop, &ann, 12.5).await;
    assert_problem(&shop.pay(&bob, order, "tok_visa").await, 404, "not-found", "somebody else's");
    assert_problem(&shop.pay(&ann, 999, "tok_visa").await, 404, "not-found", "of no order");
    assert_eq!(shop.payment_of(order).await.status, 404);
    let payment = shop.pay(&ann, order, "tok_visa").await.expect(201);
    let expected = json!({
        "id": payment["id"], "orderId": order, "userId": ann.id, "status": "succeeded", "amount": 12.5,
        "currency": "EUR", "provider": "sandbox", "refundedAmount": 0.0, "refunds": [],
        "createdAt": payment["createdAt"], "updatedAt": payment["updatedAt"],
    });
    assert_eq!(payment, expected);
    let again = shop.pay(&ann, order, "tok_mastercard").await;
    assert!(["payment-exists", "not-payable"].contains(&again.body["code"].as_str().unwrap()), "{}", again.text);
    assert_eq!(again.status, 409);
    shop.wait_for(order, "paid").await;
    for path in [format!("{PAYMENTS}/{}", payment["id"]), format!("{PAYMENTS}/order/{order}")] {
        assert_eq!(shop.get(&path).by(&ann).await.expect(200), payment);
        assert_eq!(shop.get(&path).by(admin).await.expect(200), payment);
        assert_problem(&shop.get(&path).by(&bob).await, 404, "not-found", &path);
    }
    for unknown in ["999", "0", "mine", "order/999", "order/mine"] {
        assert_problem(&shop.get(format!("{PAYMENTS}/{unknown}")).by(&ann).await, 404, "not-found", unknown);
    }

    let order = reserved(&shop, &ann, 3.0).await;
    assert_eq!(shop.pay(admin, order, "tok_visa").await.expect(201)["userId"], ann.id, "paid for her");
    shop.wait_for(order, "paid").await;
    for (body, fields) in [
        (json!({}), &["orderId"][..]),
        (json!({ "orderId": order }), &["token"]),
        (json!({ "orderId": "1", "token": "tok_visa" }), &["orderId"]),
        (json!({ "orderId": order, "token": "" }), &["token"]),
        (json!({ "orderId": order, "token": "x".repeat(256) }), &["token"]),
        (json!({ "orderId": order, "token": "tök" }), &["token"]),
    ] {
        assert_invalid(&shop.post(PAYMENTS, &body).by(&ann).await, fields, &body.to_string());
    }
    shop.settle().await;
    assert_eq!(moved(&shop), (vec![1250, 300], vec![]));
    shop.audit();
}

#[tokio::test]
async fn a_declined_card_is_a_payment_that_failed() {
    let (shop, ann) = open().await;
    for (token, reason) in [("tok_declined", "card-declined"), ("tok_nobodys", "invalid-token")] {
        let order = reserved(&shop, &ann, 12.5).await;
        let payment = shop.pay(&ann, order, token).await.expect(201);
        assert_eq!((&payment["status"], &payment["reason"]), (&json!("failed"), &json!(reason)));
        assert_eq!(shop.wait_for(order, "failed").await["reason"], reason);
        shop.settle().await;
        assert_eq!(shop.pay(&ann, order, "tok_visa").await.status, 409, "and that was it");
        assert_eq!(shop.payment_of(order).await.expect(200), payment);
        assert_problem(&refund(&shop, &payment, json!({})).await.await, 409, "nothing-to-refund", token);
    }
    let order = reserved(&shop, &ann, 12.5).await;
    shop.cancel(&ann, order).await.expect(200);
    for _ in 0..2 {
        assert_problem(&shop.pay(&ann, order, "tok_visa").await, 409, "not-payable", "a cancelled order");
        shop.settle().await;
    }
    shop.audit();
}

#[tokio::test]
async fn a_payment_that_comes_too_early_waits_and_is_charged_once() {
    needs_bench!("it holds up calls between components");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(12.5, 5).await;
    script.rule(|call| {
        let to_inventory = call.component == "orders" && call.detail.contains("//inventory.spin.internal");
        if to_inventory { Verdict::Fail("no connection".into()) } else { Verdict::Proceed }
    });
    let [paid, declined, short] = [(1, "tok_visa"), (1, "tok_declined"), (6, "tok_visa")];
    let mut orders = Vec::new();
    for (quantity, token) in [paid, declined, short] {
        let order = shop.place(&ann, mug, quantity, None).await;
        let payment = shop.pay(&ann, order, token).await.expect(201);
        assert_eq!(
            (&payment["status"], &payment["provider"]),
            (&json!("pending"), &Value::Null),
            "nobody was asked yet"
        );
        assert_problem(&shop.pay(&ann, order, token).await, 409, "payment-exists", "again");
        orders.push((order, payment["id"].clone()));
    }
    assert!(shop.provider_books().is_empty(), "nothing is charged before there is stock");
    script.clear();
    shop.settle_over_time().await;
    let asked = Some("sandbox");
    let ends = [("paid", "succeeded", asked), ("failed", "failed", asked), ("failed", "failed", None)];
    for ((order, payment), (status, end, provider)) in orders.into_iter().zip(ends) {
        assert_eq!(shop.find_order(order).await["status"], status);
        let found = shop.payment_of(order).await.expect(200);
        assert_eq!((&found["id"], &found["status"]), (&payment, &json!(end)));
        assert_eq!(found["provider"], json!(provider));
    }
    assert_eq!(moved(&shop).0, [1250, 1250], "what was never reserved was never charged");
    shop.audit();
}

#[tokio::test]
async fn what_costs_nothing_is_paid_without_asking_anybody() {
    let (shop, ann) = open().await;
    let sample = shop.product(0.0, 5).await;
    let order = shop.place(&ann, sample, 2, None).await;
    shop.wait_for(order, "paid").await;
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["amount"]), (&json!("succeeded"), &json!(0.0)));
    assert_eq!(payment["provider"], Value::Null);
    assert_problem(&shop.pay(&ann, order, "tok_visa").await, 409, "payment-exists", "it is paid");
    assert_problem(&refund(&shop, &payment, json!({})).await.await, 409, "nothing-to-refund", "of nothing");
    let gift = shop.product(0.0, 1).await;
    let other = shop.place(&ann, gift, 1, Some("tok_visa")).await;
    shop.wait_for(other, "paid").await;
    shop.cancel(&ann, other).await.expect(200);
    shop.settle().await;
    assert_eq!(shop.payment_of(other).await.expect(200)["refunds"], json!([]));
    assert!(shop.provider_books().is_empty());
    shop.audit();
}

#[tokio::test]
async fn money_goes_back_in_parts_and_never_more_than_came() {
    let (shop, ann) = open().await;
    let payment = taken(&shop, &ann, 10.0).await;
    for amount in [json!(0), json!(-1), json!(0.001), json!("1"), json!(1e11)] {
        let answer = refund(&shop, &payment, json!({ "amount": amount })).await.await;
        assert_invalid(&answer, &["amount"], &amount.to_string());
    }
    for reason in ["", &"ü".repeat(201)] {
        assert_invalid(&refund(&shop, &payment, json!({ "reason": reason })).await.await, &["reason"], reason);
    }
    assert_problem(&refund(&shop, &json!({ "id": 999 }), json!({})).await.await, 404, "not-found", "of no payment");
    let path = format!("{PAYMENTS}/{}/refund", payment["id"]);
    assert_problem(&shop.post(path, &json!({})).by(&ann).await, 403, "forbidden", "by the customer");

    let mut left = 10.0;
    for (amount, code, ended) in [
        (json!(10.01), Some("refund-too-large"), false),
        (json!(0.01), None, false),
        (json!(3), None, false),
        (json!(7), Some("refund-too-large"), false),
        (json!(null), None, true),
        (json!(null), Some("nothing-to-refund"), true),
        (json!(0.01), Some("nothing-to-refund"), true),
    ] {
        let answer = refund(&shop, &payment, json!({ "amount": amount, "reason": "as agreed" })).await.await;
        match code {
            Some(code) => assert_problem(&answer, 409, code, &amount.to_string()),
            None => {
                let made = answer.expect(201);
                let wanted = amount.as_f64().unwrap_or(6.99);
                left -= wanted;
                let expected = json!({
                    "id": made["id"], "paymentId": payment["id"], "status": "succeeded", "amount": wanted,
                    "currency": "EUR", "reason": "as agreed",
                    "createdAt": made["createdAt"], "updatedAt": made["updatedAt"],
                });
                assert_eq!(made, expected);
            }
        }
        let shown = shop.payment_of(payment["orderId"].as_i64().unwrap()).await.expect(200);
        assert_eq!(shown["status"], if ended { "refunded" } else { "succeeded" });
        let cents = |amount: f64| (amount * 100.0).round();
        assert_eq!(cents(shown["refundedAmount"].as_f64().unwrap()), cents(10.0 - left), "after {amount}");
    }
    shop.settle().await;
    let mut given_back = moved(&shop).1;
    given_back.sort_unstable();
    assert_eq!(given_back, [1, 300, 699]);
    let path = format!("/api/v1/orders/{}/events", payment["orderId"]);
    let events = shop.get(path).by(&ann).await.expect(200);
    let notes = events["items"].as_array().unwrap().iter().filter(|event| event["type"] == "PAYMENT_REFUNDED");
    let notes: Vec<_> = notes.map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(notes, ["0.01 EUR", "3.00 EUR", "6.99 EUR"]);
    shop.audit();
}

#[tokio::test]
async fn cancelling_gives_back_what_was_not_given_back_before() {
    let (shop, ann) = open().await;
    let payment = taken(&shop, &ann, 10.0).await;
    let order = payment["orderId"].as_i64().unwrap();
    refund(&shop, &payment, json!({ "amount": 4 })).await.await.expect(201);
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    let shown = shop.payment_of(order).await.expect(200);
    assert_eq!((&shown["status"], &shown["refundedAmount"]), (&json!("refunded"), &json!(10.0)));
    let mut given_back = moved(&shop).1;
    given_back.sort_unstable();
    assert_eq!(given_back, [400, 600]);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_it_one_payment_and_one_refund() {
    let (shop, ann) = open().await;
    let order = reserved(&shop, &ann, 10.0).await;
    let pay = shop.pay(&ann, order, "tok_visa").key("pay");
    let answers = join_all((0..10).map(|_| pay.clone().into_future())).await;
    let replays = answers.iter().filter(|answer| answer.header("idempotent-replayed") == Some("true")).count();
    assert_eq!(replays, 9);
    let payments: Vec<_> = answers.into_iter().map(|answer| answer.expect(201)).collect();
    assert!(payments.iter().all(|payment| *payment == payments[0] && payment["status"] == "succeeded"), "{payments:?}");
    assert_eq!(moved(&shop).0, [1000]);
    let other = shop.pay(&ann, order, "tok_mastercard").key("pay").await;
    assert_problem(&other, 422, "idempotency-key-reused", "another card");
    shop.wait_for(order, "paid").await;

    let give_back = refund(&shop, &payments[0], json!({ "amount": 4 })).await;
    let once = give_back.clone().key("back");
    let answers = join_all((0..10).map(|_| once.clone().into_future())).await;
    let refunds: Vec<_> = answers.into_iter().map(|answer| answer.expect(201)).collect();
    assert!(refunds.iter().all(|refund| refund["id"] == refunds[0]["id"]), "{refunds:?}");
    assert_eq!(moved(&shop).1, [400]);
    let other = refund(&shop, &payments[0], json!({ "amount": 5 })).await.key("back").await;
    assert_problem(&other, 422, "idempotency-key-reused", "another amount");

    // Without a key each is its own, and together they stay within what is left.
    let mut statuses: Vec<_> = join_all((0..5).map(|_| give_back.clone().into_future()))
        .await
        .into_iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409]);
    shop.settle().await;
    assert_eq!(moved(&shop), (vec![1000], vec![400, 400]));
    assert_eq!(shop.payment_of(order).await.expect(200)["refundedAmount"], 8.0);
    shop.audit();
}
