//! What each family shows of payments, and how it has orders paid.

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, needs_bench};

use super::charges;
use crate::support::assert_message;

#[tokio::test]
async fn a_payment_is_made_once_for_each_key_and_shown_again_with_200() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let product = shop.product(12.5, 9).await;
    let order = shop.place(&ann, product, 1, None).await;
    let body = json!({ "orderId": order, "amount": 12.5, "paymentMethod": "tok_visa" });
    // At once: its stock is hardly reserved.
    let first = shop.post("/api/payments", &body).by(&ann).key("pay").await.expect(201);
    let expected = json!({
        "id": first["id"], "paymentId": first["id"], "orderId": order, "userId": ann.id, "amount": 12.5, "currency": "EUR",
        "status": "SUCCESS", "provider": "sandbox", "refundedAmount": 0.0, "refunds": [],
        "createdAt": first["createdAt"], "updatedAt": first["updatedAt"],
    });
    assert_eq!(first, expected);
    let again = shop.post("/api/payments", &body).by(&ann).key("pay").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(200), first);
    assert_eq!(shop.get(format!("/api/payments/{}", first["id"])).by(&ann).await.expect(200), first);
    let other = json!({ "orderId": order, "paymentMethod": "tok_mastercard" });
    assert_eq!(shop.post("/api/payments", &other).by(&ann).key("pay").await.status, 422, "the same key, another body");
    assert_eq!(shop.post("/api/payments", &other).by(&ann).key("again").await.status, 409, "it is paid");

    let order = shop.place(&ann, product, 1, None).await;
    let body = json!({ "orderId": order, "paymentMethod": { "token": "tok_visa" } });
    let pay = || async { shop.post("/api/payments", &body).by(&ann).key("crowd").await };
    let answers = join_all((0..6).map(|_| pay())).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 201]);
    assert!(answers.iter().all(|answer| answer.body["id"] == answers[0].body["id"]));
    shop.settle().await;
    assert_eq!(charges(&shop), [1250, 1250]);
    shop.audit();
}

