//! What the bridge is told: a TOML file, and environment variables that go before it.
//!
//! `BODEGA_BRIDGE_KAFKA__BROKERS` is `brokers` in the table `[kafka]`. A key that nobody knows is an error.

mod read;

use std::{collections::BTreeMap, env, fmt, fs, net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

/// Something that is not shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// For whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// All of it. What has no table is not done.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What may be in flight at the end has so long to arrive.
    #[serde(default = "drain", with = "humantime_serde")]
    pub drain: Duration,
    /// How the log looks.
    #[serde(default)]
    pub log: Log,
    /// Where `/metrics`, `/health` and `/emails` are.
    #[serde(default)]
    pub http: Http,
    /// The Redis that the shop writes to.
    pub redis: Option<Redis>,
    /// The MQTT broker that the shop writes to.
    pub mqtt: Option<Mqtt>,
    /// The Kafka of everybody else.
    pub kafka: Option<Kafka>,
    /// From the shop's stream to Kafka.
    pub redis_to_kafka: Option<RedisToKafka>,
    /// From the shop's MQTT topics to Kafka.
    pub mqtt_to_kafka: Option<MqttToKafka>,
    /// From Kafka to the stream that the shop reads.
    pub kafka_to_redis: Option<KafkaToRedis>,
    /// From Kafka to the MQTT topic that the shop reads.
    pub kafka_to_mqtt: Option<KafkaToMqtt>,
    /// The way of the shop's mails.
    pub mail: Option<Mail>,
    /// What wakes the shop.
    pub tick: Option<Tick>,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// For people.
    #[default]
    Text,
    /// For machines, a line an event.
    Json,
}

/// The bridge's own HTTP.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// A Redis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://user:password@host:port`, or `rediss://` for TLS.
    pub url: Secret,
    /// Whose certificates are believed, when it is not one that the system believes.
    pub ca_file: Option<PathBuf>,
}

/// An MQTT broker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// `mqtt://user:password@host:port`, or `mqtts://` for TLS.
    pub url: Secret,
    /// Whose certificates are believed, when it is not one that the system believes.
    pub ca_file: Option<PathBuf>,
}

/// A Kafka.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Whether to speak TLS.
    #[serde(default)]
    pub tls: bool,
    /// Whose certificates are believed, when it is not one that the system believes.
    pub ca_file: Option<PathBuf>,
    /// For SASL.
    pub username: Option<String>,
    /// For SASL.
    pub password: Option<Secret>,
    /// How to sign in.
    #[serde(default = "mechanism")]
    pub mechanism: String,
    /// Further settings of librdkafka.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// From the shop's stream to Kafka.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisToKafka {
    /// What the shop adds to.
    pub stream: String,
    /// The consumer group. All bridges of a shop have the same.
    pub group: String,
    /// This bridge's name in it.
    pub consumer: String,
    /// Where entries go that can never be in Kafka.
    pub dead: String,
    /// So many entries are in flight at most.
    pub batch: usize,
    /// Another bridge takes over when nothing was heard of this one for so long.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often to look for entries while there are none.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// Whether to remove what every group has acknowledged.
    pub trim: bool,
}

/// From the shop's MQTT topics to Kafka.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttToKafka {
    /// Names the session at the broker, which keeps what arrives while no bridge is there.
    #[serde(default = "group")]
    pub client_id: String,
    /// What to subscribe to, with MQTT's wildcards.
    pub topics: Vec<String>,
    /// Kafka topics of another name: MQTT topic = Kafka topic.
    #[serde(default)]
    pub map: BTreeMap<String, String>,
    /// The Kafka topic of what cannot be in its own.
    #[serde(default = "dead_topic")]
    pub dead: String,
    /// So many messages are in flight at most.
    #[serde(default = "batch")]
    pub batch: usize,
    /// With `[redis]`: another bridge takes over when nothing was heard of this one for so long.
    #[serde(default = "lease", with = "humantime_serde")]
    pub lease: Duration,
}

