//! From the shop's MQTT topics to Kafka.

use rumqttc::{Client, Event, Incoming, MqttOptions, QoS};
use servers::{Mosquitto, Redis, needs};

use crate::support::{Bridge, event, eventually, kafka, lock, read, unique};

/// Publishes, and returns when the broker has acknowledged.
fn publish(port: u16, topic: &str, payloads: &[String]) {
    let mut options = MqttOptions::new(unique("writer"), "127.0.0.1", port);
    options.set_inflight(100);
    options.set_max_packet_size(1 << 24, 1 << 24);
    let (client, mut connection) = Client::new(options, payloads.len() + 1);
    for payload in payloads {
        client.publish(topic, QoS::AtLeastOnce, false, payload.clone()).unwrap();
    }
    let acknowledged = connection.iter().filter(|event| matches!(event, Ok(Event::Incoming(Incoming::PubAck(_)))));
    assert_eq!(acknowledged.take(payloads.len()).count(), payloads.len());
}

fn events(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| event(&format!("event-{number}"), &format!("order/{}", number % 7), number)).collect()
}

/// Whether each subject's events are in order, repeats apart.
fn check(brokers: &str, topic: &str, count: usize) {
    let mut last = std::collections::BTreeMap::new();
    let mut seen = std::collections::BTreeSet::new();
    for record in read(brokers, topic, count) {
        let number = record.event["data"]["number"].as_i64().unwrap();
        assert_eq!(record.headers["ce_subject"], record.key);
        if seen.insert(number) {
            assert!(
                last.insert(record.key.clone(), number).is_none_or(|last| last < number),
                "the order of {}",
                record.key
            );
        }
    }
    assert_eq!(seen.len(), count);
}

#[test]
fn all_messages_arrive_though_broker_and_bridge_are_killed() {
    needs!("mosquitto", "java", "mvn");
    let (kafka, mut mosquitto) = (kafka(), Mosquitto::start());
    let brokers = lock(&kafka).brokers();
    let (source, topic) = (unique("source"), unique("orders"));
    let config = format!(
        "[mqtt]\nurl = '{}'\n[kafka]\nbrokers = '{brokers}'\n[mqtt_to_kafka]\ntopics = ['{source}']\n\
         [mqtt_to_kafka.map]\n'{source}' = '{topic}'\n",
        mosquitto.url()
    );
    let mut bridge = Bridge::start(&config);
    eventually("it is connected", || bridge.is_active("mqtt_to_kafka").then_some(()));
    publish(mosquitto.port(), &source, &events(0..300));
    bridge.process.kill();
    // The broker keeps what comes now.
    publish(mosquitto.port(), &source, &events(300..500));
    bridge.kill_and_start();
    publish(mosquitto.port(), &source, &events(500..700));
    check(&brokers, &topic, 700);
    mosquitto.kill();
    mosquitto.start_again();
    eventually("it is connected again", || bridge.is_active("mqtt_to_kafka").then_some(()));
    publish(mosquitto.port(), &source, &events(700..900));
    check(&brokers, &topic, 900);
}

#[test]
fn poison_of_mqtt_is_parked_and_one_of_two_bridges_is_connected() {
    needs!("mosquitto", "redis-server", "java", "mvn");
    let (kafka, mosquitto, redis) = (kafka(), Mosquitto::start(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let (topic, dead) = (unique("orders"), unique("dead"));
    let config = format!(
        "[mqtt]\nurl = '{}'\n[redis]\nurl = '{}'\n[kafka]\nbrokers = '{brokers}'\n\
         [mqtt_to_kafka]\ntopics = ['{topic}']\ndead = '{dead}'\nlease = '1s'\n",
        mosquitto.url(),
        redis.url()
    );
    let mut bridges = [Bridge::start(&config), Bridge::start(&config)];
    let active = |bridges: &[Bridge; 2]| {
        eventually("one is connected", || bridges.iter().position(|bridge| bridge.is_active("mqtt_to_kafka")))
    };
    let one = active(&bridges);
    assert!(!bridges[1 - one].is_active("mqtt_to_kafka"));
    let mut payloads = events(0..5);
    payloads.push("no event".into());
    payloads.push(event("large", "order/1", 0).replace("ORDER_PAID", &"X".repeat(1_500_000)));
    payloads.extend(events(5..10));
    publish(mosquitto.port(), &topic, &payloads);
    check(&brokers, &topic, 10);
    let letters = read(&brokers, &dead, 2);
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().any(|letter| letter.headers["reason"] == "it is not a JSON object"));
    assert!(letters.iter().all(|letter| letter.headers["topic"] == topic));
    bridges[one].process.kill();
    publish(mosquitto.port(), &topic, &events(10..20));
    check(&brokers, &topic, 20);
    assert!(bridges[1 - one].is_active("mqtt_to_kafka"));
}
