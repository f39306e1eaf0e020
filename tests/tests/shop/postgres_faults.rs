//! Postgres at its worst: a transaction that nobody ends, writers that conflict, a server that is killed, no connections.

use std::{
    collections::BTreeSet,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use futures::future::{join, join_all};
use postgres::{Client, NoTls};
use serde_json::json;
use servers::Postgres;
use shop_tests::{Answer, Script, Shop, ShopOptions, eventually, needs_bench, on_postgres};

const PATIENCE: Duration = Duration::from_secs(60);
const ITEMS: &str = "/api/v1/carts/me/items";
const SERVICES: [&str; 7] = ["accounts", "catalog", "inventory", "carts", "orders", "payments", "notifications"];

/// What may be said instead of doing it: come again.
#[track_caller]
fn is_put_off(answer: &Answer) -> bool {
    if answer.status == 503 {
        assert!(answer.header("retry-after").is_some(), "{}", answer.text);
    }
    answer.status == 503
}

/// A server of its own, whose one database has a schema for each service; the shop is not its superuser.
fn server() -> (Postgres, ShopOptions) {
    let server = Postgres::start();
    ask(&server, "postgres", "CREATE ROLE shop LOGIN");
    ask(&server, "postgres", "CREATE DATABASE shop OWNER shop");
    let schemas = SERVICES.map(|service| format!("CREATE SCHEMA {service} AUTHORIZATION shop;"));
    ask(&server, "shop", &schemas.concat());
    let url = server.url("shop").replace("bodega@", "shop@");
    let variable = |service| (format!("{service}_database_url"), format!("{url}?options=-c%20search_path%3D{service}"));
    (server, ShopOptions { variables: SERVICES.map(variable).into(), ..ShopOptions::default() })
}

/// The one number that the last statement has for an answer, or 0.
fn ask(server: &Postgres, database: &str, sql: &str) -> i64 {
    let url = server.url(database);
    // Not on a thread that serves others: the client waits by blocking.
    let work = || {
        let mut client = Client::connect(&url, NoTls).unwrap();
        if !sql.starts_with("SELECT") {
            client.batch_execute(sql).unwrap();
            return 0;
        }
        client.query_one(sql, &[]).unwrap().get(0)
    };
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_transaction_has_half_done_is_never_seen_and_nobody_commits_it() {
    needs_bench!("it kills instances");
    if !on_postgres() {
        return;
    }
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let mug = shop.product(5.0, 100).await;
    let ann = shop.customer("ann").await;
    let mut placed = 1;
    shop.place(&ann, mug, 1, None).await;
    shop.settle().await;
    for last in ["INSERT INTO orders", "INSERT INTO order_history", "WITH written", "COMMIT"] {
        let (inside, killed) = (Mutex::new(BTreeSet::new()), Arc::new(AtomicBool::new(false)));
        let told = killed.clone();
        script.rule(move |call| {
            if call.component != "orders" || killed.load(Ordering::SeqCst) {
                return Verdict::Proceed;
            }
            let mut inside = inside.lock().unwrap();
            if call.detail.starts_with("INSERT INTO orders") {
                inside.insert(call.instance);
            }
            // Before the COMMIT, after anything else.
            let phase = if last == "COMMIT" { Phase::Before } else { Phase::After };
            if call.phase == phase && call.detail.starts_with(last) && inside.contains(&call.instance) {
                killed.store(true, Ordering::SeqCst);
                return Verdict::Kill;
            }
            Verdict::Proceed
        });
        let answer = shop.order(&ann, mug, 1, None).send().await;
        assert!(told.load(Ordering::SeqCst), "nobody was killed at {last}");
        assert!(!answer.is_ok_and(|answer| answer.status.is_success()), "it has died at {last}");
        script.clear();
        let seen = shop.get("/api/v1/orders").by(&ann).await.expect(200);
        assert_eq!(seen["items"].as_array().unwrap().len(), placed, "{last}");
        // All at once they are given the connections of the pool, also that of the dead.
        for answer in join_all((0..4).map(|_| shop.order(&ann, mug, 1, None).into_future())).await {
            answer.expect(201);
            placed += 1;
        }
        assert_eq!(shop.value("orders", "SELECT count(*) FROM orders"), placed, "{last}");
        shop.settle().await;
    }
    assert_eq!(shop.value("orders", "SELECT count(*) FROM orders WHERE status = 'reserved'"), placed);
    assert_eq!(shop.value("inventory", "SELECT reserved FROM stock"), placed);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_in_conflict_are_exact_and_who_cannot_write_is_told_to_come_again() {
    needs_bench!("it reads the database of a shop that runs");
    if !on_postgres() {
        return;
    }
    let shop = Shop::start(ShopOptions { max_instance_reuse: Some(4), ..ShopOptions::default() }).await;
    let mug = shop.product(5.0, 1000).await;
    let ann = shop.customer("ann").await;
    let item = json!({ "productId": mug, "quantity": 1 });
    let add = || shop.post(ITEMS, &item).by(&ann).into_future();
    add().await.expect(200);
    let quantity = async || shop.get("/api/v1/carts/me").by(&ann).await.expect(200)["items"][0]["quantity"].clone();

    // The number of the write lock.
    let lock = "carts"
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let lock = lock.cast_signed();
    shop.tamper("carts", &format!("SELECT pg_advisory_lock({lock})"));
    let (refused, read) = join(join_all([add(), add()]), quantity()).await;
    assert!(refused.iter().all(is_put_off), "somebody else writes all the time");
    assert_eq!(read, 1, "who reads waits for nobody");
    shop.tamper("carts", &format!("SELECT pg_advisory_unlock({lock})"));

    // Once in a transaction, a statement that waits for a row gives up as well.
    shop.tamper("carts", "BEGIN; SELECT 1 FROM carts FOR UPDATE");
    assert!(is_put_off(&add().await), "somebody has the row");
    shop.tamper("carts", "ROLLBACK");
    assert_eq!(quantity().await, 1);

    let answers = join_all((0..60).map(|_| add())).await;
    let added = answers.iter().filter(|answer| !is_put_off(answer)).inspect(|answer| assert_eq!(answer.status, 200));
    assert_eq!(quantity().await, 1 + added.count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_under_load_takes_nothing_with_it_that_was_acknowledged() {
    needs_bench!("it ticks");
    if !on_postgres() {
        return;
    }
    let (mut server, options) = server();
    let shop = Shop::start(options).await;
    let mug = shop.product(5.0, 100_000).await;
    let ann = shop.customer("ann").await;
    let (placed, put_off, enough) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let ids = Mutex::new(BTreeSet::new());
    // Each wants one order after the other, and asks for it until it has it.
    let customer = async |number: usize| {
        for turn in 0.. {
            let key = format!("{number}/{turn}");
            loop {
                let answer = shop.order(&ann, mug, 1, None).key(&key).await;
                if !is_put_off(&answer) {
                    assert!(ids.lock().unwrap().insert(answer.expect(201)["id"].as_i64().unwrap()), "one for each key");
                    break;
                }
                put_off.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            placed.fetch_add(1, Ordering::SeqCst);
            if enough.load(Ordering::SeqCst) {
                return;
            }
        }
    };
    let outages = async {
        for round in 1..=2 {
            let more = async || placed.load(Ordering::SeqCst) >= 40 * round;
            eventually(PATIENCE, "orders are placed", more).await;
            let before = put_off.load(Ordering::SeqCst);
            tokio::task::block_in_place(|| server.kill());
            eventually(PATIENCE, "somebody is put off", async || put_off.load(Ordering::SeqCst) > before + 4).await;
            tokio::task::block_in_place(|| server.start_again());
        }
        let more = async || placed.load(Ordering::SeqCst) >= 120;
        eventually(PATIENCE, "orders are placed again", more).await;
        enough.store(true, Ordering::SeqCst);
    };
    join(join_all((0..6).map(customer)), outages).await;

    let ids = ids.into_inner().unwrap();
    let all = i64::try_from(ids.len()).unwrap();
    assert_eq!(ask(&server, "shop", "SELECT count(*) FROM orders.orders"), all);
    let reserved = "SELECT count(*) FROM orders.orders WHERE status = 'reserved'";
    eventually(PATIENCE, "each has its piece", async || {
        shop.tick_all().await;
        shop.clock.advance(Duration::from_secs(1));
        ask(&server, "shop", reserved) == all
    })
    .await;
    assert_eq!(ask(&server, "shop", "SELECT reserved FROM inventory.stock"), all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_connection_is_put_off_and_later_all_is_well() {
    needs_bench!("it reads the database of a shop that runs");
    if !on_postgres() {
        return;
    }
    let (server, options) = server();
    let shop = Shop::start(ShopOptions { max_instance_reuse: Some(8), ..options }).await;
    let mug = shop.product(5.0, 1000).await;
    let ann = shop.customer("ann").await;
    let item = json!({ "productId": mug, "quantity": 1 });
    let add = || shop.post(ITEMS, &item).by(&ann).into_future();
    let read = || shop.get(format!("/api/v1/products/{mug}")).into_future();
    add().await.expect(200);
    let limit = |connections: i32| {
        ask(&server, "shop", &format!("ALTER ROLE shop CONNECTION LIMIT {connections}"));
        ask(&server, "shop", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'shop'")
    };

    limit(0);
    for answer in join_all([read(), add(), read(), add()]).await {
        assert!(is_put_off(&answer), "{}: {}", answer.status, answer.text);
    }
    let mut added = 1;
    limit(4);
    for _ in 0..3 {
        for answer in join_all((0..40).map(|number| if number % 2 == 0 { read() } else { add() })).await {
            if !is_put_off(&answer) {
                added += usize::from(answer.expect(200)["items"].is_array());
            }
        }
    }
    limit(-1);
    for _ in 0..20 {
        read().await.expect(200);
        add().await.expect(200);
        added += 1;
    }
    let cart = shop.get("/api/v1/carts/me").by(&ann).await.expect(200);
    assert_eq!(cart["items"][0]["quantity"], added, "each once that was told so, and nobody else");
}
