//! What admins see and do across services: events that were given up.

use std::{sync::Arc, time::Duration};

use bodega_host::{Phase, Verdict};
use futures::future::join_all;
use serde_json::{Value, json};
use shop_tests::{Customer, Script, Shop, ShopOptions, needs_bench};

use crate::support::{assert_invalid, assert_problem};

const PARKED: &str = "/api/v1/admin/events/parked";

async fn open() -> (Arc<Script>, Shop, Customer) {
    let script = Script::new();
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let options = ShopOptions { order_timeout: month, ..ShopOptions::controlled(script.clone()) };
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    (script, shop, ann)
}

/// Inventory takes no events, until the script is cleared.
fn cut_off_inventory(script: &Script) {
    script.rule(|call| match call.phase {
        Phase::Before
            if call.interface == "http" && call.detail.contains("//inventory.spin.internal/internal/events") =>
        {
            Verdict::Fail("it is down".into())
        }
        _ => Verdict::Proceed,
    });
}

/// Lets time pass until whatever waits to be delivered is given up.
async fn park(shop: &Shop, service: &str) {
    let count = |which: &str| {
        shop.value(service, &format!("SELECT count(*) FROM deliveries WHERE subscriber = 'inventory'{which}"))
    };
    for _ in 0..40 {
        if count("") != 0 && count(" AND parked_at IS NULL") == 0 {
            return;
        }
        // Longer than any wait between two attempts: all are tried each time, and given up in one go.
        shop.clock.advance(Duration::from_secs(700));
        shop.tick(service).await;
    }
    panic!("{service} does not give up: {:?}", shop.query(service, "SELECT * FROM deliveries"));
}

/// Orders that wait for inventory in vain, and a product whose stock it has never heard of.
async fn with_parked(orders: usize) -> (Arc<Script>, Shop, Vec<i64>) {
    let (script, shop, ann) = open().await;
    let mug = shop.product(5.0, 100).await;
    shop.settle().await;
    cut_off_inventory(&script);
    let unheard = json!({ "name": "Jug", "description": "", "price": 6, "stock": 100 });
    shop.post("/api/v1/products", &unheard).by(shop.admin().await).await.expect(201);
    park(&shop, "catalog").await;
    let mut placed = Vec::new();
    for _ in 0..orders {
        placed.push(shop.place(&ann, mug, 1, Some("tok_visa")).await);
    }
    park(&shop, "orders").await;
    script.clear();
    (script, shop, placed)
}

