//! What happens to an order that is paid: it is shipped, it arrives, it comes back.

use std::collections::BTreeMap;

use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Shop, ShopOptions};

use crate::support::{assert_invalid, assert_problem};

const ORDERS: &str = "/api/v1/orders";

async fn open() -> (Shop, Customer) {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    (shop, ann)
}

fn set<'a>(shop: &'a Shop, admin: &'a Customer, order: i64, body: &Value) -> Call<'a> {
    shop.put(format!("{ORDERS}/{order}/status"), body).by(admin)
}

/// An order in this state, reached on the only way there.
async fn in_state(shop: &Shop, ann: &Customer, product: i64, state: &str) -> i64 {
    let admin = shop.admin().await;
    let token = match state {
        "reserved" => None,
        "failed" => Some("tok_declined"),
        _ => Some("tok_visa"),
    };
    let order = shop.place(ann, product, 1, token).await;
    match state {
        "reserved" | "failed" => return shop.wait_for(order, state).await["id"].as_i64().unwrap(),
        _ => shop.wait_for(order, "paid").await,
    };
    let way: &[&str] = match state {
        "paid" => &[],
        "cancelled" => &["cancelled"],
        "shipped" => &["shipped"],
        "delivered" => &["shipped", "delivered"],
        _ => &["shipped", "delivered", "returned"],
    };
    for status in way {
        set(shop, admin, order, &json!({ "status": status })).await.expect(200);
    }
    order
}

#[tokio::test]
async fn people_take_an_order_only_where_it_may_go() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 500).await;
    let admin = shop.admin().await;
    let states = ["reserved", "paid", "shipped", "delivered", "returned", "failed", "cancelled"];
    let follow = [
        ("reserved", "cancelled"),
        // By hand.
        ("reserved", "paid"),
        ("paid", "shipped"),
        ("paid", "cancelled"),
        ("shipped", "delivered"),
        ("delivered", "returned"),
    ];
    for from in states {
        for to in ["pending", "reserved", "paid", "shipped", "delivered", "returned", "failed", "cancelled"] {
            let by_people = ["paid", "shipped", "delivered", "returned", "cancelled"].contains(&to);
            let allowed = follow.contains(&(from, to)) || by_people && from == to;
            let order = in_state(&shop, &ann, mug, from).await;
            let answer = set(&shop, admin, order, &json!({ "status": to })).await;
            if allowed {
                assert_eq!(answer.expect(200)["status"], to, "from {from}");
            } else {
                let code = if to == "cancelled" { "not-cancellable" } else { "transition-not-allowed" };
                assert_problem(&answer, 409, code, &format!("from {from} to {to}"));
                assert_eq!(shop.find_order(order).await["status"], from, "it is as it was");
            }
        }
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn an_order_that_is_shipped_delivered_and_sent_back_tells_its_story() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 10).await;
    let admin = shop.admin().await;
    let order = shop.place(&ann, mug, 3, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 7);
    let shipped = set(&shop, admin, order, &json!({ "status": "shipped", "tracking": "1Z 999" })).await.expect(200);
    assert_eq!((&shipped["status"], &shipped["tracking"]), (&json!("shipped"), &json!("1Z 999")));
    let corrected = json!({ "status": "shipped", "tracking": "1Z 1000" });
    assert_eq!(set(&shop, admin, order, &corrected).await.expect(200)["tracking"], "1Z 1000");
    let kept = json!({ "status": "shipped" });
    assert_eq!(set(&shop, admin, order, &kept).await.expect(200)["tracking"], "1Z 1000");
    assert_problem(&shop.cancel(&ann, order).await, 409, "not-cancellable", "it is on its way");
    let path = format!("{ORDERS}/{order}/status");
    let patched = shop.request(reqwest::Method::PATCH, &path).json(&json!({ "status": "delivered" })).by(admin);
    assert_eq!(patched.await.expect(200)["tracking"], "1Z 1000");
    let back = json!({ "status": "returned", "reason": "too small" });
    let returned = set(&shop, admin, order, &back).await.expect(200);
    assert_eq!(set(&shop, admin, order, &back).await.expect(200), returned, "again changes nothing");
    shop.settle().await;
    let stock = shop.stock(mug).await;
    assert_eq!((&stock["available"], &stock["onHand"]), (&json!(10), &json!(10)), "the pieces are back");
    let entry = |event: &Value| json!([event["type"], event["status"], event["reason"]]);
    for timeline in ["events", "timeline"] {
        let story = shop.get(format!("{ORDERS}/{order}/{timeline}")).by(&ann).await.expect(200);
        let story: Vec<_> = story["items"].as_array().unwrap().iter().map(entry).collect();
        let told = json!([
            ["ORDER_PLACED", "pending", null],
            ["ORDER_RESERVED", "reserved", null],
            ["ORDER_PAID", "paid", null],
            ["ORDER_SHIPPED", "shipped", null],
            ["ORDER_DELIVERED", "delivered", null],
            ["ORDER_RETURNED", "returned", "too small"],
        ]);
        assert_eq!(json!(story), told);
    }
    let sent = "SELECT json_extract(envelope, '$.eventType'), count(*) FROM outbox \
         WHERE json_extract(envelope, '$.eventType') IN ('ORDER_SHIPPED', 'ORDER_DELIVERED', 'ORDER_RETURNED') GROUP BY 1";
    let sent: BTreeMap<_, _> = shop
        .query("orders", sent)
        .into_iter()
        .map(|row| (row[0].as_str().unwrap().to_owned(), row[1].clone()))
        .collect();
    assert!(sent.len() == 3 && sent.values().all(|count| *count == 1), "{sent:?}");
    let history = shop.get(format!("/api/v1/inventory/{mug}/history")).by(admin).await.expect(200);
    assert_eq!((&history["items"][0]["kind"], &history["items"][0]["onHandDelta"]), (&json!("returned"), &json!(3)));
    shop.audit();
}

