//! The whole shop with all its servers, under load, while each of them is killed and brought back. Everything is a program of
//! its own here: the shop, its database if that is Postgres, Redis, Mosquitto, Kafka, the bridge, the trigger.

#![allow(clippy::unwrap_used)]

mod kafka;
mod load;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::TcpStream,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use kafka::{Processor, Sent};
use load::{LAST_ONES, Load, ORDERS};
use redis::{Commands, streams::StreamRangeReply};
use serde_json::Value;
use servers::{Kafka, Mosquitto, Process, Redis, free_port, needs};
use shop_tests::{Inbound, Shop, ShopOptions, eventually, on_postgres, on_spin, postgres, program, say};
use tempfile::TempDir;
use tokio::task::block_in_place;

const SERVICES: [&str; 7] = ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
/// For a shop to come to rest after all that.
const PATIENCE: Duration = Duration::from_secs(180);
/// Signs events of others.
const SECRET: &str = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBrZXk=";

/// A bridge that carries both ways, and both brokers.
struct Bridge {
    directory: TempDir,
    port: u16,
    process: Process,
}

impl Bridge {
    fn start(redis: &Redis, mosquitto: &Mosquitto, kafka: &Kafka) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = format!(
            "[http]\nlisten = '127.0.0.1:{port}'\n[redis]\nurl = '{}'\n[mqtt]\nurl = '{}'\n[kafka]\nbrokers = '{}'\n\
             [redis_to_kafka]\nlease = '1s'\n[mqtt_to_kafka]\nlease = '1s'\ntopics = {:?}\n[kafka_to_redis]\n",
            redis.url(),
            mosquitto.url(),
            kafka.brokers(),
            Vec::from_iter(kafka::topics().into_values().flatten().collect::<BTreeSet<_>>())
        );
        fs::write(directory.path().join("bridge.toml"), config).unwrap();
        let process = run(&directory, port);
        Self { directory, port, process }
    }

    fn kill(&mut self) {
        self.process.kill();
    }

    fn start_again(&mut self) {
        self.process = run(&self.directory, self.port);
    }
}

fn run(directory: &TempDir, port: u16) -> Process {
    let mut command = Command::new(program("bodega-bridge"));
    command.arg("--config").arg(directory.path().join("bridge.toml"));
    let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    Process::start("bodega-bridge", command, directory.path().join("log"), ready)
}

/// Everything but the shop.
struct Servers {
    redis: Redis,
    mosquitto: Mosquitto,
    kafka: Kafka,
    bridge: Bridge,
}

impl Servers {
    fn start() -> Self {
        let (redis, mosquitto, kafka) = (Redis::start(), Mosquitto::start_hasty(), Kafka::start());
        let bridge = Bridge::start(&redis, &mosquitto, &kafka);
        Self { redis, mosquitto, kafka, bridge }
    }

    /// Kills each in the middle of the load, and brings it back when customers have gone on for a while without it.
    async fn kill_all(&mut self, load: &Load) {
        load.some(100).await;
        self.bridge.kill();
        load.some(100).await;
        block_in_place(|| self.bridge.start_again());
        load.some(100).await;
        self.redis.kill();
        load.some(100).await;
        block_in_place(|| self.redis.start_again());
        // One that does not answer is worse than one that is not there.
        load.some(100).await;
        self.redis.pause();
        load.some(100).await;
        self.redis.resume();
        self.poison(load);
        load.outage(|| load.shop.program().start_again()).await;
        load.some(50).await;
        self.kafka.kill();
        load.some(100).await;
        block_in_place(|| self.kafka.start_again());
        load.some(100).await;
        self.mosquitto.kill();
        load.some(100).await;
        block_in_place(|| self.mosquitto.start_again());
        if on_postgres() {
            load.some(100).await;
            load.outage(|| {
                postgres().kill();
                postgres().start_again();
            })
            .await;
        }
        // All that was there at the same time.
        load.some(100).await;
        self.bridge.kill();
        self.redis.kill();
        self.kafka.kill();
        self.mosquitto.kill();
        load.outage(|| load.shop.program().start_again()).await;
        block_in_place(|| {
            self.redis.start_again();
            self.kafka.start_again();
            self.mosquitto.start_again();
            self.bridge.start_again();
        });
    }

    /// What is no event, wherever one may come.
    fn poison(&self, load: &Load) {
        let mut redis = self.connection();
        redis
            .xadd::<_, _, _, _, ()>("bodega:events", "*", &[("event", "no event"), ("topics", "order-events")])
            .unwrap();
        redis.xadd::<_, _, _, _, ()>("bodega:inbound", "*", &[("event", "no event")]).unwrap();
        load.processor().say("payments.events", "order/1", "no event");
    }