#[tokio::test]
async fn whatever_names_a_method_names_a_token() {
    let mut options = ShopOptions::default();
    options.variables.insert("default_payment_token".to_owned(), "tok_insufficient_funds".to_owned());
    let shop = Shop::start(options).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let product = shop.product(1.0, 9).await;
    let pay = async |method: Value| {
        let order = shop.place(&ann, product, 1, None).await;
        let body = json!({ "orderId": order, "paymentMethod": method });
        let payment = shop.post("/api/payments", &body).by(&ann).await.expect(201);
        (payment["status"].clone(), payment["reason"].clone())
    };
    let paid = (json!("SUCCESS"), Value::Null);
    let declined = |reason: &str| (json!("FAILED"), json!(reason));
    // She keeps none: the shop's own.
    assert_eq!(pay(json!("CREDIT_CARD")).await, declined("insufficient-funds"));
    let keep = async |token: &str| {
        let body = json!({ "token": token });
        shop.post("/api/v1/users/me/payment-methods", &body).by(&ann).await.expect(201)["id"].clone()
    };
    let (expired, good) = (keep("tok_expired_card").await, keep("tok_visa").await);
    assert_eq!(pay(json!(good)).await, paid);
    assert_eq!(pay(json!({ "id": expired })).await, declined("expired-card"));
    assert_eq!(pay(json!({ "token": "tok_declined" })).await, declined("card-declined"));
    assert_eq!(pay(json!("tok_nobodys")).await, declined("invalid-token"));
    // The first one that is kept is the default.
    assert_eq!(pay(json!("paypal")).await, declined("expired-card"));
    assert_eq!(pay(json!({ "type": "CARD" })).await, declined("expired-card"));

    let order = shop.place(&bob, product, 1, None).await;
    let body = json!({ "orderId": order, "paymentMethod": good });
    let stolen = shop.post("/api/payments", &body).by(&bob).await;
    assert_message(&stolen, 400, "paymentMethod: is no payment method of the account", "it is somebody else's");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_shop_without_a_default_token_says_that_there_is_none() {
    let mut options = ShopOptions::default();
    options.variables.insert("default_payment_token".to_owned(), String::new());
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    let product = shop.product(1.0, 9).await;
    let order = shop.place(&ann, product, 1, None).await;
    let none = "the account has no payment method: keep one, or send the provider's token";
    let pay = shop.post("/api/payments", &json!({ "orderId": order, "paymentMethod": "VISA" })).by(&ann).await;
    assert_message(&pay, 409, none, "a payment");
    let checkout = shop.get(format!("/orders/{order}/checkout")).by(&ann).await;
    assert_message(&checkout, 409, none, "a checkout");
    shop.settle().await;
    assert_eq!(charges(&shop), [0_i64; 0]);
    shop.audit();
}

#[tokio::test]
async fn a_payment_changes_its_method_until_it_is_sent() {
    needs_bench!("it holds up events");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let product = shop.product(12.5, 9).await;
    script.rule(|call| {
        let told = call.component == "orders" && call.interface == "http" && call.phase == Phase::Before;
        if told && call.detail.contains("payments") { Verdict::Fail("not now".into()) } else { Verdict::Proceed }
    });
    let order = shop.place(&ann, product, 1, None).await;
    let body = json!({ "orderId": order, "paymentMethod": "tok_declined" });
    let payment = shop.post("/api/payments", &body).by(&ann).await.expect(201);
    assert_eq!(payment["status"], "PENDING");
    let path = format!("/api/payments/{}", payment["id"]);
    let change = |method: &str| shop.put(&path, &json!({ "paymentMethod": method }));
    assert_message(&change("tok_visa").by(&bob).await, 404, "payment not found", "somebody else's");
    assert_eq!(change("tok_expired_card").by(shop.admin().await).await.expect(200)["status"], "PENDING");
    assert_eq!(change("tok_visa").by(&ann).await.expect(200)["id"], payment["id"]);
    script.clear();
    shop.settle_over_time().await;
    let paid = shop.get(&path).by(&ann).await.expect(200);
    assert_eq!((&paid["status"], &paid["amount"]), (&json!("SUCCESS"), &json!(12.5)));
    let late = change("tok_declined").by(&ann).await;
    assert_message(&late, 409, "the payment has been sent: its method cannot be changed any more", "too late");
    assert_eq!(charges(&shop), [1250]);
    shop.audit();
}

async fn with_default(token: &str) -> Shop {
    let mut options = ShopOptions::default();
    options.variables.insert("default_payment_token".to_owned(), token.to_owned());
    Shop::start(options).await
}

#[tokio::test]
async fn a_checkout_charges_once_however_often_and_by_whomever_it_is_asked_for() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let product = shop.product(12.5, 9).await;
    let order = shop.place(&ann, product, 1, None).await;
    let path = format!("/orders/{order}/checkout");
    // Some of them before its stock is reserved.
    let ask = async |place: usize| match place % 3 {
        0 => shop.get(&path).by(&ann).await,
        1 => shop.request(Method::POST, &path).by(&ann).await,
        _ => shop.get(&path).by(shop.admin().await).await,
    };
    let mut answers = join_all((0..9).map(ask)).await;
    answers.push(shop.get(&path).by(&ann).await);
    for answer in answers {
        assert_message(&answer, 200, "Order checked out successfully", "however often");
        assert_eq!(answer.body, json!({ "message": "Order checked out successfully" }));
    }
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_message(&shop.get(&path).by(&ann).await, 200, "Order checked out successfully", "and later");
    assert_eq!(charges(&shop), [1250]);
    shop.audit();
}