#[tokio::test]
async fn what_is_done_many_times_at_once_happens_once() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    let admin = shop.admin().await;
    let order = in_state(&shop, &ann, mug, "delivered").await;
    let back = json!({ "status": "returned" });
    for answer in join_all((0..12).map(|_| async { set(&shop, admin, order, &back).await })).await {
        assert_eq!(answer.expect(200)["status"], "returned");
    }
    for _ in 0..10 {
        let order = in_state(&shop, &ann, mug, "paid").await;
        let ship = json!({ "status": "shipped" });
        let (shipped, cancelled) =
            futures::join!(async { set(&shop, admin, order, &ship).await }, async { shop.cancel(&ann, order).await });
        let statuses = [shipped.status.as_u16(), cancelled.status.as_u16()];
        let status = shop.find_order(order).await["status"].clone();
        match statuses {
            [200, 409] => assert_eq!(status, "shipped"),
            [409, 200] => assert_eq!(status, "cancelled"),
            other => panic!("{other:?}: {} {}", shipped.text, cancelled.text),
        }
    }
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn only_admins_say_where_an_order_is_and_only_what_makes_sense() {
    let (shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    let admin = shop.admin().await;
    let order = in_state(&shop, &ann, mug, "paid").await;
    for body in [json!({ "status": "shipped" }), json!({ "status": "cancelled" })] {
        assert_problem(&set(&shop, &ann, order, &body).await, 403, "forbidden", "by the customer");
    }
    for (body, field) in [
        (json!({}), "status"),
        (json!({ "status": "lost" }), "status"),
        (json!({ "status": 1 }), "status"),
        (json!({ "status": "shipped", "tracking": "" }), "tracking"),
        (json!({ "status": "shipped", "reason": "x".repeat(201) }), "reason"),
    ] {
        assert_invalid(&set(&shop, admin, order, &body).await, &[field], &body.to_string());
    }
    assert_problem(&set(&shop, admin, 999, &json!({ "status": "shipped" })).await, 404, "not-found", "999");
    let cancelled = set(&shop, admin, order, &json!({ "status": "cancelled", "reason": "broken" })).await.expect(200);
    assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("cancelled"), &json!("broken")));
    shop.settle().await;
    let shown = shop.find_order(order).await;
    assert_eq!((&shown["refunded"], &shown["total"]), (&json!(5.0), &json!(5.0)), "the money went back");
    shop.audit();
}
