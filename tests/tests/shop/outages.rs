//! A service whose database takes nothing: none of the events that others have for it is to blame.

use std::time::Duration;

use bodega_host::{Phase, Verdict};
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_for_whose_database_is_out_are_held_and_never_parked() {
    needs_bench!("it makes statements fail and moves the clock");
    let script = Script::new();
    let shop = Shop::start(ShopOptions { order_timeout: 48 * HOUR, ..ShopOptions::controlled(script.clone()) }).await;
    let mug = shop.product(5.0, 10).await;
    let ann = shop.customer("ann").await;
    shop.settle().await;
    script.rule(|call| match call.phase {
        // To SQLite it is busy, to Postgres away.
        Phase::Before if call.component == "inventory" && call.detail.starts_with("BEGIN") => {
            Verdict::Fail("the connection is closed, or the database is locked".into())
        }
        _ => Verdict::Proceed,
    });
    let order = shop.place(&ann, mug, 1, None).await;

    let event = shop.value("orders", "SELECT envelope FROM outbox ORDER BY id DESC LIMIT 1");
    let batch = json!([serde_json::from_str::<Value>(event.as_str().unwrap()).unwrap()]);
    let answer = shop.internal("inventory", Method::POST, "/internal/events", Some(&batch)).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")), "{}", answer.text);

    let held = "SELECT failures FROM lanes WHERE subscriber = 'inventory' AND failures > 0";
    eventually(Duration::from_secs(30), "the lane is held", async || !shop.query("orders", held).is_empty()).await;
    for failures in 1..=6 {
        shop.clock.advance(HOUR);
        shop.tick("orders").await;
        let tried = async || shop.value("orders", held).as_i64().unwrap() > failures;
        eventually(Duration::from_secs(30), "it is looked after", tried).await;
    }
    let copies = "SELECT attempts, parked_at FROM deliveries WHERE subscriber = 'inventory'";
    assert_eq!(shop.query("orders", copies), [[json!(0), Value::Null]], "hours later");

    script.clear();
    shop.settle_over_time().await;
    assert_eq!(shop.find_order(order).await["status"], "reserved");
    shop.audit();
}
