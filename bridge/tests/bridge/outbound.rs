//! From the shop's stream to Kafka.

use std::{thread::sleep, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use redis::{
    Commands,
    streams::{StreamInfoConsumersReply, StreamRangeReply},
};
use servers::{Redis, needs};

use crate::support::{Bridge, Writer, event, eventually, kafka, lock, unique};

const STREAM: &str = "bodega:events";
const GROUP: &str = "bodega-bridge";

fn config(redis: &str, kafka: &str, further: &str) -> String {
    format!(
        "[redis]\nurl = '{redis}'\n[kafka]\nbrokers = '{kafka}'\n[redis_to_kafka]\nlease = '1s'\npoll = '5ms'\n{further}\n"
    )
}

#[test]
fn all_events_arrive_in_order_however_often_the_bridge_is_killed() {
    needs!("redis-server", "java", "mvn");
    let (kafka, redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let (first, second) = (unique("first"), unique("second"));
    let mut writer = Writer::new(&redis.url(), STREAM, &format!("{first},{second}"), 200);
    let mut bridge = Bridge::start(&config(&redis.url(), &brokers, "batch = 20"));
    let mut interrupted = 0;
    for part in 0..5 {
        for _ in 0..400 {
            writer.write();
        }
        // Not before it has begun with them, and not when it is done.
        eventually("the bridge carries", || bridge.is_active("redis_to_kafka").then_some(()));
        sleep(Duration::from_millis(7 * part));
        bridge.process.kill();
        interrupted += usize::from(writer.left(GROUP).0 > 0);
        bridge.kill_and_start();
    }
    assert!(interrupted > 0, "it was killed in the middle");
    writer.check(&brokers, &first);
    writer.check(&brokers, &second);
    eventually("nothing is left", || (writer.left(GROUP) == (0, 0)).then_some(()));
    let consumers: StreamInfoConsumersReply = writer.redis.xinfo_consumers(STREAM, GROUP).unwrap();
    assert_eq!(consumers.consumers.len(), 1, "those of the dead are gone");
}

#[test]
fn of_two_bridges_one_takes_over_when_the_other_is_killed_or_stopped() {
    needs!("redis-server", "java", "mvn");
    let (kafka, redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let topic = unique("orders");
    let mut writer = Writer::new(&redis.url(), STREAM, &topic, 20);
    let config = config(&redis.url(), &brokers, "batch = 20");
    let mut bridges = [Bridge::start(&config), Bridge::start(&config)];
    let active = |bridges: &[Bridge; 2]| {
        eventually("one carries", || bridges.iter().position(|bridge| bridge.is_active("redis_to_kafka")))
    };
    let one = active(&bridges);
    assert!(!bridges[1 - one].is_active("redis_to_kafka"), "the other stands by");
    // It stops in the middle, and goes on when the other one has carried what it had.
    for _ in 0..300 {
        writer.write();
    }
    bridges[one].process.signal(libc::SIGSTOP);
    eventually("the other takes over", || bridges[1 - one].is_active("redis_to_kafka").then_some(()));
    for _ in 0..300 {
        writer.write();
    }
    bridges[one].process.signal(libc::SIGCONT);
    for _ in 0..100 {
        writer.write();
        sleep(Duration::from_millis(2));
    }
    eventually("the one has noticed", || (!bridges[one].is_active("redis_to_kafka")).then_some(()));
    bridges[1 - one].process.kill();
    for _ in 0..300 {
        writer.write();
    }
    eventually("the one takes over again", || bridges[one].is_active("redis_to_kafka").then_some(()));
    writer.check(&brokers, &topic);
    eventually("nothing is left", || (writer.left(GROUP) == (0, 0)).then_some(()));
}

#[test]
fn nothing_is_lost_when_kafka_or_redis_is_killed() {
    needs!("redis-server", "java", "mvn");
    let (kafka, mut redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let topic = unique("orders");
    let mut writer = Writer::new(&redis.url(), STREAM, &topic, 50);
    let bridge = Bridge::start(&config(&redis.url(), &brokers, "batch = 20"));
    for _ in 0..200 {
        writer.write();
    }
    lock(&kafka).kill();
    for _ in 0..200 {
        writer.write();
    }
    lock(&kafka).start_again();
    for _ in 0..200 {
        writer.write();
    }
    redis.kill();
    redis.start_again();
    writer.redis = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    for _ in 0..200 {
        writer.write();
    }
    writer.check(&brokers, &topic);
    eventually("nothing is left", || (writer.left(GROUP) == (0, 0)).then_some(()));
    assert_eq!(bridge.metric("bodega_bridge_messages_total{outcome=\"parked\",route=\"redis_to_kafka\"}"), 0);
}

#[test]
fn poison_is_parked_and_blocks_nobody() {
    needs!("redis-server", "java", "mvn");
    let (kafka, redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let (topic, narrow) = (unique("orders"), unique("narrow"));
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let new = NewTopic::new(&narrow, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "2000");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();

    let mut writer = Writer::new(&redis.url(), STREAM, &format!("{topic},{narrow}"), 3);
    let large = |size: usize| event("large", &format!("order/{}", "9".repeat(size)), 0);
    let (for_topic, for_kafka) = (large(5_000), large(3_000_000));
    let poison: [(&[(&str, &str)], &str); 6] = [
        (&[("event", "s3cret"), ("topics", &topic)], "it is not a JSON object"),
        (&[("topics", &topic)], "it has no field event"),
        (&[("event", "{}"), ("topics", "")], "it has no topics"),
        (&[("event", "{}"), ("topics", "not:kafka")], "not:kafka is no name of a Kafka topic"),
        (&[("event", &for_topic), ("topics", &narrow)], "Kafka does not take it"),
        (&[("event", &for_kafka), ("topics", &topic)], "Kafka does not take it"),
    ];
    let mut ids = Vec::new();
    for (fields, _) in &poison {
        for _ in 0..5 {
            writer.write();
        }
        ids.push(writer.add(fields));
    }
    for _ in 0..5 {
        writer.write();
    }
    let bridge = Bridge::start(&config(&redis.url(), &brokers, ""));
    writer.check(&brokers, &topic);
    writer.check(&brokers, &narrow);
    eventually("nothing is left", || (writer.left(GROUP) == (0, 0)).then_some(()));
    let dead: StreamRangeReply = writer.redis.xrange_all("bodega:events:dead").unwrap();
    assert_eq!(dead.ids.len(), poison.len());
    for ((letter, id), (_, reason)) in dead.ids.iter().zip(ids).zip(poison) {
        assert_eq!(letter.get::<String>("id"), Some(id));
        let told: String = letter.get("reason").unwrap();
        assert!(told.starts_with(reason), "{told}");
    }
    assert_eq!(dead.ids[0].get::<String>("event").as_deref(), Some("s3cret"));
    assert_eq!(bridge.metric("bodega_bridge_messages_total{outcome=\"parked\",route=\"redis_to_kafka\"}"), 6);
}

#[test]
fn what_any_group_has_not_acknowledged_stays() {
    needs!("redis-server", "java", "mvn");
    let (kafka, redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let topic = unique("orders");
    let mut writer = Writer::new(&redis.url(), STREAM, &topic, 3);
    let _: () = writer.redis.xgroup_create_mkstream(STREAM, "others", "0").unwrap();
    for _ in 0..10 {
        writer.write();
    }
    let all: StreamRangeReply = writer.redis.xrange_all(STREAM).unwrap();
    let ids: Vec<String> = all.ids.into_iter().map(|entry| entry.id).collect();
    let first = |writer: &mut Writer| {
        let all: StreamRangeReply = writer.redis.xrange_all(STREAM).unwrap();
        all.ids.first().map(|entry| entry.id.clone())
    };
    // The others have read five, and acknowledged all of these but the third.
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("others").arg("x").arg("COUNT").arg(5).arg("STREAMS").arg(STREAM).arg(">");
    let _: redis::Value = read.query(&mut writer.redis).unwrap();
    let _: usize = writer.redis.xack(STREAM, "others", &[&ids[0], &ids[1], &ids[3], &ids[4]]).unwrap();
    let bridge = Bridge::start(&config(&redis.url(), &brokers, ""));
    writer.check(&brokers, &topic);
    eventually("the first two are gone", || (first(&mut writer).as_ref() == Some(&ids[2])).then_some(()));
    let _: usize = writer.redis.xack(STREAM, "others", &[&ids[2]]).unwrap();
    eventually("what was read is gone", || (first(&mut writer).as_ref() == Some(&ids[5])).then_some(()));
    assert_eq!(writer.left(GROUP), (0, 5));
    assert_eq!(bridge.metric("bodega_bridge_pending{route=\"redis_to_kafka\"}"), 0);
    // Nor does what nobody has read go, when the bridge ends.
    bridge.process.signal(libc::SIGTERM);
    eventually("the lease is given back", || {
        let there: bool = writer.redis.exists(format!("{STREAM}:lease:{GROUP}")).unwrap();
        (!there).then_some(())
    });
    assert_eq!(writer.left(GROUP), (0, 5));
}

#[test]
fn whoever_is_told_to_end_brings_what_it_has_read_to_its_end() {
    needs!("redis-server", "java", "mvn");
    let (kafka, redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let topic = unique("orders");
    let mut writer = Writer::new(&redis.url(), STREAM, &topic, 10);
    for _ in 0..3000 {
        writer.write();
    }
    let mut bridge = Bridge::start(&config(&redis.url(), &brokers, "batch = 10"));
    eventually("it carries", || bridge.is_active("redis_to_kafka").then_some(()));
    bridge.process.signal(libc::SIGTERM);
    assert!(bridge.process.ends_within(Duration::from_secs(15)), "{}", bridge.process.tail());
    assert_eq!(bridge.process.exit_code(), Some(0), "{}", bridge.process.tail());
    let (pending, _) = writer.left(GROUP);
    assert_eq!(pending, 0);
    // Another one goes on at once.
    let _another = Bridge::start(&config(&redis.url(), &brokers, ""));
    writer.check(&brokers, &topic);
}
