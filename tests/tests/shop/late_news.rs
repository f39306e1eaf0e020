//! News that was parked and comes after what happened later: it changes nothing, and is not parked again.

use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions};

use crate::{events::deliver, support::assert_problem};

/// An event as a relay brings it.
fn news(number: usize, producer: &str, kind: &str, subject: &str, data: &Value) -> String {
    json!({
        "eventId": format!("00000000-0000-7000-8000-{number:012}"), "eventType": kind, "eventVersion": 1,
        "occurredAt": "2026-01-01T00:00:00Z", "producer": producer, "subject": subject, "data": data,
    })
    .to_string()
}

fn books(shop: &Shop) -> Value {
    json!([
        shop.query("inventory", "SELECT product_id, on_hand, reserved FROM stock ORDER BY 1"),
        shop.query("inventory", "SELECT order_id, status, lines FROM reservations ORDER BY 1"),
        shop.query("inventory", "SELECT id, product_id, on_hand_delta, reserved_delta FROM movements ORDER BY 1"),
    ])
}

/// A paid order and an unpaid one that both were cancelled.
async fn cancelled(shop: &Shop, ann: &Customer, mug: i64) -> [i64; 2] {
    let (paid, unpaid) = (shop.place(ann, mug, 2, Some("tok_visa")).await, shop.place(ann, mug, 1, None).await);
    shop.wait_for(paid, "paid").await;
    shop.wait_for(unpaid, "reserved").await;
    for order in [paid, unpaid] {
        shop.cancel(ann, order).await.expect(200);
    }
    shop.settle().await;
    [paid, unpaid]
}

#[tokio::test]
async fn what_was_paid_or_sent_back_before_an_order_ended_is_heard_after_its_end() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    let orders = cancelled(&shop, &ann, mug).await;
    let before = books(&shop);
    let mut number = 0;
    for order in orders {
        let subject = format!("order/{order}");
        let paid = json!({
            "orderId": order, "number": "B-2026-000001", "userId": ann.id, "paymentId": 1, "total": 10, "currency": "EUR",
        });
        let back = json!({ "orderId": order, "items": [{ "productId": mug, "quantity": 1 }], "reason": "broken" });
        for (kind, data) in [("ORDER_PAID", paid), ("ITEMS_RESTOCKED", back)] {
            number += 1;
            assert!(deliver(&shop, "inventory", &news(number, "orders", kind, &subject, &data)).await, "{kind}");
        }
    }
    assert_eq!(books(&shop), before);
    shop.audit();
}

#[tokio::test]
async fn a_product_whose_beginning_is_heard_after_its_end_has_no_stock() {
    let shop = Shop::start(ShopOptions::default()).await;
    let subject = "product/999";
    let gone = json!({ "productId": 999 });
    let begun = json!({
        "productId": 999, "supplierId": 1, "name": "Mug", "sku": null, "price": 5, "currency": "EUR", "stock": 7,
        "status": "active",
    });
    assert!(deliver(&shop, "inventory", &news(1, "catalog", "PRODUCT_DELETED", subject, &gone)).await);
    assert!(deliver(&shop, "inventory", &news(2, "catalog", "PRODUCT_CREATED", subject, &begun)).await);
    let check = shop.get("/api/v1/inventory/check?productId=999&quantity=1").await;
    assert_problem(&check, 404, "not-found", "a deleted product");
    let record = shop.get("/api/v1/inventory/999").by(shop.admin().await).await.expect(200);
    assert_eq!((&record["onHand"], &record["available"]), (&json!(0), &json!(0)));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn stock_is_shown_to_everybody_while_its_product_is_for_sale() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let draft = json!({ "name": "Mug", "description": "", "price": 5, "stock": 7, "status": "draft" });
    let mug = shop.post("/api/v1/products", &draft).by(&sue).await.expect(201)["id"].as_i64().unwrap();
    let path = format!("/api/v1/products/{mug}");
    for (status, answer) in [("draft", 404), ("active", 200), ("archived", 404), ("active", 200)] {
        let change = json!({ "name": "Mug", "description": "", "price": 5, "status": status });
        shop.put(&path, &change).by(&sue).await.expect(200);
        shop.settle().await;
        assert_eq!(shop.check(mug, 1).await.status, answer, "{status}");
    }
    shop.delete(&path).by(&sue).await.expect(204);
    shop.settle().await;
    assert_eq!(shop.check(mug, 1).await.status, 404);
    shop.audit();
}
