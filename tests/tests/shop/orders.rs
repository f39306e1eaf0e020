//! Placing orders, looking at them, calling them off.

use std::{sync::Arc, time::Duration};

use crate::support::{assert_invalid, assert_problem};
use bodega_host::Verdict;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Script, Shop, ShopOptions, needs_bench};

const ORDERS: &str = "/api/v1/orders";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

/// A shop in which orders stay pending until the script is cleared: inventory hears nothing of them.
async fn open_without_reservations() -> (Shop, Customer, Arc<Script>) {
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ann = shop.customer("ann").await;
    script.rule(|call| {
        let to_inventory = call.component == "orders" && call.detail.contains("//inventory.spin.internal");
        if to_inventory { Verdict::Fail("no connection".into()) } else { Verdict::Proceed }
    });
    (shop, ann, script)
}

fn place<'a>(shop: &'a Shop, by: &'a Customer, body: &Value) -> Call<'a> {
    shop.post(ORDERS, body).by(by)
}

#[tokio::test]
async fn an_order_that_makes_no_sense_is_refused_and_nothing_is_placed() {
    let (shop, ann) = open().await;
    let (mug, yacht) = (shop.product(2.5, 100).await, shop.product(9_999_999_999.99, 100).await);
    let item = |product: Value, quantity: Value| json!({ "productId": product, "quantity": quantity });
    let one = || item(json!(mug), json!(1));
    let items = |items: Vec<Value>| json!({ "items": items });
    let only = |product: Value, quantity: Value| items(vec![item(product, quantity)]);
    let paid = |payment: Value| json!({ "items": [one()], "payment": payment });
    for (body, fields) in [
        (json!({}), &["items"][..]),
        (json!({ "items": null }), &["items"]),
        (items(vec![]), &["items"]),
        (items(vec![one(); 101]), &["items"]),
        (items(vec![one(), item(json!(999), json!(1))]), &["items[1].productId"]),
        (only(json!(0), json!(1)), &["items[0].productId"]),
        (only(json!(-1), json!(1)), &["items[0].productId"]),
        (only(json!(i64::MAX), json!(1)), &["items[0].productId"]),
        (only(json!(mug.to_string()), json!(1)), &["items[0].productId"]),
        (only(json!(mug), json!(0)), &["items[0].quantity"]),
        (only(json!(mug), json!(-1)), &["items[0].quantity"]),
        (only(json!(mug), json!(1.5)), &["items[0].quantity"]),
        (only(json!(mug), json!(10_001)), &["items[0].quantity"]),
        (only(json!(mug), json!(4_294_967_297_i64)), &["items[0].quantity"]),
        (items(vec![one(), json!({ "productId": mug })]), &["items[1].quantity"]),
        (items(vec![json!({ "quantity": 1 })]), &["items[0].productId"]),
        (only(json!(yacht), json!(2)), &["items"]),
        (items(vec![item(json!(yacht), json!(1)), one()]), &["items"]),
        (paid(json!({})), &["payment.token"]),
        (paid(json!({ "token": "" })), &["payment.token"]),
        (paid(json!({ "token": "x".repeat(256) })), &["payment.token"]),
        (paid(json!({ "token": "tök" })), &["payment.token"]),
        (paid(json!("tok_visa")), &["payment"]),
    ] {
        assert_invalid(&place(&shop, &ann, &body).await, fields, &body.to_string());
    }
    assert_eq!(shop.get(ORDERS).by(&ann).await.expect(200), json!({ "items": [] }));
    assert_eq!(shop.value("orders", "SELECT count(*) FROM outbox"), 0, "and nothing was announced");
}

