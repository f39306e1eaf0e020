//! Whose stock it is: suppliers see and change that of their own products, and nobody else's.

use std::time::Duration;

use bodega_host::{Phase, Verdict};
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::support::assert_problem;

const INVENTORY: &str = "/api/v1/inventory";

async fn offer(shop: &Shop, seller: &Customer, stock: i64) -> i64 {
    let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": stock });
    let product = shop.post("/api/v1/products", &body).by(seller).await.expect(201)["id"].as_i64().unwrap();
    shop.settle().await;
    product
}

async fn post(shop: &Shop, by: &Customer, path: &str, body: Value) -> Answer {
    shop.post(format!("{INVENTORY}{path}"), &body).by(by).await
}

fn items(products: &[i64]) -> Value {
    let item = |product: &i64| json!({ "productId": product, "quantity": 1 });
    json!({ "items": products.iter().map(item).collect::<Vec<_>>() })
}

/// Every record and every movement.
fn books(shop: &Shop) -> Value {
    json!([
        shop.query("inventory", "SELECT product_id, on_hand, reserved, threshold, version FROM stock ORDER BY 1"),
        shop.query("inventory", "SELECT id, product_id, on_hand_delta, reserved_delta FROM movements ORDER BY 1"),
        shop.query("inventory", "SELECT id, status FROM reservations ORDER BY 1"),
    ])
}

#[tokio::test]
async fn a_supplier_cannot_touch_what_is_another_ones() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (sue, rob) = (shop.seller("sue").await, shop.seller("rob").await);
    let (mug, cup) = (offer(&shop, &sue, 9).await, offer(&shop, &rob, 9).await);
    let admin = shop.admin().await;
    let both = post(&shop, admin, "/reserve", items(&[mug, cup])).await.expect(201)["id"].clone();
    let own = post(&shop, &sue, "/reserve", items(&[mug])).await.expect(201)["id"].clone();
    let ann = shop.customer("ann").await;
    let order = shop.place(&ann, mug, 1, None).await;
    shop.wait_for(order, "reserved").await;
    shop.settle().await;
    let of_order = shop.value("inventory", &format!("SELECT id FROM reservations WHERE order_id = {order}"));

    let before = books(&shop);
    let record = format!("{INVENTORY}/{mug}");
    let release = |id: &Value| json!({ "reservationId": id });
    for (what, answer) in [
        ("record", shop.get(&record).by(&rob).await),
        ("history", shop.get(format!("{record}/history")).by(&rob).await),
        ("threshold", shop.put(&record, &json!({ "reorderThreshold": 0 })).by(&rob).await),
        ("count", shop.put(&record, &json!({ "onHand": 0, "reason": "gone" })).by(&rob).await),
        ("adjust", post(&shop, &rob, &format!("/{mug}/adjust"), json!({ "delta": -1, "reason": "x" })).await),
        ("reserve", post(&shop, &rob, "/reserve", items(&[mug])).await),
        ("reserve both", post(&shop, &rob, "/reserve", items(&[cup, mug])).await),
        ("release", post(&shop, &rob, "/release", release(&own)).await),
        ("release both", post(&shop, &rob, "/release", release(&both)).await),
        ("release the order's", post(&shop, &rob, "/release", release(&of_order)).await),
        ("a second record", post(&shop, &rob, "", json!({ "productId": mug, "quantity": 1 })).await),
    ] {
        assert_problem(&answer, 404, "not-found", what);
    }
    assert_eq!(books(&shop), before, "nothing was done");

    let twice = post(&shop, &sue, "", json!({ "productId": mug, "quantity": 1 })).await;
    assert_problem(&twice, 409, "inventory-exists", "one's own");
    assert_problem(&post(&shop, &sue, "/release", release(&of_order)).await, 409, "held-by-order", "one's own");
    assert_eq!(post(&shop, &sue, "/release", release(&own)).await.expect(200)["status"], "released");
    assert_eq!(post(&shop, admin, "/release", release(&both)).await.expect(200)["status"], "released");
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn a_list_shows_a_supplier_its_own_records_and_an_admin_all() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (sue, rob, none) = (shop.seller("sue").await, shop.seller("rob").await, shop.seller("new").await);
    let mut products = Vec::new();
    for seller in [&sue, &rob, &sue, &sue, &rob] {
        products.push(offer(&shop, seller, 1).await);
    }
    let listed = async |by: &Customer| {
        let (mut ids, mut query) = (Vec::new(), "?limit=2".to_owned());
        loop {
            let page = shop.get(format!("{INVENTORY}{query}")).by(by).await.expect(200);
            for record in page["items"].as_array().unwrap() {
                ids.push((record["productId"].as_i64().unwrap(), record["supplierId"].as_i64().unwrap()));
            }
            let Some(cursor) = page["nextCursor"].as_str() else { return ids };
            query = format!("?limit=2&cursor={cursor}");
        }
    };
    let of =
        |places: &[usize], seller: &Customer| places.iter().map(|at| (products[*at], seller.id)).collect::<Vec<_>>();
    assert_eq!(listed(&sue).await, of(&[0, 2, 3], &sue));
    assert_eq!(listed(&rob).await, of(&[1, 4], &rob));
    assert_eq!(listed(&none).await, []);
    let mut all = [of(&[0, 2, 3], &sue), of(&[1, 4], &rob)].concat();
    all.sort_unstable();
    assert_eq!(listed(shop.admin().await).await, all);
    for product in products {
        shop.check(product, 1).await.expect(200);
    }
}

