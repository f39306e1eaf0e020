//! A customer buys something.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use shop_tests::{Shop, ShopOptions};

#[tokio::test]
async fn a_purchase_ends_paid_with_the_stock_down() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
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

    let stock = shop.stock(mug).await;
    assert_eq!((&stock["onHand"], &stock["reserved"]), (&json!(8), &json!(0)));
    shop.audit();
}
