//! Kills at every call of a purchase whose events leave the shop, and of a payment that comes from outside.

use std::collections::BTreeSet;

use redis::Commands;
use servers::{Redis, needs};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_leave_the_shop_whoever_is_killed_on_the_way() {
    needs_bench!("it kills instances");
    needs!("redis-server");
    let redis = Redis::start();
    let options = ShopOptions { variables: [("redis_url".into(), redis.url())].into(), ..ShopOptions::default() };
    let world = World::with(None, options).await;
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let act = async |round, (): &()| place_then_pay(&world, round).await;
    let check = |rounds, (): &()| world.assert_counts(rounds, rounds, 0, rounds);
    // Of the calls of the purchase itself others kill at every one.
    at_every_call("place, then pay, with a broker", &world, 5, async |_| (), act, check).await;
    let mut sent = BTreeSet::new();
    for service in ["accounts", "carts", "catalog", "inventory", "orders", "payments"] {
        let ids = world.shop.query(service, "SELECT event_id FROM outbox").concat();
        sent.extend(ids.into_iter().map(|id| id.as_str().unwrap().to_owned()));
    }
    let stream: redis::streams::StreamRangeReply = connection.xrange_all("bodega:events").unwrap();
    let arrived: BTreeSet<_> = stream
        .ids
        .iter()
        .map(|entry| serde_json::from_str::<Value>(&entry.get::<String>("event").unwrap()).unwrap()["eventId"].clone())
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(arrived, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_payment_survives_a_kill_at_every_call() {
    needs_bench!("it kills instances");
    let world = World::with(None, ingest::options()).await;
    let prepare = async |round: usize| {
        let order = world.place(&format!("place {round}"), None).await;
        world.shop.settle_over_time().await;
        order
    };
    let act = async |round: usize, order: &i64| {
        let event = ingest::payment(&format!("psp-{round}"), "PAYMENT_SUCCEEDED", *order, 5.0);
        // A consumer repeats an event until it is taken, and now and then once more.
        for _ in 0..2 {
            world.persist(ingest::signed(&world.shop, &event)).await;
        }
        world.shop.settle_over_time().await;
        assert_eq!(world.status(*order), "paid");
    };
    let check = |rounds, _: &i64| {
        let entries = world.shop.value("payments", "SELECT count(*) FROM ledger");
        assert_eq!(entries, 2 * rounds);
        assert_eq!(world.approved("charge/"), 0);
    };
    at_every_call("an external payment", &world, 1, prepare, act, check).await;
}