#[tokio::test]
async fn a_declined_card_is_402_and_an_order_that_is_over_409() {
    let shop = with_default("tok_declined").await;
    let ann = shop.customer("ann").await;
    let product = shop.product(12.5, 9).await;
    let order = shop.place(&ann, product, 1, None).await;
    let checkout = |order: i64| shop.get(format!("/orders/{order}/checkout")).by(&ann);
    for _ in 0..2 {
        assert_message(&checkout(order).await, 402, "Payment declined: card-declined", "declined");
        shop.wait_for(order, "failed").await;
    }
    let cancelled = shop.place(&ann, product, 1, None).await;
    shop.cancel(&ann, cancelled).await.expect(200);
    assert_message(&checkout(cancelled).await, 409, "the order is cancelled", "cancelled");
    let refunded = shop.place(&ann, product, 1, Some("tok_visa")).await;
    shop.wait_for(refunded, "paid").await;
    shop.cancel(&ann, refunded).await.expect(200);
    shop.settle().await;
    assert_message(&checkout(refunded).await, 409, "the order is over", "cancelled after it was paid");
    let too_many = shop.place(&ann, product, 10, None).await;
    assert_eq!(checkout(too_many).await.status, 409, "there is no stock for it");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_checkout_whose_outcome_nobody_knows_says_so_and_charges_no_second_time() {
    needs_bench!("it moves the clock");
    let shop = with_default("tok_timeout").await;
    let ann = shop.customer("ann").await;
    let product = shop.product(12.5, 9).await;
    let order = shop.place(&ann, product, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    let path = format!("/orders/{order}/checkout");
    let unknown = shop.get(&path).by(&ann).await;
    assert_message(&unknown, 503, "the outcome of the payment is not available: try again", "the provider is silent");
    assert!(unknown.header("retry-after").is_some());
    shop.settle_over_time().await;
    assert_message(&shop.get(&path).by(&ann).await, 200, "Order checked out successfully", "it was taken");
    assert_eq!(charges(&shop), [1250]);
    shop.audit();
}

#[tokio::test]
async fn payments_are_ones_own_the_newest_first() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, bob, admin) = (shop.customer("ann").await, shop.customer("bob").await, shop.admin().await);
    let product = shop.product(1.0, 9).await;
    let mut orders = Vec::new();
    for (by, token, status) in [
        (&ann, "tok_visa", "paid"),
        (&bob, "tok_visa", "paid"),
        (&ann, "tok_declined", "failed"),
        (&ann, "tok_visa", "paid"),
    ] {
        let order = shop.place(by, product, 1, Some(token)).await;
        shop.wait_for(order, status).await;
        shop.settle().await;
        orders.push(order);
    }
    let own = async |by, query: &str| {
        let list = shop.get(format!("/api/payments/my-payments{query}")).by(by).await.expect(200);
        let payments = list.as_array().unwrap().iter();
        payments.map(|payment| (payment["orderId"].as_i64().unwrap(), payment["status"].clone())).collect::<Vec<_>>()
    };
    let (paid, failed) = (json!("SUCCESS"), json!("FAILED"));
    let all = [(orders[3], paid.clone()), (orders[2], failed.clone()), (orders[0], paid.clone())];
    assert_eq!(own(&ann, "").await, all);
    assert_eq!(own(&ann, "?limit=1&offset=1").await, all[1..2]);
    assert_eq!(own(&ann, "?offset=3").await, []);
    assert_eq!(own(&bob, "").await, [(orders[1], paid)]);
    assert_eq!(own(admin, "").await, [], "an admin's own, too");

    let payment = shop.get(format!("/api/payments/order/{}", orders[2])).by(&ann).await.expect(200);
    assert_eq!((&payment["status"], &payment["reason"]), (&failed, &json!("card-declined")));
    assert_eq!((&payment["refunds"], &payment["paymentId"]), (&json!([]), &payment["id"]));
    let by_id = format!("/api/payments/{}", payment["id"]);
    assert_eq!(shop.get(&by_id).by(admin).await.expect(200), payment);
    shop.cancel(&ann, orders[0]).await.expect(200);
    shop.settle().await;
    let refunded = shop.get(format!("/api/payments/order/{}", orders[0])).by(&ann).await.expect(200);
    assert_eq!((&refunded["status"], &refunded["refundedAmount"]), (&json!("REFUNDED"), &json!(1.0)));
    shop.audit();
}
