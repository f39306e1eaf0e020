//! Events leave the shop, to real brokers: all of them, in order per subject, and no customer waits for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bodega_host::{Phase, Verdict};
use redis::{Commands, streams::StreamRangeReply};
use reqwest::Method;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use serde_json::{Value, json};
use servers::{Mosquitto, RabbitMq, Redis, free_port, needs};
use shop_tests::{Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::events::is_delivery;

const SERVICES: [&str; 7] = ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
const PATIENCE: Duration = Duration::from_secs(30);

async fn open(script: &Arc<Script>, variables: &[(&str, String)]) -> (Shop, Customer, i64) {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::controlled(script.clone()) }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 8).await;
    (shop, ann, mug)
}

/// What is in the outboxes, one after the other, each in its order.
fn sent(shop: &Shop) -> Vec<Value> {
    let rows = SERVICES.map(|service| shop.query(service, "SELECT envelope FROM outbox ORDER BY id")).concat();
    rows.iter().map(|row| serde_json::from_str(row[0].as_str().unwrap()).unwrap()).collect()
}

/// One of each way that an order goes.
async fn several_orders(shop: &Shop, ann: &Customer, mug: i64) {
    let paid = shop.place(ann, mug, 2, Some("tok_visa")).await;
    shop.wait_for(paid, "paid").await;
    let declined = shop.place(ann, mug, 1, Some("tok_declined")).await;
    shop.wait_for(declined, "failed").await;
    let too_many = shop.place(ann, mug, 1000, None).await;
    shop.wait_for(too_many, "failed").await;
    // So that few are left.
    let last = shop.place(ann, mug, 6, Some("tok_visa")).await;
    shop.wait_for(last, "paid").await;
    shop.cancel(ann, paid).await.expect(200);
}

/// The stream, oldest first, each entry once.
fn stream(redis: &Redis, name: &str) -> Vec<BTreeMap<String, String>> {
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let reply: StreamRangeReply = connection.xrange_all(name).unwrap();
    let read = |entry: &redis::streams::StreamId| {
        entry.map.iter().map(|(field, value)| (field.clone(), redis::from_redis_value_ref(value).unwrap())).collect()
    };
    reply.ids.iter().map(read).collect()
}

/// Fails unless `json` is what its event's schema says.
fn assert_fits(json: &Value) {
    let event = json["eventType"].as_str().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/events/{event}.schema.json"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let wrong: Vec<_> =
        validator.iter_errors(json).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{json}: {wrong:?}");
}

/// Where an event stands in what was [`sent`].
fn place(sent: &[Value], json: &Value) -> Option<usize> {
    sent.iter().position(|envelope| envelope["eventId"] == json["eventId"])
}

/// Fails unless these are exactly the events that were [`sent`], as they stood in the outboxes.
fn assert_complete(sent: &[Value], arrived: &[Value]) {
    let places: BTreeSet<_> =
        arrived.iter().map(|json| place(sent, json).unwrap_or_else(|| panic!("nobody sent {json}"))).collect();
    assert_eq!(places, (0..sent.len()).collect(), "all of them");
    for json in arrived {
        let envelope = &sent[place(sent, json).unwrap()];
        for (field, value) in envelope.as_object().unwrap() {
            assert_eq!(&json[field], value, "{field}");
        }
        assert_eq!((&json["id"], &json["type"]), (&json["eventId"], &json["eventType"]));
        assert_eq!(json["source"], format!("/bodega/{}", json["producer"].as_str().unwrap()));
        assert_fits(json);
    }
}

/// Fails unless what each service says of a subject comes in the order in which it was said.
fn assert_in_order(sent: &[Value], arrived: &[Value]) {
    let mut last: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for json in arrived.iter().filter(|json| seen.insert(json["eventId"].to_string())) {
        let place = place(sent, json).unwrap();
        let before = last.insert((json["producer"].as_str().unwrap(), json["subject"].as_str().unwrap()), place);
        assert!(before.is_none_or(|before| before < place), "{json} comes late");
    }
}

