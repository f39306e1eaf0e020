//! Events of others that come by a broker: what waits in Redis, or comes by MQTT, is handed to the shop until it is seen to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bodega_host::{Control, HostCall, Phase, Verdict};
use futures::future::join_all;
use hmac_sha256::Hash;
use redis::{Commands, Connection, streams::StreamRangeReply};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use serde_json::{Value, json};
use servers::{Mosquitto, Redis, needs};
use shop_tests::{Customer, Inbound, Script, Shop, ShopOptions, eventually, needs_bench};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::{
    events::is_delivery,
    ingest::{self, payment},
};

const STREAM: &str = "bodega:inbound";
const DEAD: &str = "bodega:inbound:dead";
const LEASE: &str = "bodega:inbound:lease";
const PATIENCE: Duration = Duration::from_secs(30);

/// A shop that takes events, and a server where they wait.
struct Bench {
    redis: Redis,
    connection: Connection,
    shop: Shop,
    script: Arc<Script>,
    ann: Customer,
    mug: i64,
}

impl Bench {
    async fn open() -> Self {
        let redis = Redis::start();
        let connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
        let script = Script::new();
        let shop = Shop::start(ShopOptions { control: Some(script.clone()), ..ingest::options() }).await;
        let ann = shop.customer("ann").await;
        let mug = shop.product(5.0, 500).await;
        Self { redis, connection, shop, script, ann, mug }
    }

    /// An order of 10.00 whose stock is reserved.
    async fn order(&self) -> i64 {
        let order = self.shop.place(&self.ann, self.mug, 2, None).await;
        self.shop.wait_for(order, "reserved").await;
        order
    }

    async fn trigger(&self, control: Option<Arc<dyn Control>>) -> Inbound {
        let variables = variables(&self.shop, [("redis_url", self.redis.url())]);
        Inbound::start("inbound-redis", variables, &self.shop.clock, control).await
    }

    fn add(&mut self, event: &str) {
        let fields = [("event", event), ("origin", "payments.events/0/15")];
        self.connection.xadd::<_, _, _, _, ()>(STREAM, "*", &fields).unwrap();
    }

    fn nudge(&mut self) {
        self.connection.publish::<_, _, ()>(STREAM, STREAM).unwrap();
    }

    fn waiting(&mut self) -> usize {
        self.connection.xlen(STREAM).unwrap()
    }

    /// Nudges, as the bridge does each second, until nothing waits.
    async fn drain(&mut self) {
        eventually(PATIENCE, "everything is seen to", async || {
            self.nudge();
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.waiting() == 0
        })
        .await;
    }

    fn dead(&mut self) -> Vec<BTreeMap<String, String>> {
        let reply: StreamRangeReply = self.connection.xrange_all(DEAD).unwrap();
        let text = |value| redis::from_redis_value_ref(value).unwrap();
        let read = |(field, value): (&String, _)| (field.clone(), text(value));
        reply.ids.iter().map(|entry| entry.map.iter().map(read).collect()).collect()
    }

    /// Fails unless the order has its money once.
    async fn assert_paid_once(&self, order: i64) {
        self.shop.wait_for(order, "paid").await;
        let entries = format!("SELECT account, amount FROM ledger WHERE order_id = {order} ORDER BY id");
        let entries = self.shop.query("payments", &entries);
        assert_eq!(entries.len(), 2, "{entries:?}");
    }
}

