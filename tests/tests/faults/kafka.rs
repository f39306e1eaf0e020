//! What is in Kafka, and what an external processor puts there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// Somebody else who writes to Kafka.
pub struct Processor(ThreadedProducer<rdkafka::producer::DefaultProducerContext>);

impl Processor {
    pub fn new(brokers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("enable.idempotence", "true");
        // Kafka is away for a while.
        config.set("message.timeout.ms", "0").set("reconnect.backoff.max.ms", "500");
        Self(config.create().unwrap())
    }

    /// Says something of a subject. It arrives when Kafka is there.
    pub fn say(&self, topic: &str, subject: &str, text: &str) {
        self.0.send(BaseRecord::to(topic).key(subject).payload(text)).map_err(|(error, _)| error).unwrap();
    }

    /// Returns when all has arrived.
    pub fn finish(&self) {
        self.0.flush(PATIENCE).unwrap();
    }
}

/// An event that was sent, by its place in the outbox of its service.
pub struct Sent {
    pub place: i64,
    pub envelope: Value,
}

/// The Kafka topics of each type of event, as `docs/events.md` says.
pub fn topics() -> BTreeMap<String, Vec<String>> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md")).unwrap();
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| [`"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        (quoted(cells[1])[0].clone(), quoted(cells[4]))
    })
    .collect()
}

/// Fails unless each topic has exactly the events that belong there, repeats apart, and those of a service about a subject
/// in their order. Waits for those that are on their way. Returns how many records there are.
pub fn assert_has_all(brokers: &str, sent: &[Sent]) -> usize {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let topics = topics();
    let mut expected: BTreeMap<&str, BTreeMap<String, i64>> = BTreeMap::new();
    for Sent { place, envelope } in sent {
        for topic in &topics[envelope["eventType"].as_str().unwrap()] {
            expected.entry(topic).or_default().insert(text(&envelope["eventId"]), *place);
        }
    }
    let consumer = consumer(brokers, expected.keys().copied());
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut last: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    let mut records = 0;
    let end = Instant::now() + PATIENCE;
    loop {
        let Some(message) = consumer.poll(Duration::from_secs(2)) else {
            // Nothing new for a while.
            let missing = |(topic, ids): (&&str, &BTreeMap<String, i64>)| {
                let seen = seen.get(*topic).map_or(0, BTreeSet::len);
                (seen < ids.len()).then(|| format!("{topic} has {seen} of {}", ids.len()))
            };
            let missing: Vec<_> = expected.iter().filter_map(missing).collect();
            if missing.is_empty() {
                return records;
            }
            assert!(Instant::now() < end, "{missing:?}");
            continue;
        };
        let Ok(message) = message else { continue };
        let Ok(event) = serde_json::from_slice::<Value>(message.payload().unwrap()) else { continue };
        if !event["source"].as_str().is_some_and(|source| source.starts_with("/bodega/")) {
            continue;
        }
        records += 1;
        let (topic, id) = (message.topic().to_owned(), text(&event["eventId"]));
        let place = expected[&topic[..]].get(&id).unwrap_or_else(|| panic!("nobody sent {event} to {topic}"));
        if seen.entry(topic.clone()).or_default().insert(id) {
            let of = (topic, text(&event["producer"]), text(&event["subject"]));
            assert_eq!(message.key(), Some(of.2.as_bytes()));
            let before = last.insert(of.clone(), *place);
            assert!(before.is_none_or(|before| before < *place), "{event} comes late in {}", of.0);
        }
    }
}

fn consumer<'a>(brokers: &str, topics: impl Iterator<Item = &'a str>) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "tests").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for topic in topics {
        let end = Instant::now() + PATIENCE;
        let partitions = loop {
            let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).unwrap();
            match metadata.topics()[0].partitions().len() {
                0 => assert!(Instant::now() < end, "there is no topic {topic}"),
                partitions => break partitions,
            }
        };
        for partition in 0..partitions {
            list.add_partition_offset(topic, i32::try_from(partition).unwrap(), Offset::Beginning).unwrap();
        }
    }
    consumer.assign(&list).unwrap();
    consumer
}