/// From now on inventory hears of nothing in the catalog.
fn deafen(script: &Script) {
    script.rule(|call| {
        let told = call.component == "catalog" && call.interface == "http" && call.phase == Phase::Before;
        if told && call.detail.contains("inventory") { Verdict::Fail("not now".into()) } else { Verdict::Proceed }
    });
}

/// Lets inventory hear of a product.
async fn announced(script: &Script, shop: &Shop, product: i64) {
    script.clear();
    let there = format!("SELECT announced FROM stock WHERE product_id = {product}");
    eventually(Duration::from_secs(30), "inventory is told of the product", async || {
        shop.clock.advance(Duration::from_secs(1));
        shop.tick("catalog").await;
        shop.value("inventory", &there) == 1
    })
    .await;
    shop.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_a_stranger_made_before_the_product_was_announced_is_its_suppliers() {
    needs_bench!("it holds back an event");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    deafen(&script);
    let (sue, rob, ann) = (shop.seller("sue").await, shop.seller("rob").await, shop.customer("ann").await);
    let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": 2 });
    let mug = shop.post("/api/v1/products", &body).by(&sue).await.expect(201)["id"].as_i64().unwrap();
    let made = post(&shop, &rob, "", json!({ "productId": mug, "quantity": 1_000, "reorderThreshold": 900 })).await;
    assert_eq!(made.expect(201)["supplierId"], rob.id);
    // Nobody gets pieces that only a stranger has counted, not even the stranger: held, they would be real once let go.
    assert_problem(&post(&shop, &rob, "/reserve", items(&[mug])).await, 404, "not-found", "held by hand");
    let hers = post(&shop, &sue, "", json!({ "productId": mug, "quantity": 1 })).await;
    assert_problem(&hers, 409, "inventory-exists", "hers, though a stranger's is there");
    let warnings = "SELECT count(*) FROM outbox WHERE envelope LIKE '%STOCK_LOW%'";
    let (before, check) = (shop.value("inventory", warnings), format!("{INVENTORY}/check?productId={mug}&quantity=1"));
    assert_eq!(shop.get(&check).await.status, 404);
    let order = shop.place(&ann, mug, 3, None).await;
    for _ in 0..3 {
        shop.tick("orders").await;
    }
    assert_eq!(shop.find_order(order).await["status"], "pending");
    // Her own count comes in its turn, however long the news of the product takes.
    shop.put(format!("/api/v1/products/{mug}"), &json!({ "stock": 12 })).by(&sue).await.expect(200);
    announced(&script, &shop, mug).await;
    shop.settle_over_time().await;

    let record = shop.get(format!("{INVENTORY}/{mug}")).by(&sue).await.expect(200);
    let of = |name: &str| record[name].as_i64().unwrap();
    assert_eq!([of("supplierId"), of("onHand"), of("reserved"), of("reorderThreshold")], [sue.id, 12, 3, 5]);
    assert_eq!(shop.get(format!("{INVENTORY}/{mug}")).by(&rob).await.status, 404);
    assert_eq!(shop.get(&check).await.expect(200)["available"], 9);
    assert_eq!(shop.get(format!("/api/v1/products/{mug}")).await.expect(200)["stock"], 9);
    assert_eq!(shop.value("inventory", warnings), before, "it never had more than it began with");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_supplier_or_an_admin_counted_before_the_product_was_announced_stands_and_is_shown() {
    needs_bench!("it holds back an event");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let sue = shop.seller("sue").await;
    let body = json!({ "name": "Mug", "description": "", "price": 1, "stock": 2 });
    for by in [&sue, shop.admin().await] {
        deafen(&script);
        let mug = shop.post("/api/v1/products", &body).by(&sue).await.expect(201)["id"].as_i64().unwrap();
        post(&shop, by, "", json!({ "productId": mug, "quantity": 7 })).await.expect(201);
        announced(&script, &shop, mug).await;
        let record = shop.get(format!("{INVENTORY}/{mug}")).by(&sue).await.expect(200);
        assert_eq!((&record["supplierId"], &record["onHand"]), (&json!(sue.id), &json!(7)));
        assert_eq!(shop.get(format!("/api/v1/products/{mug}")).await.expect(200)["stock"], 7);
        shop.audit();
    }
}

#[tokio::test]
async fn a_record_that_an_admin_adds_ahead_of_the_product_is_what_the_catalog_shows_then() {
    let shop = Shop::start(ShopOptions::default()).await;
    let sue = shop.seller("sue").await;
    let first = offer(&shop, &sue, 1).await;
    post(&shop, shop.admin().await, "", json!({ "productId": first + 1, "quantity": 7 })).await.expect(201);
    shop.settle().await;
    assert_eq!(shop.get(format!("{INVENTORY}/{}", first + 1)).by(&sue).await.status, 404, "nobody's yet");
    let second = offer(&shop, &sue, 2).await;
    assert_eq!(second, first + 1);
    assert_eq!(shop.get(format!("/api/v1/products/{second}")).await.expect(200)["stock"], 7);
    assert_eq!(shop.get(format!("{INVENTORY}/{second}")).by(&sue).await.expect(200)["onHand"], 7);
    shop.audit();
}
