//! Where orders go, and who may know.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Customer, Shop, ShopOptions, needs_bench};

use crate::support::{assert_invalid, assert_problem};

const ORDERS: &str = "/api/v1/orders";

fn address(name: &str) -> Value {
    json!({ "name": name, "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US" })
}

async fn open() -> (Shop, Customer, i64) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 1000).await;
    (shop, ann, mug)
}

fn wanted(product: i64) -> Value {
    json!({ "items": [{ "productId": product, "quantity": 1 }] })
}

#[tokio::test]
async fn an_order_keeps_where_it_goes_and_who_pays() {
    let (shop, ann, mug) = open().await;
    let mut body = wanted(mug);
    body["shippingAddress"] = address("Ann Lee");
    body["billingAddress"] = address("Lee & Sons");
    let placed = shop.post(ORDERS, &body).by(&ann).await.expect(201);
    let id = placed["id"].as_i64().unwrap();
    shop.settle().await;
    for shown in [placed, shop.get(format!("{ORDERS}/{id}")).by(&ann).await.expect(200), shop.find_order(id).await] {
        assert_eq!(
            (&shown["shippingAddress"], &shown["billingAddress"]),
            (&address("Ann Lee"), &address("Lee & Sons"))
        );
    }
    shop.audit();
}

#[tokio::test]
async fn an_address_that_nothing_can_be_sent_to_is_refused() {
    let (shop, ann, mug) = open().await;
    let changed = |field: &str, value: Value| {
        let mut address = address("Ann Lee");
        address[field] = value;
        address
    };
    for (address, field) in [
        (json!({}), "shippingAddress.name"),
        (json!("here"), "shippingAddress"),
        (changed("country", json!("us")), "shippingAddress.country"),
        (changed("city", json!("")), "shippingAddress.city"),
        (changed("line2", json!("a\nb")), "shippingAddress.line2"),
        (changed("postalCode", json!(62701)), "shippingAddress.postalCode"),
    ] {
        let mut body = wanted(mug);
        body["shippingAddress"] = address.clone();
        assert_invalid(&shop.post(ORDERS, &body).by(&ann).await, &[field], &address.to_string());
    }
    for (given, kept) in [("shippingAddress", "shippingAddressId"), ("billingAddress", "billingAddressId")] {
        let mut body = wanted(mug);
        body[kept] = json!(999);
        assert_invalid(&shop.post(ORDERS, &body).by(&ann).await, &[kept], "there is none");
        body[given] = address("Ann Lee");
        assert_invalid(&shop.post(ORDERS, &body).by(&ann).await, &[kept], "one of both");
    }
    let mut body = wanted(mug);
    body["paymentMethodId"] = json!(999);
    assert_invalid(&shop.post(ORDERS, &body).by(&ann).await, &["paymentMethodId"], "there is none");
    body["payment"] = json!({ "token": "tok_visa" });
    assert_invalid(&shop.post(ORDERS, &body).by(&ann).await, &["paymentMethodId"], "one of both");
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), 0);
}

const PERSONAL: &str = "SELECT count(*) FROM orders WHERE user_id = {user} AND (shipping_address IS NOT NULL \
     OR billing_address IS NOT NULL OR tracking IS NOT NULL OR payment_token IS NOT NULL)";

#[tokio::test]
async fn when_a_user_goes_their_orders_forget_who_they_were() {
    needs_bench!("it hands an event over, and moves the clock");
    let (shop, ann, mug) = open().await;
    let bob = shop.customer("bob").await;
    let mut body = wanted(mug);
    body["shippingAddress"] = address("Somebody");
    body["payment"] = json!({ "token": "tok_visa" });
    let kept = shop.post(ORDERS, &body).by(&bob).await.expect(201);
    let first = shop.post(ORDERS, &body).by(&ann).await.expect(201)["id"].as_i64().unwrap();
    shop.wait_for(first, "paid").await;
    shop.settle().await;
    // More than one transaction takes.
    shop.tamper(
        "orders",
        &"WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 450) INSERT INTO orders (user_id, \
         status, lines, subtotal, discount, shipping, tax, total, currency, shipping_address, tracking, created_at, \
         updated_at, expires_at) SELECT user_id, 'failed', '[]', 0, 0, 0, 0, 0, 'EUR', shipping_address, 'x', \
         created_at + n, updated_at, expires_at FROM orders, n WHERE user_id = {user}"
            .replace("{user}", &ann.id.to_string()),
    );
    let left = || shop.value("orders", &PERSONAL.replace("{user}", &ann.id.to_string())).as_i64().unwrap();
    assert_eq!(left(), 451);
    let gone = json!([{ "eventId": "00000000-0000-7000-8000-000000000001", "eventType": "USER_DELETED",
        "eventVersion": 1, "occurredAt": "2026-11-23T00:00:00Z", "producer": "accounts",
        "subject": format!("user/{}", ann.id), "data": { "id": ann.id } }]);
    for _ in 0..2 {
        let receipt = shop.internal("orders", Method::POST, "/internal/events", Some(&gone)).await.expect(200);
        assert_eq!(receipt, json!({ "refused": [] }));
    }
    let mut lefts = vec![left()];
    for _ in 0..4 {
        shop.tick("orders").await;
        lefts.push(left());
    }
    assert_eq!(lefts, [451, 251, 51, 0, 0], "so many at a time");
    // With an access token from before.
    assert_problem(&shop.post(ORDERS, &body).by(&ann).await, 403, "forbidden", "whoever is gone orders nothing");
    assert_eq!(left(), 0);
    shop.clock.advance(Duration::from_secs(2 * 60 * 60));
    for _ in 0..4 {
        shop.tick("orders").await;
    }
    assert_eq!((left(), shop.value("orders", "SELECT count(*) FROM erasures")), (0, json!(0)));
    let shown = shop.find_order(first).await;
    assert_eq!(
        (&shown["status"], &shown["total"], &shown["shippingAddress"]),
        (&json!("paid"), &json!(5.0), &json!(null))
    );
    let others = shop.find_order(kept["id"].as_i64().unwrap()).await;
    assert_eq!(others["shippingAddress"], address("Somebody"), "those of others are as they were");
}
