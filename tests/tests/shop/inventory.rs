//! How much there is, and who has been promised some.

use crate::support::{assert_invalid, assert_problem};
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Call, Customer, Shop, ShopOptions};

const INVENTORY: &str = "/api/v1/inventory";

async fn open() -> Shop {
    Shop::start(ShopOptions::default()).await
}

/// Somebody who keeps the stock.
struct Keeper<'a> {
    shop: &'a Shop,
    admin: &'a Customer,
}

impl<'a> Keeper<'a> {
    async fn of(shop: &'a Shop) -> Self {
        Self { shop, admin: shop.admin().await }
    }

    fn get(&self, path: &str) -> Call<'a> {
        self.shop.get(format!("{INVENTORY}{path}")).by(self.admin)
    }

    fn post(&self, path: &str, body: &Value) -> Call<'a> {
        self.shop.post(format!("{INVENTORY}{path}"), body).by(self.admin)
    }

    fn put(&self, product: i64, body: &Value) -> Call<'a> {
        self.shop.put(format!("{INVENTORY}/{product}"), body).by(self.admin)
    }

    fn adjust(&self, product: i64, delta: i64, reason: &str) -> Call<'a> {
        self.post(&format!("/{product}/adjust"), &json!({ "delta": delta, "reason": reason }))
    }

    /// A request to hold so much of each.
    fn reserve(&self, lines: &[(i64, i64)]) -> Call<'a> {
        let line = |(product, quantity): &(i64, i64)| json!({ "productId": product, "quantity": quantity });
        self.post("/reserve", &json!({ "items": lines.iter().map(line).collect::<Vec<_>>() }))
    }

    fn release(&self, reservation: i64) -> Call<'a> {
        self.post("/release", &json!({ "reservationId": reservation }))
    }
}

fn numbers(record: &Value) -> [i64; 3] {
    ["onHand", "reserved", "available"].map(|name| record[name].as_i64().unwrap_or_else(|| panic!("{record}")))
}

