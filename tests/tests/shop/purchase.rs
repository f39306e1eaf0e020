//! A customer buys something: all the ways in which that ends.

use std::time::Duration;

use serde_json::{Value, json};
use shop_tests::{Allow, Customer, Shop, ShopOptions, eventually};

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

/// The numbers of a product: on hand, reserved, and what the catalog shows once it has heard.
async fn assert_stock(shop: &Shop, product: i64, on_hand: i64, reserved: i64) {
    let stock = shop.stock(product).await;
    assert_eq!((&stock["onHand"], &stock["reserved"]), (&json!(on_hand), &json!(reserved)));
    assert_eq!(stock["available"], json!(on_hand - reserved));
    let shown = shop.get(format!("/api/v1/products/{product}")).await.expect(200);
    assert_eq!(shown["stock"], json!(on_hand - reserved), "the catalog follows");
}

/// The kinds of movements of a product, oldest first.
async fn movements(shop: &Shop, product: i64) -> Vec<String> {
    let path = format!("/api/v1/inventory/{product}/history");
    let history = shop.get(path).by(shop.admin().await).await.expect(200);
    let kinds = history["items"].as_array().unwrap().iter().map(|movement| movement["kind"].as_str().unwrap());
    kinds.rev().map(str::to_owned).collect()
}

/// The types of the events of an order, oldest first.
async fn events(shop: &Shop, by: &Customer, order: i64) -> Vec<Value> {
    let history = shop.get(format!("/api/v1/orders/{order}/events")).by(by).await.expect(200);
    history["items"].as_array().unwrap().iter().map(|entry| entry["type"].clone()).collect()
}

#[tokio::test]
async fn a_purchase_ends_paid_with_the_stock_down() {
    let (shop, ann) = open().await;
    let mug = shop.product(12.50, 10).await;

    let list = shop.get("/api/v1/products").by(&ann).await.expect(200);
    assert_eq!(list["items"][0]["id"], mug);
    let placed = shop.order(&ann, mug, 2, Some("tok_visa")).await.expect(201);
    assert_eq!(placed["status"], "pending");
    assert_eq!(placed["total"], json!(25.0));
    assert_eq!(placed["currency"], "EUR");
    let order = placed["id"].as_i64().unwrap();
    shop.wait_for(order, "paid").await;
    shop.settle().await;

    assert_stock(&shop, mug, 8, 0).await;
    assert_eq!(movements(&shop, mug).await, ["received", "reserved", "sold"]);
    assert_eq!(events(&shop, &ann, order).await, ["ORDER_PLACED", "ORDER_RESERVED", "ORDER_PAID"]);
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["amount"]), (&json!("succeeded"), &json!(25.0)));
    shop.audit();
}

#[tokio::test]
async fn an_order_without_a_payment_waits_for_one() {
    let (shop, ann) = open().await;
    let mug = shop.product(9.99, 5).await;
    let order = shop.place(&ann, mug, 3, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    assert_stock(&shop, mug, 5, 3).await;
    assert_eq!(shop.payment_of(order).await.status, 404);
    shop.audit();

    let payment = shop.pay(&ann, order, "tok_mastercard").await.expect(201);
    assert_eq!((&payment["status"], &payment["amount"]), (&json!("succeeded"), &json!(29.97)));
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_stock(&shop, mug, 2, 0).await;
    let again = shop.pay(&ann, order, "tok_visa").await;
    assert_eq!(again.status, 409, "{}", again.text);
    shop.audit();
}

#[tokio::test]
async fn a_payment_that_comes_before_the_reservation_waits_for_it() {
    let (shop, ann) = open().await;
    let mug = shop.product(1.0, 5).await;
    let order = shop.place(&ann, mug, 1, None).await;
    // Whichever comes first, the payment or the news of the reservation: the end is the same.
    let payment = shop.pay(&ann, order, "tok_visa").await.expect(201);
    assert!(["pending", "succeeded"].contains(&payment["status"].as_str().unwrap()), "{payment}");
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_declined_card_fails_the_order_and_the_stock_is_back() {
    let (shop, ann) = open().await;
    let mug = shop.product(12.50, 4).await;
    for (token, reason) in [
        ("tok_declined", "card-declined"),
        ("tok_insufficient_funds", "insufficient-funds"),
        ("tok_expired_card", "expired-card"),
        ("tok_of_nobody", "invalid-token"),
    ] {
        let order = shop.place(&ann, mug, 4, Some(token)).await;
        let failed = shop.wait_for(order, "failed").await;
        assert_eq!(failed["reason"], reason);
        shop.settle().await;
        assert_stock(&shop, mug, 4, 0).await;
        assert_eq!(shop.payment_of(order).await.expect(200)["status"], "failed");
        assert_eq!(shop.pay(&ann, order, "tok_visa").await.status, 409);
    }
    assert_eq!(movements(&shop, mug).await[1..3], ["reserved", "released"]);
    shop.audit();
}

#[tokio::test]
async fn an_order_for_more_than_there_is_fails_and_holds_nothing() {
    let (shop, ann) = open().await;
    let (mug, cup) = (shop.product(3.0, 2).await, shop.product(2.0, 100).await);
    let items = json!([{ "productId": cup, "quantity": 5 }, { "productId": mug, "quantity": 3 }]);
    let body = json!({ "items": items, "payment": { "token": "tok_visa" } });
    let placed = shop.post("/api/v1/orders", &body).by(&ann).await.expect(201);
    let order = placed["id"].as_i64().unwrap();
    let failed = shop.wait_for(order, "failed").await;
    assert!(failed["reason"].as_str().unwrap().contains("3 wanted, 2 available"), "{failed}");
    shop.settle().await;
    assert_stock(&shop, mug, 2, 0).await;
    assert_stock(&shop, cup, 100, 0).await;
    assert_eq!(shop.payment_of(order).await.status, 404);
    assert!(shop.provider_books().is_empty(), "nobody was charged");
    shop.audit();
}

#[tokio::test]
async fn a_cancelled_order_gives_back_stock_and_money() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 5).await;
    let unpaid = shop.place(&ann, mug, 2, None).await;
    shop.wait_for(unpaid, "reserved").await;
    let paid = shop.place(&ann, mug, 3, Some("tok_visa")).await;
    shop.wait_for(paid, "paid").await;
    for order in [unpaid, paid] {
        let cancelled = shop.cancel(&ann, order).await.expect(200);
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(shop.cancel(&ann, order).await.expect(200)["status"], "cancelled", "again changes nothing");
    }
    shop.settle().await;
    assert_stock(&shop, mug, 5, 0).await;
    let payment = shop.payment_of(paid).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("refunded"), &json!(15.0)));
    assert_eq!(shop.payment_of(unpaid).await.status, 404);
    shop.audit();
}