fn jsons(entries: &[BTreeMap<String, String>]) -> Vec<Value> {
    entries.iter().map(|entry| serde_json::from_str(&entry["event"]).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_of_a_purchase_is_in_the_stream_as_in_the_outbox() {
    needs!("redis-server");
    let redis = Redis::start();
    let (shop, ann, mug) = open(&Script::new(), &[("redis_url", redis.url())]).await;
    several_orders(&shop, &ann, mug).await;
    shop.settle().await;
    let entries = stream(&redis, "bodega:events");
    let arrived = jsons(&entries);
    assert_complete(&sent(&shop), &arrived);
    assert_in_order(&sent(&shop), &arrived);
    for (entry, json) in entries.iter().zip(&arrived) {
        assert_eq!((&json!(entry["type"]), &json!(entry["subject"])), (&json["eventType"], &json["subject"]));
    }
    let placed = entries.iter().find(|entry| entry["type"] == "ORDER_PLACED").unwrap();
    assert_eq!(placed["topics"], "order-events order.placed");
    let low = stream(&redis, "inventory:low-stock:stream");
    assert!(!low.is_empty() && low.iter().all(|entry| entry["type"] == "STOCK_LOW"), "{low:?}");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_on_a_channel_hears_its_events() {
    needs!("redis-server");
    let redis = Redis::start();
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let listening = tokio::task::spawn_blocking(move || {
        let mut listener = connection.as_pubsub();
        listener.set_read_timeout(Some(PATIENCE)).unwrap();
        let channels = ["order.placed", "inventory:low-stock", "inventory_failed", "user-events"];
        listener.subscribe(&channels).unwrap();
        let mut missing: BTreeSet<_> = channels.into();
        while !missing.is_empty() {
            let message = listener.get_message().unwrap();
            let json: Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
            let topics = model_topics(&json);
            assert!(topics.contains(message.get_channel_name()), "{json} on {}", message.get_channel_name());
            missing.remove(message.get_channel_name());
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (shop, ann, mug) = open(&Script::new(), &[("redis_url", redis.url())]).await;
    several_orders(&shop, &ann, mug).await;
    listening.await.unwrap();
    shop.settle().await;
    shop.audit();
}

/// The names of an event, as the documentation has them.
fn model_topics(json: &Value) -> BTreeSet<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md")).unwrap();
    let event = json["eventType"].as_str().unwrap();
    let row = page.lines().find(|line| line.starts_with(&format!("| [`{event}`]"))).unwrap();
    row.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Hears everything that is published by MQTT, until nothing new has come for a second.
struct Listener {
    client: AsyncClient,
    heard: tokio::task::JoinHandle<()>,
    messages: tokio::sync::mpsc::UnboundedReceiver<(String, Value)>,
}

impl Listener {
    async fn at(port: u16, filters: &[&str]) -> Self {
        let mut options = MqttOptions::new("listener", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20).set_clean_session(true);
        let (client, mut events) = AsyncClient::new(options, 100);
        for filter in filters {
            client.subscribe(*filter, QoS::AtLeastOnce).await.unwrap();
        }
        let (sender, messages) = tokio::sync::mpsc::unbounded_channel();
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let (mut ready, mut missing) = (Some(ready), filters.len());
        let heard = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Incoming::Publish(message))) => {
                        if let Ok(json) = serde_json::from_slice(&message.payload) {
                            _ = sender.send((message.topic, json));
                        }
                    }
                    Ok(Event::Incoming(Incoming::SubAck(_))) => {
                        missing -= 1;
                        if missing == 0
                            && let Some(ready) = ready.take()
                        {
                            _ = ready.send(());
                        }
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        tokio::time::timeout(PATIENCE, subscribed).await.unwrap().unwrap();
        Self { client, heard, messages }
    }

    /// What has been heard when `enough` says so.
    async fn until(&mut self, enough: impl Fn(&[(String, Value)]) -> bool) -> Vec<(String, Value)> {
        let mut heard = Vec::new();
        while !enough(&heard) {
            let next = tokio::time::timeout(PATIENCE, self.messages.recv()).await;
            heard.push(next.unwrap_or_else(|_| panic!("only {} messages: {heard:?}", heard.len())).unwrap());
        }
        heard
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.heard.abort();
        _ = self.client.try_disconnect();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_published_by_mqtt_on_all_its_topics() {
    needs!("mosquitto");
    let mosquitto = Mosquitto::start();
    let mut listener = Listener::at(mosquitto.port(), &["#"]).await;
    let (shop, ann, mug) = open(&Script::new(), &[("mqtt_url", mosquitto.url())]).await;
    several_orders(&shop, &ann, mug).await;
    shop.settle().await;
    let so_far = sent(&shop).len();
    let ids =
        |heard: &[(String, Value)]| heard.iter().map(|(_, json)| json["eventId"].to_string()).collect::<BTreeSet<_>>();
    let heard = listener
        .until(|heard| ids(heard).len() == so_far && heard.iter().any(|(topic, _)| topic == "inventory_release"))
        .await;
    for (topic, json) in &heard {
        assert!(model_topics(json).contains(topic), "{json} on {topic}");
    }
    let arrived: Vec<_> =
        heard.iter().filter(|(topic, _)| topic.contains("events")).map(|(_, json)| json.clone()).collect();
    assert_complete(&sent(&shop), &arrived);
    assert_in_order(&sent(&shop), &arrived);
    shop.audit();
}

/// What RabbitMQ's management answers.
async fn manage(rabbit: &RabbitMq, method: Method, path: &str, body: Value) -> Option<Value> {
    let request = shop_tests::client().build().unwrap().request(method, format!("{}/{path}", rabbit.management()));
    let answer = request.header("content-type", "application/json").body(body.to_string()).send().await.ok()?;
    let text = answer.error_for_status().ok()?.text().await.ok()?;
    Some(serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_of_rabbitmq_have_the_events_of_their_name() {
    needs!("rabbitmq-server");
    let rabbit = RabbitMq::start();
    let queues = ["order_created", "inventory_reserved", "inventory_failed", "inventory_release"];
    for queue in queues {
        eventually(PATIENCE, "there is a queue", async || {
            let path = format!("queues/%2F/{queue}");
            manage(&rabbit, Method::PUT, &path, json!({"durable": true})).await.is_some()
        })
        .await;
        let path = format!("bindings/%2F/e/amq.topic/q/{queue}");
        manage(&rabbit, Method::POST, &path, json!({"routing_key": queue})).await.unwrap();
    }
    let (shop, ann, mug) = open(&Script::new(), &[("mqtt_url", rabbit.url())]).await;
    several_orders(&shop, &ann, mug).await;
    shop.settle().await;
    let sent = sent(&shop);
    for queue in queues {
        let take = json!({"count": 100, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let taken = manage(&rabbit, Method::POST, &format!("queues/%2F/{queue}/get"), take).await.unwrap();
        let events: Vec<Value> = taken
            .as_array()
            .unwrap()
            .iter()
            .map(|message| serde_json::from_str(message["payload"].as_str().unwrap()).unwrap())
            .collect();
        let arrived: BTreeSet<_> = events.iter().map(|event| event["eventId"].to_string()).collect();
        let belong = sent.iter().filter(|event| model_topics(event).contains(queue));
        assert_eq!(arrived, belong.map(|event| event["eventId"].to_string()).collect(), "{queue}");
        assert!(!arrived.is_empty(), "{queue}");
        assert_in_order(&sent, &events);
    }
    shop.audit();
}

/// Attempts, parked copies, and copies that are held.
fn deliveries(shop: &Shop, column: &str) -> i64 {
    let count = format!("SELECT coalesce(sum({column}), 0) FROM deliveries WHERE subscriber = 'broker'");
    SERVICES.iter().map(|service| shop.value(service, &count).as_i64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_delays_and_fails_nobody_and_loses_nothing() {
    needs_bench!("it moves the clock");
    needs!("redis-server");
    let redis = Redis::start();
    let (shop, ann, mug) = open(&Script::new(), &[("redis_url", redis.url())]).await;
    shop.settle().await;
    redis.pause();
    // All of it while the broker is stopped.
    several_orders(&shop, &ann, mug).await;
    eventually(PATIENCE, "somebody has noticed", async || deliveries(&shop, "due_at = 9007199254740991") > 0).await;
    shop.tick_all().await;
    assert_eq!((deliveries(&shop, "attempts"), deliveries(&shop, "parked_at IS NOT NULL")), (0, 0));
    redis.resume();
    shop.settle_over_time().await;
    let arrived = jsons(&stream(&redis, "bodega:events"));
    assert_complete(&sent(&shop), &arrived);
    assert_in_order(&sent(&shop), &arrived);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_down_for_a_day_is_asked_seldom_and_then_has_everything() {
    needs_bench!("it moves the clock");
    needs!("redis-server");
    let mut redis = Redis::start();
    let script = Script::new();
    let (shop, ann, mug) = open(&script, &[("redis_url", redis.url())]).await;
    shop.settle().await;
    redis.kill();
    let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
    shop.wait_for(order, "paid").await;
    let down = "SELECT count(*) FROM lanes WHERE failures > 0";
    eventually(PATIENCE, "orders know", async || shop.value("orders", down) == 1).await;
    // The first copies may still be on their way.
    shop.clock.advance(Duration::from_secs(30));
    shop.tick_all().await;

    script.record();
    for _ in 0..5 {
        let order = shop.place(&ann, mug, 1, Some("tok_visa")).await;
        shop.wait_for(order, "paid").await;
    }
    // What has arrived is not kept for longer than a day.
    let sent = sent(&shop);
    for _ in 0..48 {
        shop.clock.advance(Duration::from_secs(30 * 60));
        shop.tick("orders").await;
    }
    let asked = |seen: &shop_tests::Seen| seen.component == "orders" && seen.detail.contains("broker.spin.internal");
    let asked = script.recorded().iter().filter(|seen| asked(seen)).count();
    assert!((40..=60).contains(&asked), "orders asked {asked} times");
    assert_eq!((deliveries(&shop, "attempts"), deliveries(&shop, "parked_at IS NOT NULL")), (0, 0));
    let gauges = shop.get("/metrics").await.text;
    let line =
        gauges.lines().find(|line| line.starts_with("bodega_events_unreachable_seconds") && line.contains("orders"));
    let seconds: f64 = line.unwrap_or_else(|| panic!("{gauges}")).split(' ').next_back().unwrap().parse().unwrap();
    assert!(seconds >= 24.0 * 60.0 * 60.0, "{line:?}");

    redis.start_again();
    shop.settle_over_time().await;
    let arrived = jsons(&stream(&redis, "bodega:events"));
    assert_complete(&sent, &arrived);
    assert_in_order(&sent, &arrived);
    shop.clock.advance(Duration::from_secs(120));
    shop.tick_all().await;
    shop.clock.advance(Duration::from_secs(120));
    shop.tick_all().await;
    assert_eq!(shop.value("orders", "SELECT count(*) FROM lanes"), 0, "all is as before");
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poison_event_is_parked_alone() {
    needs_bench!("it writes a poison event into an outbox");
    needs!("redis-server");
    let redis = Redis::start();
    let (shop, ann, mug) = open(&Script::new(), &[("redis_url", redis.url())]).await;
    shop.settle().await;
    let envelope = json!({
        "eventId": "00000000-0000-7000-8000-000000000001", "eventType": "ORDER_SUNG", "eventVersion": 1,
        "occurredAt": "2026-01-01T00:00:00Z", "producer": "orders", "subject": "order/991", "data": {},
    });
    shop.tamper(
        "orders",
        &format!(
            "INSERT INTO outbox (event_id, envelope, created_at) VALUES ('1', '{envelope}', 0); \
             INSERT INTO deliveries (outbox_id, subscriber, subject, since, due_at) \
             VALUES ((SELECT max(id) FROM outbox), 'broker', 'order/991', 0, 0)"
        ),
    );
    several_orders(&shop, &ann, mug).await;
    shop.settle_over_time().await;
    let parked = shop.internal("orders", Method::GET, "/internal/parked", None).await.expect(200);
    assert_eq!(parked.as_array().unwrap().len(), 1, "{parked}");
    assert_eq!((&parked[0]["subscriber"], &parked[0]["subject"]), (&json!("broker"), &json!("order/991")));
    shop.tamper(
        "orders",
        "DELETE FROM deliveries WHERE subject = 'order/991'; DELETE FROM outbox WHERE event_id = '1'",
    );
    assert_complete(&sent(&shop), &jsons(&stream(&redis, "bodega:events")));
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_without_a_broker_does_nothing_for_one() {
    needs_bench!("it looks at calls");
    let script = Script::new();
    let (shop, ann, mug) = open(&script, &[]).await;
    script.record();
    several_orders(&shop, &ann, mug).await;
    shop.settle().await;
    let calls = script.recorded();
    assert!(calls.iter().all(|seen| seen.component != "broker" && !seen.detail.contains("broker.spin.internal")));
    assert_eq!(deliveries(&shop, "1"), 0);
    shop.audit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_nobody_answers_for_is_no_reason_to_wait() {
    needs_bench!("it cuts off the broker's component");
    let script = Script::new();
    let nobody = format!("redis://127.0.0.1:{}", free_port());
    let (shop, ann, mug) = open(&script, &[("redis_url", nobody)]).await;
    // Not even its component answers: all calls to it hang until the end of the test.
    script.rule(|call| match call.phase {
        Phase::Before if is_delivery(call, "broker") => Verdict::Delay(Duration::from_secs(8)),
        _ => Verdict::Proceed,
    });
    several_orders(&shop, &ann, mug).await;
    script.clear();
    assert_eq!(deliveries(&shop, "parked_at IS NOT NULL"), 0);
}
