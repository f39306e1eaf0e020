//! How counted requests are written down: not for who is refused, and whatever happens to the instance or the database.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bodega_host::{HostCall, Phase, Verdict};
use futures::future::join_all;
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

use crate::metrics::{PATIENCE, SETTLED, SHOWN, assert_counted, scrape};

const FLUSH: &str = "INSERT INTO request_counts (id, counted_at, counts) VALUES ($1, $2";

fn is_flush(call: &HostCall<'_>) -> bool {
    call.component == "catalog" && call.detail.starts_with(FLUSH)
}

async fn visit(shop: &Shop, times: usize) {
    for _ in 0..times {
        shop.get("/api/v1/products/4711").await.expect(404);
    }
}

/// How many requests of a route catalog has written down.
fn written(shop: &Shop, route: &str) -> u64 {
    let rows = shop.query("catalog", "SELECT counts FROM request_counts");
    let counted =
        rows.iter().flat_map(|row| serde_json::from_str::<Vec<serde_json::Value>>(row[0].as_str().unwrap()).unwrap());
    let of_route = counted.filter(|counted| counted["route"] == route);
    of_route
        .flat_map(|counted| counted["buckets"].as_array().unwrap().clone())
        .map(|bucket| bucket.as_u64().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_has_the_database_write_nothing() {
    needs_bench!("it looks at statements");
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let script = Script::new();
    let variables = [("rate_limit_max", "5".to_owned()), ("rate_limit_window_ms", DAY.to_string())];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::controlled(script.clone()) }).await;
    visit(&shop, 4).await;
    eventually(PATIENCE, "what was served is written down", async || written(&shop, SHOWN) == 4).await;
    script.record();
    shop.get("/api/v1/products/1/nowhere").await.expect(404);
    for _ in 0..40 {
        shop.get("/api/v1/products/4711").await.expect(429);
    }
    let flushes: Vec<_> = script.recorded().into_iter().filter(|seen| seen.detail.starts_with(FLUSH)).collect();
    assert!(flushes.is_empty(), "{flushes:?}");
    shop.clock.advance(Duration::from_millis(DAY));
    shop.get("/api/v1/products/1/nowhere").await.expect(404);
    visit(&shop, 1).await;
    eventually(PATIENCE, "it goes with what is served", async || written(&shop, "unmatched") > 0).await;
}

/// Half of the attempts to write fail before they have an effect, and half after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_down_at_once_is_neither_lost_nor_twice() {
    needs_bench!("it makes writing fail");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let failures = Arc::new(AtomicUsize::new(0));
    let told = failures.clone();
    script.rule(move |call| {
        if !is_flush(call) || told.load(Ordering::SeqCst) >= 6 {
            return Verdict::Proceed;
        }
        let late = told.load(Ordering::SeqCst) % 2 == 1;
        if (call.phase == Phase::After) == late {
            told.fetch_add(1, Ordering::SeqCst);
            let error = if told.load(Ordering::SeqCst) < 4 { "it broke" } else { "database is locked" };
            return Verdict::Fail(error.into());
        }
        Verdict::Proceed
    });
    for _ in 0..3 {
        visit(&shop, 10).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_counted(&shop, &[("route", SHOWN)], 30).await;
    assert!(failures.load(Ordering::SeqCst) >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_instance_loses_at_most_what_it_had_in_memory() {
    needs_bench!("it kills instances");
    for (phase, kept) in [(Phase::Before, 0), (Phase::After, 1)] {
        let script = Script::new();
        let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
        let killed = Arc::new(AtomicUsize::new(0));
        let kills = killed.clone();
        script.rule(move |call| {
            if is_flush(call) && call.phase == phase && kills.fetch_add(1, Ordering::SeqCst) == 0 {
                return Verdict::Kill;
            }
            Verdict::Proceed
        });
        // It may take its answer with it.
        let answer = shop.get("/api/v1/products/4711").await;
        assert!([404, 500].contains(&answer.status.as_u16()), "{}", answer.text);
        eventually(PATIENCE, "an instance is killed", async || killed.load(Ordering::SeqCst) > 0).await;
        assert_counted(&shop, &[("route", SHOWN)], kept).await;
        visit(&shop, 5).await;
        assert_counted(&shop, &[("route", SHOWN)], kept + 5).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_added_up_and_the_sum_is_the_same_all_the_time() {
    needs_bench!("it moves the clock");
    let shop = Shop::start(ShopOptions { max_instance_reuse: Some(1), ..ShopOptions::default() }).await;
    let rows = || shop.value("catalog", "SELECT count(*) FROM request_counts").as_i64().unwrap();
    for round in 1..=2 {
        join_all((0..10).map(|_| visit(&shop, 10))).await;
        assert_counted(&shop, &[("route", SHOWN)], round * 100).await;
        assert!(rows() >= 100, "each of these instances has written a row: {}", rows());
        shop.clock.advance(SETTLED);
        let watch = async {
            for _ in 0..20 {
                let seen = scrape(&shop).await.requests(&[("route", SHOWN)]);
                assert!((seen - 100.0 * f64::from(u32::try_from(round).unwrap())).abs() < 0.5, "{seen}");
            }
        };
        let ticks = async {
            for _ in 0..3 {
                join_all((0..4).map(|_| shop.tick("catalog"))).await;
            }
        };
        futures::future::join(watch, ticks).await;
        assert!(rows() < 64, "{}", rows());
    }
}