/// From Kafka to the stream that the shop reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaToRedis {
    /// Kafka topics.
    pub topics: Vec<String>,
    /// Kafka's consumer group.
    pub group: String,
    /// Where events are added.
    pub stream: String,
    /// Where the shop is told that there are some.
    pub channel: String,
    /// Where messages go that are no events.
    pub dead: String,
    /// So many messages are in flight at most.
    pub batch: usize,
}

/// From Kafka to the MQTT topic that the shop reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaToMqtt {
    /// Kafka topics.
    pub topics: Vec<String>,
    /// Kafka's consumer group: not the one of `[kafka_to_redis]`, or each would have a part.
    pub group: String,
    /// Where events are published.
    pub topic: String,
    /// Where the shop says of each, by the SHA-256 of what was published, that it has seen to it.
    pub done: String,
    /// Where messages are published that are no events, retained by nobody but whoever listens.
    pub dead: String,
    /// So many messages are in flight at most.
    pub batch: usize,
}

/// The way of the shop's mails.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The SMTP server.
    pub host: String,
    /// 587 for STARTTLS, 465 for TLS, 25 for neither.
    pub port: Option<u16>,
    /// How the way there is kept secret.
    #[serde(default)]
    pub tls: Encryption,
    /// Whose certificates are believed, when it is not one that the system believes.
    pub ca_file: Option<PathBuf>,
    /// For AUTH.
    pub username: Option<String>,
    /// For AUTH.
    pub password: Option<Secret>,
    /// The shop's `mail_token`. Without one whoever reaches the port can send mails.
    pub token: Option<Secret>,
    /// For one mail. Less than the shop's `mail_timeout_ms`.
    #[serde(default = "mail_timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// So many connections at most.
    #[serde(default = "pool")]
    pub pool: u32,
}

/// How the way to an SMTP server is kept secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// It begins in plain text and must go on in TLS.
    #[default]
    Starttls,
    /// It begins in TLS.
    Tls,
    /// Not at all.
    None,
}

/// What wakes the shop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// The shop, such as `https://shop.example`.
    pub url: String,
    /// Its `tick_token`.
    pub token: Secret,
    /// How often.
    #[serde(default = "tick", with = "humantime_serde")]
    pub every: Duration,
    /// How long a round may take.
    #[serde(default = "tick_timeout", with = "humantime_serde")]
    pub timeout: Duration,
}

fn drain() -> Duration {
    Duration::from_secs(20)
}

fn lease() -> Duration {
    Duration::from_secs(10)
}

fn tick() -> Duration {
    Duration::from_secs(10)
}

fn tick_timeout() -> Duration {
    Duration::from_secs(35)
}

fn mail_timeout() -> Duration {
    Duration::from_secs(8)
}

fn pool() -> u32 {
    4
}

fn batch() -> usize {
    200
}

fn group() -> String {
    "bodega-bridge".into()
}

fn mechanism() -> String {
    "SCRAM-SHA-512".into()
}

fn dead_topic() -> String {
    "bodega.events.dead".into()
}

/// The machine and the process: unlike those of all other bridges.
fn consumer() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| env::var("HOSTNAME").ok());
    format!("{}-{}", host.as_deref().unwrap_or("bridge").trim(), std::process::id())
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

impl Default for RedisToKafka {
    fn default() -> Self {
        Self {
            stream: "bodega:events".into(),
            group: group(),
            consumer: consumer(),
            dead: "bodega:events:dead".into(),
            batch: batch(),
            lease: lease(),
            poll: Duration::from_millis(50),
            trim: true,
        }
    }
}

impl Default for KafkaToRedis {
    fn default() -> Self {
        Self {
            topics: vec!["payments.events".into()],
            group: group(),
            stream: "bodega:inbound".into(),
            channel: "bodega:inbound".into(),
            dead: "bodega:inbound:dead".into(),
            batch: batch(),
        }
    }
}

impl Default for KafkaToMqtt {
    fn default() -> Self {
        Self {
            topics: vec!["payments.events".into()],
            group: "bodega-bridge-mqtt".into(),
            topic: "bodega/inbound".into(),
            done: "bodega/inbound/done".into(),
            dead: "bodega/inbound/dead".into(),
            batch: batch(),
        }
    }
}
