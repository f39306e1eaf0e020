//! Bridges, events, and what is in Kafka.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    net::TcpStream,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::sleep,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::Headers,
};
use redis::{Commands, streams::StreamMaxlen};
use serde_json::{Value, json};
use servers::{Kafka, Process, free_port};
use tempfile::TempDir;
use uuid::Uuid;

/// Kafka of all tests that run at the same time. Who kills it brings it back.
pub fn kafka() -> Arc<Mutex<Kafka>> {
    static KAFKA: Mutex<Weak<Mutex<Kafka>>> = Mutex::new(Weak::new());
    let mut shared = lock(&KAFKA);
    if let Some(kafka) = shared.upgrade() {
        return kafka;
    }
    let kafka = Arc::new(Mutex::new(Kafka::start()));
    *shared = Arc::downgrade(&kafka);
    kafka
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that no other test has.
pub fn unique(name: &str) -> String {
    format!("{name}.{}", Uuid::new_v4().simple())
}

/// Polls until there is something.
pub fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(50));
    }
}

/// A running bridge.
pub struct Bridge {
    pub process: Process,
    port: u16,
    directory: TempDir,
}

impl Bridge {
    /// One with this configuration, which has no `[http]`.
    pub fn start(config: &str) -> Self {
        let (port, directory) = (free_port(), tempfile::tempdir().unwrap());
        let text = format!("{config}\n[http]\nlisten = '127.0.0.1:{port}'\n");
        fs::write(directory.path().join("bridge.toml"), text).unwrap();
        let process = run(&directory, port);
        Self { process, port, directory }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Kills it as a power failure would, and starts it again.
    pub fn kill_and_start(&mut self) {
        self.process.kill();
        self.process = run(&self.directory, self.port);
    }

    /// What a metric is, with its labels as they are written.
    pub fn metric(&self, name: &str) -> i64 {
        let (_, text) = get(&self.url("/metrics"));
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |number| number.parse().unwrap())
    }

    pub fn is_active(&self, route: &str) -> bool {
        self.metric(&format!("bodega_bridge_active{{route=\"{route}\"}}")) == 1
    }
}

fn run(directory: &TempDir, port: u16) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bodega-bridge"));
    command.arg("--config").arg(directory.path().join("bridge.toml")).env("RUST_LOG", "info");
    let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    Process::start("bodega-bridge", command, directory.path().join("log"), ready)
}

pub fn request(request: impl FnOnce(reqwest::Client) -> reqwest::RequestBuilder) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = request(client).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

pub fn get(url: &str) -> (u16, String) {
    request(|client| client.get(url))
}

/// An event as the shop makes it. Its `number` rises with each event of its subject.
pub fn event(id: &str, subject: &str, number: usize) -> String {
    json!({
        "specversion": "1.0", "id": id, "source": "/bodega/orders", "type": "ORDER_PAID", "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "application/json", "subject": subject, "eventId": id, "eventType": "ORDER_PAID",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "data": {"number": number},
    })
    .to_string()
}

/// A stream of events of some subjects, in turn.
pub struct Writer {
    pub redis: redis::Connection,
    pub stream: String,
    pub topics: String,
    written: usize,
    subjects: usize,
}

impl Writer {
    pub fn new(url: &str, stream: &str, topics: &str, subjects: usize) -> Self {
        let redis = redis::Client::open(url).unwrap().get_connection().unwrap();
        Self { redis, stream: stream.into(), topics: topics.into(), written: 0, subjects }
    }

    /// Writes the next event.
    pub fn write(&mut self) {
        let (subject, number) = (format!("order/{}", self.written % self.subjects), self.written / self.subjects);
        let event = event(&format!("event-{}", self.written), &subject, number);
        self.add(&[("event", &event), ("type", "ORDER_PAID"), ("subject", &subject), ("topics", &self.topics.clone())]);
        self.written += 1;
    }

    pub fn add(&mut self, fields: &[(&str, &str)]) -> String {
        self.redis.xadd_maxlen(&self.stream, StreamMaxlen::Equals(1_000_000), "*", fields).unwrap()
    }

    /// Checks that all of it is in a topic, in order.
    pub fn check(&self, kafka: &str, topic: &str) {
        let records = read(kafka, topic, self.written);
        let mut next: BTreeMap<String, i64> = BTreeMap::new();
        let mut seen = HashSet::new();
        for record in records {
            assert_eq!(record.headers["ce_id"], record.event["id"]);
            assert_eq!(record.headers["ce_subject"], record.key);
            assert_eq!(record.headers["ce_source"], "/bodega/orders");
            assert_eq!(record.headers["content-type"], "application/json");
            assert_eq!(record.headers["traceparent"], record.event["traceparent"]);
            if seen.insert(record.headers["ce_id"].clone()) {
                let expected = next.entry(record.key.clone()).or_default();
                assert_eq!(record.event["data"]["number"], *expected, "the order of {}", record.key);
                *expected += 1;
            }
        }
        assert_eq!(seen.len(), self.written);
    }

    /// How many entries somebody has read and not acknowledged, and how many there are.
    pub fn left(&mut self, group: &str) -> (usize, usize) {
        let pending: redis::streams::StreamPendingReply = self.redis.xpending(&self.stream, group).unwrap();
        (pending.count(), self.redis.xlen(&self.stream).unwrap())
    }
}

/// A record in Kafka.
pub struct Read {
    pub key: String,
    pub headers: BTreeMap<String, String>,
    pub event: Value,
}

/// What is in a topic, when it has so many different ids; in the order of each partition.
pub fn read(brokers: &str, topic: &str, ids: usize) -> Vec<Read> {
    let config = [("bootstrap.servers", brokers), ("group.id", "tests"), ("reconnect.backoff.max.ms", "500")];
    let mut client = ClientConfig::new();
    config.iter().for_each(|(key, value)| {
        client.set(*key, *value);
    });
    let consumer: BaseConsumer = client.create().unwrap();
    let partitions = eventually("the topic", || {
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
        Some(metadata.topics().first()?.partitions().len()).filter(|count| *count > 0)
    });
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).unwrap() {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut records, mut seen) = (Vec::new(), HashSet::new());
    let end = Instant::now() + Duration::from_secs(60);
    while seen.len() < ids {
        assert!(Instant::now() < end, "{topic} has {} of {ids}", seen.len());
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else { continue };
        let headers: BTreeMap<_, _> = message.headers().map_or_else(BTreeMap::new, |headers| {
            let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
            headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
        });
        let payload = message.payload().unwrap();
        let event = serde_json::from_slice(payload).unwrap_or_else(|_| String::from_utf8_lossy(payload).into());
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        let place = || format!("{}/{}", message.partition(), message.offset());
        seen.insert(headers.get("ce_id").cloned().unwrap_or_else(place));
        records.push(Read { key, headers, event });
    }
    records
}