#[tokio::test]
async fn every_product_has_a_record_that_sellers_can_read() {
    let shop = open().await;
    let keeper = Keeper::of(&shop).await;
    let products = [shop.product(1.0, 10).await, shop.product(2.0, 0).await, shop.product(3.0, 7).await];
    let record = shop.stock(products[0]).await;
    let expected = json!({
        "id": products[0], "productId": products[0], "supplierId": keeper.admin.id, "onHand": 10, "reserved": 0, "available": 10,
        "reorderThreshold": 5, "lowStock": false, "version": 1, "updatedAt": record["updatedAt"],
    });
    assert_eq!(record, expected);
    let page = keeper.get("?limit=2").await.expect(200);
    let rest = keeper.get(&format!("?limit=2&cursor={}", page["nextCursor"].as_str().unwrap())).await.expect(200);
    let ids = |page: &Value| page["items"].as_array().unwrap().iter().map(|item| item["productId"].clone()).collect();
    let (first, second): (Vec<_>, Vec<_>) = (ids(&page), ids(&rest));
    assert_eq!((json!(first), json!(second)), (json!(products[..2]), json!(products[2..])));
    assert!(rest.get("nextCursor").is_none());

    for (product, quantity, available, sufficient) in [(0, 10, 10, true), (0, 11, 10, false), (1, 1, 0, false)] {
        let checked = shop.check(products[product], quantity).await.expect(200);
        let id = products[product];
        let expected =
            json!({ "productId": id, "requested": quantity, "available": available, "sufficient": sufficient });
        assert_eq!(checked, expected);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_makes_no_sense_is_refused() {
    let shop = open().await;
    let keeper = Keeper::of(&shop).await;
    let mug = shop.product(1.0, 5).await;
    for call in [
        keeper.get("/999"),
        keeper.get("/mug"),
        keeper.get("/999/history"),
        shop.check(999, 1),
        keeper.put(999, &json!({ "onHand": 1 })),
        keeper.put(999, &json!({ "reorderThreshold": 1 })),
        keeper.put(999, &json!({})),
        keeper.adjust(999, 1, "found"),
        keeper.reserve(&[(mug, 1), (999, 1)]),
        keeper.release(999),
    ] {
        assert_problem(&call.await, 404, "not-found", "of no product");
    }
    let line = |product: Value, quantity: Value| json!({ "items": [{ "productId": product, "quantity": quantity }] });
    let long = "x".repeat(201);
    let adjust = format!("/{mug}/adjust");
    for (path, body, fields) in [
        ("", json!({ "productId": 0, "quantity": 1_000_001 }), &["productId", "quantity"][..]),
        ("", json!({ "productId": 9_007_199_254_740_992_i64, "quantity": 1 }), &["productId"]),
        ("", json!({ "productId": 7, "quantity": -1 }), &["quantity"]),
        ("", json!({ "productId": 7, "quantity": 1, "reorderThreshold": 1_000_001 }), &["reorderThreshold"]),
        (&adjust, json!({ "delta": 1 }), &["reason"]),
        (&adjust, json!({ "reason": "found" }), &["delta"]),
        (&adjust, json!({ "delta": 0.5, "reason": "half" }), &["delta"]),
        (&adjust, json!({ "delta": 1_000_001, "reason": "" }), &["delta", "reason"]),
        (&adjust, json!({ "delta": -1_000_001, "reason": long }), &["delta", "reason"]),
        ("/reserve", json!({ "items": [] }), &["items"]),
        ("/reserve", json!({ "items": vec![json!({ "productId": mug, "quantity": 1 }); 101] }), &["items"]),
        ("/reserve", line(json!(mug), json!(0)), &["items[0].quantity"]),
        ("/reserve", line(json!(mug), json!(1_000_001)), &["items[0].quantity"]),
        ("/reserve", line(json!("mug"), json!(1)), &["items[0].productId"]),
        ("/reserve", json!({}), &["items"]),
        ("/reserve", json!({ "productId": mug }), &["quantity"]),
        ("/reserve", json!({ "productId": mug, "quantity": 0 }), &["quantity"]),
        ("/reserve", json!({ "productId": mug, "quantity": 1, "expiresInSeconds": 0 }), &["expiresInSeconds"]),
        ("/reserve", json!({ "productId": mug, "quantity": 1, "expiresInSeconds": 604_801 }), &["expiresInSeconds"]),
        (
            "/reserve",
            json!({ "items": [{ "productId": mug, "quantity": 1 }], "productId": mug, "quantity": 1 }),
            &["items"],
        ),
        ("/release", json!({}), &["reservationId"]),
    ] {
        assert_invalid(&keeper.post(path, &body).await, fields, &format!("{path} {body}"));
    }
    for (body, fields) in [
        (json!({ "onHand": -1 }), &["onHand"][..]),
        (
            json!({ "onHand": 1_000_001, "reorderThreshold": 1_000_001, "reason": long }),
            &["onHand", "reason", "reorderThreshold"],
        ),
    ] {
        assert_invalid(&keeper.put(mug, &body).await, fields, &body.to_string());
    }
    for (query, status) in [
        ("quantity=1", 400),
        ("productId=1", 400),
        ("productId=mug&quantity=1", 400),
        ("productId=1&quantity=-1", 400),
        ("productId=1&quantity=0", 422),
        ("productId=1&quantity=1000001", 422),
    ] {
        assert_eq!(shop.get(format!("{INVENTORY}/check?{query}")).await.status, status, "{query}");
    }
    assert_eq!(numbers(&shop.stock(mug).await), [5, 0, 5], "nothing was done");
}

#[tokio::test]
async fn a_record_is_made_once() {
    let shop = open().await;
    let keeper = Keeper::of(&shop).await;
    let body = json!({ "productId": 4711, "quantity": 8, "reorderThreshold": 2 });
    let made = keeper.post("", &body).key("first").await;
    let again = keeper.post("", &body).key("first").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let made = made.expect(201);
    assert_eq!((numbers(&made), &made["reorderThreshold"]), ([8, 0, 8], &json!(2)));
    assert_eq!(again.expect(201), made);
    assert_eq!(shop.stock(4711).await, made);
    assert_problem(&keeper.post("", &body).await, 409, "inventory-exists", "a second one");
    let mug = shop.product(1.0, 1).await;
    let second = json!({ "productId": mug, "quantity": 5 });
    assert_problem(&keeper.post("", &second).await, 409, "inventory-exists", "the catalog's products have one");
    assert_eq!(numbers(&shop.stock(mug).await), [1, 0, 1]);
}

#[tokio::test]
async fn stock_never_goes_below_what_is_promised() {
    let shop = open().await;
    let keeper = Keeper::of(&shop).await;
    let mug = shop.product(1.0, 10).await;
    keeper.reserve(&[(mug, 4)]).await.expect(201);
    let adjust = |delta: i64| keeper.adjust(mug, delta, "counted");
    assert_problem(&adjust(-7).await, 409, "insufficient-stock", "by 7 of 6");
    let both = keeper.put(mug, &json!({ "onHand": 3, "reorderThreshold": 77 })).await;
    assert_problem(&both, 409, "insufficient-stock", "to 3 of 4");
    let record = shop.stock(mug).await;
    assert_eq!(numbers(&record), [10, 4, 6]);
    assert_ne!(record["reorderThreshold"], 77, "all of a change or nothing");
    assert_eq!(numbers(&adjust(-6).await.expect(200)), [4, 4, 0]);
    assert_problem(&adjust(-1).await, 409, "insufficient-stock", "by 1 of none");
    assert_eq!(numbers(&adjust(0).await.expect(200)), [4, 4, 0]);
    assert_eq!(numbers(&adjust(1_000_000).await.expect(200)), [1_000_004, 4, 1_000_000]);
    let set = keeper.put(mug, &json!({ "onHand": 4, "reorderThreshold": 77, "reason": "counted" })).await.expect(200);
    assert_eq!((numbers(&set), &set["reorderThreshold"]), ([4, 4, 0], &json!(77)));
    let keyed = |delta: i64| keeper.adjust(mug, delta, "found").key("found");
    assert_eq!(numbers(&keyed(3).await.expect(200)), [7, 4, 3]);
    assert_eq!(numbers(&keyed(3).await.expect(200)), [7, 4, 3]);
    assert_problem(&keyed(4).await, 422, "idempotency-key-reused", "another delta");
    assert_eq!(numbers(&shop.stock(mug).await), [7, 4, 3]);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn the_history_adds_up_to_what_is_there() {
    let shop = open().await;
    let keeper = Keeper::of(&shop).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 20).await;
    let held = keeper.reserve(&[(mug, 2)]).await.expect(201)["id"].as_i64().unwrap();
    keeper.adjust(mug, -3, "broken").await.expect(200);
    keeper.put(mug, &json!({ "onHand": 25, "reason": "counted" })).await.expect(200);
    let paid = shop.place(&ann, mug, 4, Some("tok_visa")).await;
    let failed = shop.place(&ann, mug, 5, Some("tok_declined")).await;
    let returned = shop.place(&ann, mug, 6, Some("tok_visa")).await;
    for (order, status) in [(paid, "paid"), (failed, "failed"), (returned, "paid")] {
        shop.wait_for(order, status).await;
    }
    shop.settle().await;
    shop.cancel(&ann, returned).await.expect(200);
    keeper.release(held).await.expect(200);
    shop.settle().await;

    let (mut movements, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let page = keeper.get(&format!("/{mug}/history{query}")).await.expect(200);
        movements.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("?limit=3&cursor={cursor}");
    }
    let ids: Vec<_> = movements.iter().map(|movement| movement["id"].as_i64().unwrap()).collect();
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    let sum = |name: &str| movements.iter().map(|movement| movement[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!(numbers(&shop.stock(mug).await), [21, 0, 21]);
    assert_eq!((sum("onHandDelta"), sum("reservedDelta")), (21, 0));
    let of = |order: i64| -> Vec<Value> {
        let own = movements.iter().filter(|movement| movement["orderId"] == order);
        own.map(|movement| json!([movement["kind"], movement["onHandDelta"], movement["reservedDelta"]])).collect()
    };
    assert_eq!(of(paid), [json!(["sold", -4, -4]), json!(["reserved", 0, 4])]);
    assert_eq!(of(failed), [json!(["released", 0, -5]), json!(["reserved", 0, 5])]);
    assert_eq!(of(returned), [json!(["returned", 6, 0]), json!(["sold", -6, -6]), json!(["reserved", 0, 6])]);
    let reasons: Vec<_> = movements.iter().filter(|movement| movement["kind"] == "adjusted").collect();
    assert_eq!((&reasons[1]["reason"], &reasons[0]["reason"]), (&json!("broken"), &json!("counted")));
    let by_hand: Vec<_> = movements.iter().filter(|movement| movement["reservationId"] == held).collect();
    assert_eq!(by_hand.len(), 2);
    assert!(by_hand.iter().all(|movement| movement["orderId"].is_null()));
    shop.audit();
}

#[tokio::test]
async fn what_is_held_by_hand_is_held_once_and_let_go_once() {
    let shop = open().await;
    let keeper = Keeper::of(&shop).await;
    let (mug, cup) = (shop.product(1.0, 5).await, shop.product(1.0, 5).await);
    let stock = async || [numbers(&shop.stock(mug).await), numbers(&shop.stock(cup).await)];
    let lines = [(cup, 2), (mug, 1), (cup, 1)];
    let held = keeper.reserve(&lines).key("hold").await;
    let again = keeper.reserve(&lines).key("hold").await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let held = held.expect(201);
    assert_eq!(again.expect(201), held);
    assert_eq!((&held["status"], &held["orderId"]), (&json!("held"), &json!(null)));
    let merged = json!([{ "productId": mug, "quantity": 1 }, { "productId": cup, "quantity": 3 }]);
    assert_eq!(held["items"], merged);
    assert_eq!(stock().await, [[5, 1, 4], [5, 3, 2]]);
    let other = keeper.reserve(&[(mug, 1)]).key("hold").await;
    assert_problem(&other, 422, "idempotency-key-reused", "another body");

    for lines in [&[(mug, 1), (cup, 3)][..], &[(mug, 3), (mug, 2)], &[(mug, 1_000_000)]] {
        assert_problem(&keeper.reserve(lines).await, 409, "insufficient-stock", &format!("{lines:?}"));
    }
    assert_eq!(stock().await, [[5, 1, 4], [5, 3, 2]], "all of it or nothing");

    let id = held["id"].as_i64().unwrap();
    for _ in 0..3 {
        let released = keeper.release(id).await.expect(200);
        assert_eq!((&released["id"], &released["status"]), (&json!(id), &json!("released")));
        assert_eq!(stock().await, [[5, 0, 5], [5, 0, 5]]);
    }
    let ann = shop.customer("ann").await;
    let order = shop.place(&ann, mug, 2, None).await;
    shop.wait_for(order, "reserved").await;
    let id = shop.value("inventory", &format!("SELECT id FROM reservations WHERE order_id = {order}"));
    assert_problem(&keeper.release(id.as_i64().unwrap()).await, 409, "held-by-order", "what an order holds");
    assert_eq!(stock().await, [[5, 2, 3], [5, 0, 5]]);
    shop.settle().await;
    shop.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_as_many_get_some_as_there_is() {
    let shop = open().await;
    let keeper = Keeper::of(&shop).await;
    let mug = shop.product(1.0, 5).await;
    let one = keeper.reserve(&[(mug, 1)]);
    let mut statuses: Vec<_> = join_all((0..20).map(|_| one.clone().into_future()))
        .await
        .into_iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201; 5], vec![409; 15]].concat());
    assert_eq!(numbers(&shop.stock(mug).await), [5, 5, 0]);
    assert_eq!(keeper.adjust(mug, -1, "broken").await.status, 409);
    shop.settle().await;
    shop.audit();
}