#[tokio::test]
async fn a_refund_that_the_provider_refuses_is_not_booked() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 5).await;
    let order = shop.place(&ann, mug, 1, Some("tok_refund_declined")).await;
    shop.wait_for(order, "paid").await;
    let payment = shop.payment_of(order).await.expect(200)["id"].as_i64().unwrap();
    let body = json!({ "amount": 2.0 });
    let refund = shop.post(format!("/api/v1/payments/{payment}/refund"), &body).by(shop.admin().await).await;
    assert_eq!(refund.expect(201)["status"], "failed");
    let payment = shop.payment_of(order).await.expect(200);
    assert_eq!((&payment["status"], &payment["refundedAmount"]), (&json!("succeeded"), &json!(0.0)));
    shop.settle().await;
    shop.audit_allowing(&[Allow::DeclinedRefunds]);
}

/// The provider's token is kept for as long as it is needed.
#[tokio::test]
async fn an_order_that_is_settled_has_no_token_any_more() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 5).await;
    let tokens = |service: &str, rows: &str| shop.value(service, &format!("SELECT count(*) FROM {rows} IS NOT NULL"));
    for (token, status) in [("tok_visa", "paid"), ("tok_declined", "failed")] {
        let order = shop.place(&ann, mug, 1, Some(token)).await;
        shop.wait_for(order, status).await;
    }
    let held = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(held, "reserved").await;
    let body = json!({ "orderId": held, "token": "tok_visa", "capture": false });
    assert_eq!(shop.post("/api/v1/payments", &body).by(&ann).await.expect(201)["status"], "authorized");
    assert_eq!(tokens("orders", "orders WHERE payment_token"), 0);
    assert_eq!(tokens("payments", "payments WHERE token"), 0);
    // What the provider has not answered may have to be sent again, unless its order is over.
    let unknown = shop.place(&ann, mug, 1, Some("tok_unreachable")).await;
    shop.settle().await;
    assert_eq!(tokens("payments", "payments WHERE token"), 1);
    shop.cancel(&ann, unknown).await.expect(200);
    shop.settle().await;
    assert_eq!(tokens("payments", "payments WHERE token"), 0);
    assert_eq!(shop.payment_of(unknown).await.expect(200)["status"], "pending");
}

/// What the seller says, and what happens to the stock, is what customers see.
#[tokio::test]
async fn the_stock_in_the_catalog_follows_inventory() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 5).await;
    let admin = shop.admin().await;
    let shown = async || shop.get(format!("/api/v1/products/{mug}")).await.expect(200)["stock"].clone();
    let adjust = json!({ "delta": -2, "reason": "broken" });
    shop.post(format!("/api/v1/inventory/{mug}/adjust"), &adjust).by(admin).await.expect(200);
    let deadline = Duration::from_secs(20);
    eventually(deadline, "the catalog shows the adjustment", async || shown().await == 3).await;
    let order = shop.place(&ann, mug, 3, None).await;
    eventually(deadline, "the catalog shows the reservation", async || shown().await == 0).await;
    shop.cancel(&ann, order).await.expect(200);
    eventually(deadline, "the catalog shows the release", async || shown().await == 3).await;
    shop.put(format!("/api/v1/products/{mug}"), &json!({ "stock": 7 })).by(admin).await.expect(200);
    eventually(deadline, "the record follows the seller", async || shop.stock(mug).await["available"] == 7).await;
    shop.settle().await;
    assert_stock(&shop, mug, 7, 0).await;
    shop.audit();
}
