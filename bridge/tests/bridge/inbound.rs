//! From Kafka to where the shop reads.

use std::{collections::HashSet, sync::mpsc, thread, time::Duration};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use redis::{Commands, streams::StreamRangeReply};
use rumqttc::{Client, ConnectionError, Event, Incoming, MqttOptions, QoS};
use serde_json::Value;
use servers::{Mosquitto, Redis, needs};
use sha2::{Digest, Sha256};

use crate::support::{Bridge, eventually, kafka, lock, unique};

/// Writes messages with headers to a topic.
fn produce(brokers: &str, topic: &str, messages: &[(&[(&str, &str)], String)]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("enable.idempotence", "true").create().unwrap();
    for (headers, payload) in messages {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        producer
            .send(BaseRecord::to(topic).key("one").payload(payload).headers(headers))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn payments(numbers: std::ops::Range<usize>) -> Vec<(&'static [(&'static str, &'static str)], String)> {
    numbers.map(|number| (&[][..], format!(r#"{{"source":"/acme","id":"{number}"}}"#))).collect()
}

/// The ids of events, repeats apart.
fn ids(events: impl IntoIterator<Item = String>) -> Vec<usize> {
    let mut ids = Vec::new();
    for event in events {
        let event: Value = serde_json::from_str(&event).unwrap();
        let id = event["id"].as_str().unwrap().parse().unwrap();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[test]
fn events_of_others_are_in_the_stream_and_the_shops_own_are_not() {
    needs!("redis-server", "java", "mvn");
    let (kafka, mut redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let (topic, group) = (unique("payments"), unique("group"));
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut listening = client.get_connection().unwrap();
    let mut nudges = listening.as_pubsub();
    nudges.subscribe("bodega:inbound").unwrap();
    nudges.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    produce(&brokers, &topic, &payments(0..50));
    let mut bridge = Bridge::start(&format!(
        "[redis]\nurl = '{}'\n[kafka]\nbrokers = '{brokers}'\n[kafka_to_redis]\ntopics = ['{topic}']\ngroup = '{group}'\n",
        redis.url()
    ));
    // At first, and again as long as something waits.
    for _ in 0..3 {
        nudges.get_message().expect("the shop is nudged");
    }
    drop(nudges);
    produce(
        &brokers,
        &topic,
        &[
            (&[("ce_source", "/bodega/payments")], r#"{"id": "own"}"#.into()),
            (&[], r#"{"source": "/bodega/orders", "id": "own"}"#.into()),
            (&[], "no event".into()),
            (&[("ce_id", "50"), ("ce_type", "PAYMENT"), ("ce_source", "/acme")], r#"{"amount": 1.10}"#.into()),
        ],
    );
    bridge.kill_and_start();
    produce(&brokers, &topic, &payments(51..100));
    let entries = |connection: &mut redis::Connection| {
        let all: StreamRangeReply = connection.xrange_all("bodega:inbound").unwrap();
        all.ids.into_iter().map(|entry| entry.get::<String>("event").unwrap()).collect::<Vec<_>>()
    };
    eventually("all are there", || (ids(entries(&mut connection)).len() == 100).then_some(()));
    let events = entries(&mut connection);
    assert!(events.iter().any(|event| event.ends_with(r#""data":{"amount": 1.10}}"#)));
    assert_eq!(ids(events), (0..100).collect::<Vec<_>>());
    let dead: StreamRangeReply = connection.xrange_all("bodega:inbound:dead").unwrap();
    assert_eq!(dead.ids[0].get::<String>("event").as_deref(), Some("no event"));
    assert_eq!(dead.ids[0].get::<String>("reason").as_deref(), Some("it is not a JSON object"));
    assert!(dead.ids[0].get::<String>("origin").unwrap().starts_with(&topic));
    // What comes while Redis is away waits.
    redis.kill();
    produce(&brokers, &topic, &payments(100..150));
    let waiting = |bridge: &Bridge| bridge.metric("bodega_bridge_pending{route=\"kafka_to_redis\"}");
    eventually("the bridge says how many wait", || (waiting(&bridge) == 50).then_some(()));
    redis.start_again();
    let mut connection = client.get_connection().unwrap();
    eventually("the rest is there", || (ids(entries(&mut connection)).len() == 150).then_some(()));
    assert_eq!(ids(entries(&mut connection)), (0..150).collect::<Vec<_>>());
    eventually("nothing waits", || (waiting(&bridge) == 0).then_some(()));
}

#[test]
fn events_of_others_are_published_until_the_shop_has_seen_to_them() {
    needs!("mosquitto", "java", "mvn");
    let (kafka, mut mosquitto) = (kafka(), Mosquitto::start());
    let brokers = lock(&kafka).brokers();
    let (topic, group) = (unique("payments"), unique("group"));
    let bridge = Bridge::start(&format!(
        "[mqtt]\nurl = '{}'\n[kafka]\nbrokers = '{brokers}'\n[kafka_to_mqtt]\ntopics = ['{topic}']\ngroup = '{group}'\n",
        mosquitto.url()
    ));
    // As the shop does: it says of each, by its hash, that it has seen to it; of the tenth only when it comes once more.
    let (sender, heard) = mpsc::channel();
    let port = mosquitto.port();
    let shop = move |known: &mut HashSet<String>| -> Result<(), Box<ConnectionError>> {
        let (client, mut connection) = Client::new(MqttOptions::new("shop", "127.0.0.1", port), 100);
        client.subscribe("bodega/inbound", QoS::AtLeastOnce).unwrap();
        for event in connection.iter() {
            let Event::Incoming(Incoming::Publish(message)) = event? else { continue };
            let event = String::from_utf8(message.payload.to_vec()).unwrap();
            let name = hex(&Sha256::digest(&message.payload));
            if known.insert(name.clone()) && event.contains("\"9\"") {
                continue;
            }
            client.publish("bodega/inbound/done", QoS::AtLeastOnce, false, name).unwrap();
            if sender.send(event).is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    thread::spawn(move || {
        let mut known = HashSet::new();
        while shop(&mut known).is_err() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let mut all = Vec::new();
    let mut take = |count: usize| {
        eventually("the shop has them", || {
            all.extend(heard.try_iter());
            (ids(all.clone()).len() == count).then_some(())
        });
        let mut ids = ids(all.clone());
        ids.sort_unstable();
        assert_eq!(ids, (0..count).collect::<Vec<_>>());
    };
    produce(&brokers, &topic, &payments(0..30));
    produce(&brokers, &topic, &[(&[("ce_source", "/bodega/payments")], r#"{"id": "own"}"#.into())]);
    take(30);
    let down = || crate::support::get(&bridge.url("/health")).1.contains(r#""mqtt_out":"down""#);
    mosquitto.kill();
    eventually("the bridge has noticed", || down().then_some(()));
    produce(&brokers, &topic, &payments(30..60));
    mosquitto.start_again();
    assert_eq!(port, mosquitto.port());
    take(60);
    eventually("the bridge knows that they have been seen to", || {
        let delivered = bridge.metric("bodega_bridge_messages_total{outcome=\"delivered\",route=\"kafka_to_mqtt\"}");
        (delivered == 60).then_some(())
    });
    assert_eq!(bridge.metric("bodega_bridge_messages_total{outcome=\"skipped\",route=\"kafka_to_mqtt\"}"), 1);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