    fn connection(&self) -> redis::Connection {
        redis::Client::open(self.redis.url()).unwrap().get_connection().unwrap()
    }

    /// The events of a stream.
    fn stream(&self, name: &str) -> Vec<String> {
        let reply: StreamRangeReply = self.connection().xrange_all(name).unwrap();
        reply.ids.iter().map(|entry| entry.get("event").unwrap_or_default()).collect()
    }
}

/// Spin's trigger ends with its server; somebody starts it again.
async fn supervise(inbound: Arc<Inbound>) {
    loop {
        if inbound.program().has_ended() {
            inbound.program().start_again();
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn count(shop: &Shop, service: &str, sql: &str) -> i64 {
    shop.value(service, sql).as_i64().unwrap()
}

/// Waits for a shop that has nothing left to do.
async fn rest(shop: &Shop) {
    eventually(PATIENCE, "every order is final", async || {
        count(shop, "orders", "SELECT count(*) FROM orders WHERE status IN ('pending', 'reserved')") == 0
    })
    .await;
    eventually(PATIENCE, "every event has arrived", async || {
        SERVICES.iter().all(|service| count(shop, service, "SELECT count(*) FROM deliveries") == 0)
    })
    .await;
    shop.settle().await;
}

fn sent(shop: &Shop) -> Vec<Sent> {
    let of = |service: &str| shop.query(service, "SELECT id, envelope FROM outbox ORDER BY id");
    let sent = |row: Vec<Value>| Sent {
        place: row[0].as_i64().unwrap(),
        envelope: serde_json::from_str(row[1].as_str().unwrap()).unwrap(),
    };
    SERVICES.into_iter().flat_map(of).map(sent).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_ends_and_every_event_is_in_kafka_whoever_is_killed() {
    needs!("redis-server", "mosquitto", "java", "mvn");
    if on_spin() {
        say("SKIPPED on spin: it kills our host");
        return;
    }
    let began = Instant::now();
    let mut servers = block_in_place(Servers::start);
    let variables = [
        ("redis_url", servers.redis.url()),
        ("mqtt_url", servers.mosquitto.url()),
        ("ingest_secret", SECRET.to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let options = ShopOptions { variables: variables.into(), program: true, ..ShopOptions::default() };
    let shop = Shop::start(options).await;
    let variables =
        [("shop_url", shop.url()), ("redis_url", servers.redis.url()), ("ingest_secret", SECRET.to_owned())];
    let variables = BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value)));
    let inbound = Arc::new(Inbound::start_program("inbound-redis", variables).await);
    let supervisor = tokio::spawn(supervise(inbound));
    let load = Load::new(shop, Processor::new(&servers.kafka.brokers())).await;
    let started = Instant::now();
    let customers = load.start();
    servers.kill_all(&load).await;
    for customer in customers {
        customer.await.unwrap();
    }
    load.assert_nobody_was_refused();
    let (killed, loaded) = (Instant::now(), started.elapsed());
    block_in_place(|| load.processor().finish());
    rest(&load.shop).await;
    eventually(PATIENCE, "nothing waits for the shop", async || {
        block_in_place(|| servers.stream("bodega:inbound").is_empty())
    })
    .await;
    load.shop.audit();
    assert_eq!(count(&load.shop, "orders", "SELECT count(*) FROM orders"), ORDERS as i64);
    let paid = count(&load.shop, "orders", "SELECT count(*) FROM orders WHERE status = 'paid'");
    // Six of ten are charged and one is paid elsewhere; of the last ones each order takes two.
    assert_eq!(paid, (ORDERS * 7 / 10) as i64 + i64::from(LAST_ONES / 2));
    let sent = sent(&load.shop);
    let records = block_in_place(|| kafka::assert_has_all(&servers.kafka.brokers(), &sent));
    // Poison is put aside, and nothing else is.
    assert_eq!(servers.stream("bodega:events:dead"), ["no event"]);
    let mut dead = servers.stream("bodega:inbound:dead");
    dead.dedup();
    assert_eq!(dead, ["no event"]);
    supervisor.abort();
    say(&format!(
        "{ORDERS} orders, {} events, {records} records in Kafka: started in {:?}, loaded in {loaded:?}, at rest after {:?} more, in all {:?}",
        sent.len(),
        started - began,
        killed.elapsed(),
        began.elapsed()
    ));
}