#[tokio::test]
async fn an_order_is_priced_by_the_catalog_at_that_moment() {
    let (shop, ann) = open().await;
    let (mug, cup) = (shop.product(0.1, 1000).await, shop.product(19.99, 1000).await);
    let body = json!({ "items": [
        { "productId": cup, "quantity": 1 }, { "productId": mug, "quantity": 3, "price": 0, "unitPrice": 0 },
        { "productId": cup, "quantity": 2 },
    ], "total": 0, "userId": 1, "status": "paid" });
    let placed = place(&shop, &ann, &body).await.expect(201);
    let line = |product: i64, price: f64, quantity: u32, total: f64| {
        json!({ "productId": product, "name": "Mug", "sku": null, "unitPrice": price, "quantity": quantity,
            "total": total, "discount": 0.0 })
    };
    let expected = json!({
        "id": placed["id"], "number": placed["number"], "userId": ann.id, "status": "pending", "currency": "EUR",
        "subtotal": 60.27, "discount": 0.0, "shipping": 0.0, "tax": 0.0, "total": 60.27, "refunded": 0.0,
        "items": [line(cup, 19.99, 3, 59.97), line(mug, 0.1, 3, 0.3)],
        "createdAt": placed["createdAt"], "updatedAt": placed["createdAt"], "expiresAt": placed["expiresAt"],
    });
    assert_eq!(placed, expected);
    let id = placed["id"].as_i64().unwrap();
    shop.wait_for(id, "reserved").await;
    shop.put(format!("/api/v1/products/{cup}"), &json!({ "price": 99 })).by(shop.admin().await).await.expect(200);
    assert_eq!(shop.delete(format!("/api/v1/products/{mug}")).by(shop.admin().await).await.status, 204);
    let shown = shop.get(format!("{ORDERS}/{id}")).by(&ann).await.expect(200);
    assert_eq!((&shown["items"], &shown["total"]), (&expected["items"], &expected["total"]));
    let most = json!({ "items": vec![json!({ "productId": cup, "quantity": 10_000 }); 100] });
    assert_eq!(place(&shop, &ann, &most).await.expect(201)["items"][0]["quantity"], 1_000_000);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn somebody_elses_order_is_as_good_as_none() {
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(1.0, 5).await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    let calls = |order: &str| {
        let at = format!("{ORDERS}/{order}");
        [
            shop.get(&at),
            shop.get(format!("{at}/events")),
            shop.post(format!("{at}/cancel"), &json!({})),
            shop.delete(&at),
            shop.get(format!("/api/v1/payments/order/{order}")),
        ]
    };
    let mut unknown = Vec::new();
    for call in calls("999") {
        unknown.push(call.by(&bob).await.text);
    }
    for (call, unknown) in calls(&order.to_string()).into_iter().zip(unknown) {
        let answer = call.by(&bob).await;
        assert_problem(&answer, 404, "not-found", "somebody else's");
        assert_eq!(answer.text, unknown, "and not a word more");
    }
    for order in ["999", "0", "-1", "mine", "1.0", "99999999999999999999"] {
        for call in calls(order) {
            assert_problem(&call.by(&ann).await, 404, "not-found", order);
        }
    }
    assert_eq!(shop.get(ORDERS).by(&bob).await.expect(200), json!({ "items": [] }));
    assert_eq!(shop.find_order(order).await["status"], "reserved", "the admin sees it, and it is as it was");
}

#[tokio::test]
async fn own_orders_come_in_pages_the_newest_first() {
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(1.0, 100).await;
    let mut placed = Vec::new();
    for _ in 0..7 {
        placed.insert(0, shop.place(&ann, mug, 1, None).await);
        shop.place(&bob, mug, 1, None).await;
    }
    for limit in [1, 2, 7, 20] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = shop.get(format!("{ORDERS}?limit={limit}{cursor}")).by(&ann).await.expect(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit && items.iter().all(|order| order["userId"] == ann.id));
            seen.extend(items.iter().map(|order| order["id"].as_i64().unwrap()));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, placed, "limit={limit}");
    }
    assert_eq!(shop.get(format!("{ORDERS}?cursor=x")).by(&ann).await.status, 400);
    assert_invalid(&shop.get(format!("{ORDERS}?limit=0")).by(&ann).await, &["limit"], "limit=0");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_order_is_called_off_in_every_state_but_failed() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 10).await;
    let admin = shop.admin().await;
    for (token, status, expected) in
        [(None, "reserved", 200), (Some("tok_visa"), "paid", 200), (Some("tok_declined"), "failed", 409)]
    {
        for (by, delete, reason, kept) in [
            (&ann, false, json!({ "reason": "changed my mind" }), "changed my mind"),
            (&ann, false, json!({}), "by the customer"),
            (&ann, true, json!({}), "by the customer"),
            (admin, false, json!({ "reason": null }), "by the shop"),
            (admin, true, json!({}), "by the shop"),
        ] {
            let order = shop.place(&ann, mug, 2, token).await;
            shop.wait_for(order, status).await;
            let at = format!("{ORDERS}/{order}");
            let call = if delete { shop.delete(&at) } else { shop.post(format!("{at}/cancel"), &reason) }.by(by);
            let answer = call.clone().await;
            if expected == 409 {
                assert_problem(&answer, 409, "not-cancellable", status);
                assert_eq!(shop.find_order(order).await["status"], "failed");
                continue;
            }
            let cancelled = answer.expect(200);
            assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("cancelled"), &json!(kept)), "{status}");
            let other_reason = shop.post(format!("{at}/cancel"), &json!({ "reason": "another" })).by(&ann);
            // The money goes back meanwhile, and is shown when it has arrived.
            let lasting = |order: &Value| {
                let mut order = order.clone();
                order.as_object_mut().unwrap().retain(|field, _| field != "refunded" && field != "updatedAt");
                order
            };
            for again in [call, other_reason] {
                let again = again.await.expect(200);
                assert_eq!(lasting(&again), lasting(&cancelled), "again changes nothing");
            }
        }
    }
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 10);
    let order = shop.place(&ann, mug, 1, None).await;
    let path = format!("{ORDERS}/{order}/cancel");
    for reason in ["", &"ü".repeat(201)] {
        let answer = shop.post(&path, &json!({ "reason": reason })).by(&ann).await;
        assert_invalid(&answer, &["reason"], reason);
    }
    let without_body = shop.request(reqwest::Method::POST, &path).by(&ann).await.expect(200);
    assert_eq!(without_body["status"], "cancelled");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_pending_order_is_called_off_and_reserves_nothing_later() {
    needs_bench!("it holds up calls between components");
    let (shop, ann, script) = open_without_reservations().await;
    let mug = shop.product(5.0, 10).await;
    let orders = [None, Some("tok_visa")].map(|token| shop.order(&ann, mug, 2, token));
    for order in orders {
        let order = order.await.expect(201)["id"].as_i64().unwrap();
        assert_eq!(shop.find_order(order).await["status"], "pending");
        assert_eq!(shop.cancel(&ann, order).await.expect(200)["status"], "cancelled");
        assert_eq!(shop.cancel(&ann, order).await.expect(200)["status"], "cancelled");
    }
    script.clear();
    shop.settle_over_time().await;
    assert_eq!(shop.stock(mug).await["available"], 10);
    assert!(shop.provider_books().is_empty(), "nobody was charged");
    shop.audit();
}