fn variables<const N: usize>(shop: &Shop, others: [(&str, String); N]) -> BTreeMap<String, String> {
    let own = [("shop_url", shop.url()), ("ingest_secret", ingest::secret())];
    own.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn succeeded(order: i64) -> String {
    payment(&format!("psp-{order}"), "PAYMENT_SUCCEEDED", order, 10.0).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_that_came_before_the_trigger_settle_their_orders() {
    needs!("redis-server");
    let mut bench = Bench::open().await;
    let orders = [bench.order().await, bench.order().await];
    for order in orders {
        bench.add(&succeeded(order));
        // The second one is a repetition.
        bench.add(&succeeded(order));
    }
    // Nobody hears it.
    bench.nudge();
    let _inbound = bench.trigger(None).await;
    bench.drain().await;
    for order in orders {
        bench.assert_paid_once(order).await;
    }
    assert_eq!(bench.dead(), []);
    let pending: redis::streams::StreamPendingReply = bench.connection.xpending(STREAM, "bodega").unwrap();
    assert_eq!(pending.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shop_refuses_is_put_aside_and_holds_up_nobody() {
    needs!("redis-server");
    needs_bench!("a service that cannot be reached");
    let mut bench = Bench::open().await;
    let (order, other) = (bench.order().await, bench.order().await);
    // One without its stock, which the shop cannot settle yet.
    bench.script.rule(|call| match call.phase {
        Phase::Before if is_delivery(call, "inventory") => Verdict::Fail("it is down".into()),
        _ => Verdict::Proceed,
    });
    let early = bench.shop.place(&bench.ann, bench.mug, 2, None).await;
    let too_little = payment("psp-little", "PAYMENT_SUCCEEDED", other, 9.99).to_string();
    bench.add(&succeeded(early));
    bench.add("no event");
    bench.add(&too_little);
    bench.connection.xadd::<_, _, _, _, ()>(STREAM, "*", &[("something", "else")]).unwrap();
    bench.add(&succeeded(order));
    let _inbound = bench.trigger(None).await;
    bench.nudge();
    bench.assert_paid_once(order).await;
    eventually(PATIENCE, "one is left", async || bench.waiting() == 1).await;
    let dead = bench.dead();
    let of = |field: &str| dead.iter().map(|letter| letter.get(field).cloned().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(of("event"), ["no event", &too_little, ""]);
    assert_eq!(of("origin"), ["payments.events/0/15", "payments.events/0/15", ""]);
    for (reason, status) in of("reason").iter().zip(["400 ", "422 ", "400 "]) {
        assert!(reason.starts_with(status), "{reason}");
    }
    // When it has its stock it gets its money.
    bench.script.clear();
    bench.shop.settle().await;
    bench.drain().await;
    bench.assert_paid_once(early).await;
    assert_eq!(bench.dead().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shop_fails_over_is_tried_sixty_times_and_then_put_aside() {
    needs!("redis-server");
    needs_bench!("it kills instances");
    let mut bench = Bench::open().await;
    let (order, other) = (bench.order().await, bench.order().await);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    bench.script.rule(move |call| {
        if call.phase == Phase::Before && call.detail.ends_with("/internal/external-payments") {
            count.fetch_add(1, Ordering::SeqCst);
            return Verdict::Kill;
        }
        Verdict::Proceed
    });
    bench.add(&succeeded(order));
    let _inbound = bench.trigger(None).await;
    bench.drain().await;
    assert_eq!(asked.load(Ordering::SeqCst), 60);
    let dead = bench.dead();
    assert_eq!((dead.len(), &dead[0]["event"]), (1, &succeeded(order)));
    assert!(dead[0]["reason"].starts_with("500 "), "{dead:?}");
    bench.script.clear();
    bench.add(&succeeded(other));
    bench.drain().await;
    bench.assert_paid_once(other).await;
    // Somebody has looked at it.
    bench.add(&succeeded(order));
    bench.drain().await;
    bench.assert_paid_once(order).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_wait_while_the_shop_is_away_or_knows_another_secret() {
    needs!("redis-server");
    let mut bench = Bench::open().await;
    let order = bench.order().await;
    bench.add(&succeeded(order));
    let wrong = [("shop_url", "http://127.0.0.1:9".to_owned()), ("ingest_secret", "whsec_d3Jvbmc=".to_owned())];
    for (name, value) in wrong {
        let mut variables = variables(&bench.shop, [("redis_url", bench.redis.url())]);
        variables.insert(name.to_owned(), value);
        let _inbound = Inbound::start("inbound-redis", variables, &bench.shop.clock, None).await;
        // Each time it is given to somebody, and the lease is given back.
        let given = async |bench: &mut Bench| {
            bench.nudge();
            let times =
                |reply: &redis::streams::StreamPendingCountReply| reply.ids.first().map(|id| id.times_delivered);
            let pending = bench.connection.xpending_count(STREAM, "bodega", "-", "+", 1);
            (pending.ok().as_ref().and_then(times), bench.connection.exists::<_, bool>(LEASE).unwrap())
        };
        let (before, _) = given(&mut bench).await;
        eventually(PATIENCE, "it is tried again", async || {
            let (times, held) = given(&mut bench).await;
            times > before && !held
        })
        .await;
        assert_eq!((bench.waiting(), bench.dead().len()), (1, 0));
    }
    let _inbound = bench.trigger(None).await;
    bench.drain().await;
    bench.assert_paid_once(order).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_triggers_settle_each_order_once() {
    needs!("redis-server");
    let mut bench = Bench::open().await;
    let orders = join_all((0..20).map(|_| bench.order())).await;
    let _triggers = [bench.trigger(None).await, bench.trigger(None).await];
    for order in &orders {
        bench.add(&succeeded(*order));
        bench.nudge();
    }
    bench.drain().await;
    for order in orders {
        bench.assert_paid_once(order).await;
    }
    assert_eq!(bench.dead(), []);
}

/// Kills the instance at the call with this number, and none after it.
struct KillAt(AtomicI64, Phase);

impl Control for KillAt {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        if call.phase != self.1 {
            return Verdict::Proceed;
        }
        match self.0.fetch_sub(1, Ordering::SeqCst) {
            0 => Verdict::Kill,
            _ => Verdict::Proceed,
        }
    }
}

/// Each call is before or after something that the other side does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_seen_to_though_the_trigger_dies_at_any_call() {
    needs!("redis-server");
    needs_bench!("it kills instances");
    let mut bench = Bench::open().await;
    for phase in [Phase::Before, Phase::After] {
        for number in 0.. {
            let order = bench.order().await;
            bench.add(&succeeded(order));
            let kill = Arc::new(KillAt(number.into(), phase));
            let _inbound = bench.trigger(Some(kill.clone())).await;
            let alive = || kill.0.load(Ordering::SeqCst) >= 0;
            bench.nudge();
            eventually(PATIENCE, "it is killed, or done", async || !alive() || bench.waiting() == 0).await;
            let over = alive();
            // The lease of a dead one runs out.
            bench.connection.del::<_, ()>(LEASE).unwrap();
            bench.drain().await;
            bench.assert_paid_once(order).await;
            if over {
                assert!(number > 5, "it was killed {number} times");
                break;
            }
        }
    }
    assert_eq!(bench.dead(), []);
}

/// Whatever is published on the topics.
async fn listen(broker: &Mosquitto, topics: &[&str]) -> (AsyncClient, UnboundedReceiver<(String, String)>) {
    let (client, mut events) = AsyncClient::new(MqttOptions::new("bridge", "127.0.0.1", broker.port()), 100);
    for topic in topics {
        client.subscribe(*topic, QoS::AtLeastOnce).await.unwrap();
    }
    let (sender, heard) = unbounded_channel();
    let mut subscribed = 0;
    while subscribed < topics.len() {
        subscribed += usize::from(matches!(events.poll().await.unwrap(), Event::Incoming(Incoming::SubAck(_))));
    }
    tokio::spawn(async move {
        while let Ok(event) = events.poll().await {
            if let Event::Incoming(Incoming::Publish(message)) = event {
                let text = String::from_utf8(message.payload.to_vec()).unwrap();
                // A test that has heard enough is gone.
                _ = sender.send((message.topic, text));
            }
        }
    });
    (client, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_comes_by_mqtt_it_is_said_when_it_has_been_seen_to() {
    needs!("mosquitto");
    let mosquitto = Mosquitto::start();
    let shop = Shop::start(ingest::options()).await;
    let (ann, mug) = (shop.customer("ann").await, shop.product(5.0, 10).await);
    let order = shop.place(&ann, mug, 2, None).await;
    shop.wait_for(order, "reserved").await;
    let (bridge, mut heard) = listen(&mosquitto, &["bodega/inbound/done", "bodega/inbound/dead"]).await;
    let _inbound =
        Inbound::start("inbound-mqtt", variables(&shop, [("mqtt_url", mosquitto.url())]), &shop.clock, None).await;
    let name = |event: &str| Hash::hash(event.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let publish = async |event: &str| {
        bridge.publish("bodega/inbound", QoS::AtLeastOnce, false, event).await.unwrap();
    };
    let mut next = async || tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    let event = succeeded(order);
    for _ in 0..2 {
        publish(&event).await;
        assert_eq!(next().await, ("bodega/inbound/done".into(), name(&event)));
    }
    let paid = shop.wait_for(order, "paid").await;
    assert_eq!(paid["total"], 10.0);
    assert_eq!(shop.value("payments", &format!("SELECT count(*) FROM ledger WHERE order_id = {order}")), 2);
    publish("no event").await;
    let (topic, letter) = next().await;
    let letter: Value = serde_json::from_str(&letter).unwrap();
    assert_eq!((&topic[..], &letter["event"]), ("bodega/inbound/dead", &json!("no event")));
    assert!(letter["reason"].as_str().unwrap().starts_with("400 "), "{letter}");
    assert_eq!(next().await, ("bodega/inbound/done".into(), name("no event")));
}