async fn list(shop: &Shop, query: &str) -> Value {
    shop.get(format!("{PARKED}{query}")).by(shop.admin().await).await.expect(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parked_events_of_all_services_are_one_list_and_can_be_replayed() {
    needs_bench!("it cuts off a component");
    let (_script, shop, orders) = with_parked(3).await;
    let admin = shop.admin().await;
    let all = list(&shop, "").await;
    let items = all["items"].as_array().unwrap();
    assert_eq!((items.len(), &all["unavailable"]), (4, &json!([])), "{all}");
    let services: Vec<_> = items.iter().map(|item| item["service"].as_str().unwrap()).collect();
    assert_eq!(services, ["catalog", "orders", "orders", "orders"], "oldest first");
    let first = &items[1];
    assert_eq!(first["subscriber"], "inventory");
    assert_eq!(first["subject"], format!("order/{}", orders[0]));
    assert_eq!(first["attempts"], 13);
    assert!(first["lastError"].is_string(), "{first}");
    assert_eq!((&first["event"]["eventType"], &first["event"]["producer"]), (&json!("ORDER_PLACED"), &json!("orders")));
    assert!(items.iter().all(|item| item["event"].get("data").is_none()), "what it says may be a card's token: {all}");

    let mut paged = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = list(&shop, &query).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(&paged, items);
    assert_eq!(list(&shop, "?service=catalog").await["items"].as_array().unwrap().len(), 1);
    assert_eq!(list(&shop, "?service=payments").await["items"], json!([]));

    let replay = |service: &str, id: &Value| format!("{PARKED}/{service}/{id}/replay");
    shop.post(replay("orders", &first["id"]), &json!({})).by(admin).await.expect(204);
    assert_eq!(list(&shop, "").await["items"].as_array().unwrap().len(), 3);
    shop.settle_over_time().await;
    assert_eq!(shop.find_order(orders[0]).await["status"], "paid");
    assert_eq!(shop.find_order(orders[1]).await["status"], "pending");
    // Once it has arrived, there is no such event any more.
    shop.post(replay("orders", &first["id"]), &json!({})).by(admin).await.expect(404);
    let done = shop.post(format!("{PARKED}/orders/replay"), &json!({})).by(admin).await.expect(200);
    assert_eq!(done, json!({ "replayed": 2 }));
    let done = shop.post(format!("{PARKED}/orders/replay"), &json!({})).by(admin).await.expect(200);
    assert_eq!(done, json!({ "replayed": 0 }));
    shop.post(format!("{PARKED}/catalog/replay"), &json!({})).by(admin).await.expect(200);
    shop.settle_over_time().await;
    for order in &orders {
        assert_eq!(shop.find_order(*order).await["status"], "paid");
    }
    shop.audit();
    let noted = "SELECT action, subject, details FROM audit_log WHERE action LIKE 'event%' ORDER BY id";
    let noted = shop.query("orders", noted);
    let wanted = json!([
        ["event.replayed", format!("event/{}", first["id"]), "{}"],
        ["events.replayed", "events/orders", "{\"count\":2}"],
    ]);
    assert_eq!(json!(noted), wanted, "what changed nothing is not noted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_admins_replay_at_once_happens_once() {
    needs_bench!("it cuts off a component");
    let (_script, shop, orders) = with_parked(1).await;
    let admin = shop.admin().await;
    let parked = list(&shop, "?service=orders").await;
    let path = format!("{PARKED}/orders/{}/replay", parked["items"][0]["id"]);
    let answers = join_all((0..8).map(|_| shop.post(path.clone(), &json!({})).by(admin).send())).await;
    let statuses: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().status.as_u16()).collect();
    assert!(statuses.contains(&204), "{statuses:?}");
    assert!(statuses.iter().all(|status| [204, 404].contains(status)), "{statuses:?}");
    shop.post(format!("{PARKED}/catalog/replay"), &json!({})).by(admin).await.expect(200);
    shop.settle_over_time().await;
    assert_eq!(shop.find_order(orders[0]).await["status"], "paid");
    assert_eq!(shop.value("orders", "SELECT count(*) FROM audit_log WHERE action = 'event.replayed'"), 1);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_answer_is_named_and_the_others_are_shown() {
    needs_bench!("it cuts off a component");
    let (script, shop, _) = with_parked(1).await;
    for delay in [None, Some(Duration::from_secs(30))] {
        script.rule(move |call| match (call.phase, delay) {
            (Phase::Before, delay) if call.component == "admin" && call.detail.contains("//orders.spin.internal/") => {
                delay.map_or_else(|| Verdict::Fail("it is down".into()), Verdict::Delay)
            }
            _ => Verdict::Proceed,
        });
        for path in [PARKED, "/api/v1/admin/audit"] {
            let page = shop.get(path).by(shop.admin().await).await.expect(200);
            assert_eq!(page["unavailable"], json!(["orders"]), "{path}");
        }
        let page = list(&shop, "").await;
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
        let replay = shop.post(format!("{PARKED}/orders/replay"), &json!({})).by(shop.admin().await).await;
        assert_problem(&replay, 503, "unavailable", "it may have happened or not");
    }
}

#[tokio::test]
async fn what_is_not_parked_is_not_found() {
    let shop = Shop::start(ShopOptions::default()).await;
    let admin = shop.admin().await;
    for path in ["orders/17/replay", "orders/0/replay", "nobody/17/replay", "nobody/replay", "gateway/replay"] {
        let answer = shop.post(format!("{PARKED}/{path}"), &json!({})).by(admin).await;
        assert_problem(&answer, 404, "not-found", path);
    }
    for (query, field) in [("service=nobody", "service"), ("limit=0", "limit"), ("limit=101", "limit")] {
        let answer = shop.get(format!("{PARKED}?{query}")).by(admin).await;
        assert_invalid(&answer, &[field], query);
    }
    for cursor in ["x", "e30"] {
        let answer = shop.get(format!("{PARKED}?cursor={cursor}")).by(admin).await;
        assert_problem(&answer, 400, "malformed", cursor);
    }
}