#[tokio::test]
async fn the_events_of_an_order_tell_its_story() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 10).await;
    let story = async |order: i64| {
        let events = shop.get(format!("{ORDERS}/{order}/events")).by(&ann).await.expect(200);
        let events = events["items"].as_array().unwrap().clone();
        let at: Vec<_> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
        assert!(at.is_sorted() && at.iter().all(|at| at.ends_with('Z')), "{at:?}");
        let entry = |event: &Value| json!([event["type"], event["status"], event["reason"]]);
        json!(events.iter().map(entry).collect::<Vec<_>>())
    };
    let placed = json!(["ORDER_PLACED", "pending", null]);
    let reserved = json!(["ORDER_RESERVED", "reserved", null]);
    let paid = json!(["ORDER_PAID", "paid", null]);

    let order = shop.place(&ann, mug, 2, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    shop.cancel(&ann, order).await.expect(200);
    shop.settle().await;
    let cancelled = json!(["ORDER_CANCELLED", "cancelled", "by the customer"]);
    let refunded = json!(["PAYMENT_REFUNDED", "cancelled", "10.00 EUR"]);
    assert_eq!(story(order).await, json!([placed, reserved, paid, cancelled, refunded]));

    let order = shop.place(&ann, mug, 2, Some("tok_declined")).await;
    shop.wait_for(order, "failed").await;
    assert_eq!(story(order).await, json!([placed, reserved, ["ORDER_FAILED", "failed", "card-declined"]]));

    let order = shop.place(&ann, mug, 11, Some("tok_visa")).await;
    let reason = shop.wait_for(order, "failed").await["reason"].clone();
    assert_eq!(story(order).await, json!([placed, ["ORDER_FAILED", "failed", reason]]));
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_key_makes_it_one_order() {
    let (shop, ann) = open().await;
    let bob = shop.customer("bob").await;
    let mug = shop.product(5.0, 100).await;
    let call = |by, quantity, key: &str| shop.order(by, mug, quantity, None).key(key);
    for key in ["k", "with spaces and \"quotes\"", &"k".repeat(255)] {
        let first = call(&ann, 1, key).await;
        let again = call(&ann, 1, key).await;
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
        assert_eq!(first.expect(201), again.expect(201), "{key}");
        assert_problem(&call(&ann, 2, key).await, 422, "idempotency-key-reused", key);
    }
    let one = shop.order(&bob, mug, 2, None).key("k").await.expect(201);
    assert_eq!(one["userId"], bob.id, "keys of different customers do not meet");
    shop.order(&ann, mug, 1, None).await.expect(201);
    shop.order(&ann, mug, 1, None).await.expect(201);
    let count = "SELECT count(*) FROM orders";
    assert_eq!(shop.value("orders", count), 6, "one for each key and customer, and two without a key");

    // A refusal is not remembered: the key is free for the order that makes sense.
    assert_eq!(shop.order(&ann, mug, 0, None).key("late").await.status, 422);
    assert_eq!(shop.order(&ann, 999, 1, None).key("late").await.status, 422);
    shop.order(&ann, mug, 1, None).key("late").await.expect(201);

    let token = shop.access_token(&ann).await;
    let body = json!({ "items": [{ "productId": mug, "quantity": 1 }] });
    let client = shop_tests::client().build().unwrap();
    for key in [&b""[..], &[b'k'; 256], "schlüssel".as_bytes(), b"a\tb"] {
        let request = client.post(format!("{}{ORDERS}", shop.url())).bearer_auth(&token).json(&body);
        let answer = request.header("idempotency-key", HeaderValue::from_bytes(key).unwrap()).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{}", String::from_utf8_lossy(key));
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(shop.value("orders", count), 7);
}

#[tokio::test]
async fn a_key_is_remembered_for_a_day() {
    needs_bench!("it moves the clock");
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    let call = || shop.order(&ann, mug, 1, Some("tok_visa")).key("k");
    let first = call().await.expect(201);
    shop.settle().await;
    shop.clock.advance(Duration::from_secs(23 * 60 * 60));
    shop.settle().await;
    assert_eq!(call().await.expect(201), first);
    shop.clock.advance(Duration::from_secs(2 * 60 * 60));
    shop.settle().await;
    assert_ne!(call().await.expect(201)["id"], first["id"]);
    shop.settle().await;
    shop.audit();
}
