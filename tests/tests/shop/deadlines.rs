//! What else time does, beside `time.rs`: to many orders at once, to those that are paid, and to tokens.

use std::{future::IntoFuture, time::Duration};

use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, needs_bench};

const TIMEOUT: Duration = Duration::from_secs(600);

async fn open() -> (Shop, Customer, i64) {
    let shop = Shop::start(ShopOptions { order_timeout: TIMEOUT, ..ShopOptions::default() }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 300).await;
    (shop, ann, mug)
}

async fn available(shop: &Shop, product: i64) -> Value {
    shop.check(product, 1).await.expect(200)["available"].clone()
}

/// Approved charges in the provider's books.
fn charges(shop: &Shop) -> usize {
    let books = shop.provider_books();
    books.iter().filter(|(key, entry)| key.starts_with("charge/") && entry["ending"] == "Approved").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_orders_than_one_tick_ends_are_all_cancelled() {
    needs_bench!("it moves the clock");
    let (shop, ann, mug) = open().await;
    let orders = (0..130).map(|_| shop.order(&ann, mug, 2, None).into_future());
    for placed in futures::future::join_all(orders).await {
        placed.expect(201);
    }
    shop.settle().await;
    assert_eq!(available(&shop, mug).await, 40);
    shop.clock.advance(TIMEOUT);
    shop.settle().await;
    assert_eq!(available(&shop, mug).await, 300);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paid_order_has_no_time_limit() {
    needs_bench!("it moves the clock");
    let (shop, ann, mug) = open().await;
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    shop.clock.advance(10 * TIMEOUT);
    shop.settle().await;
    assert_eq!(shop.find_order(order).await["status"], "paid");
    shop.audit();
}

/// The customer who pays is answered at once, with what is known; asking again tells more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_is_not_answered_is_pending_until_it_is_known() {
    needs_bench!("it moves the clock");
    let (shop, ann, mug) = open().await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.settle().await;
    let pay = shop.pay(&ann, order, "tok_timeout").key("pay");
    assert_eq!(pay.clone().await.expect(201)["status"], "pending");
    assert_eq!(shop.pay(&ann, order, "tok_visa").await.status, 409, "no second payment meanwhile");
    shop.settle_over_time().await;
    assert_eq!(pay.await.expect(201)["status"], "succeeded");
    assert_eq!(charges(&shop), 1);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_got_lost_is_not_sent_again_for_an_order_that_is_over() {
    needs_bench!("it moves the clock");
    let (shop, ann, mug) = open().await;
    for token in ["tok_timeout_lost", "tok_timeout_declined"] {
        let order = shop.place(&ann, mug, 1, Some(token)).await;
        shop.settle().await;
        shop.cancel(&ann, order).await.expect(200);
        shop.settle_over_time().await;
        assert_eq!(shop.find_order(order).await["status"], "cancelled", "{token}");
        assert_eq!(shop.payment_of(order).await.expect(200)["status"], "failed", "{token}");
    }
    assert_eq!(charges(&shop), 0);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_token_expires_and_a_refresh_goes_on() {
    needs_bench!("it moves the clock");
    let (shop, ann, _) = open().await;
    let credentials = json!({ "email": ann.email, "password": ann.password });
    let signed_in = shop.post("/api/v1/auth/login", &credentials).await.expect(200);
    let (access, lifetime) = (signed_in["accessToken"].as_str().unwrap(), signed_in["expiresIn"].as_u64().unwrap());

    shop.clock.advance(Duration::from_secs(lifetime - 30));
    shop.get("/api/v1/orders").bearer(access).await.expect(200);
    shop.clock.advance(Duration::from_secs(31));
    for path in ["/api/v1/auth/me", "/api/v1/orders", "/api/v1/payments/1"] {
        shop.get(path).bearer(access).await.expect(401);
    }
    let body = json!({ "refreshToken": signed_in["refreshToken"] });
    let refreshed = shop.post("/api/v1/auth/refresh", &body).await.expect(200);
    shop.get("/api/v1/orders").bearer(refreshed["accessToken"].as_str().unwrap()).await.expect(200);
    // The old one comes again, so it has been stolen: neither it nor its successor is good any more.
    shop.post("/api/v1/auth/refresh", &body).await.expect(401);
    let successor = json!({ "refreshToken": refreshed["refreshToken"] });
    shop.post("/api/v1/auth/refresh", &successor).await.expect(401);
}
