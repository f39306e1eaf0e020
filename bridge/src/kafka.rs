//! Producing to Kafka, in order and until it is there.
//!
//! Records of one key arrive in the order in which they were handed over, or not at all. The producer is idempotent and
//! sends again for as long as it takes, so that nothing in front of a record can time out while what is behind it arrives.
//! What Kafka refuses for good makes the producer stop (`enable.gapless.guarantee`); a new one then sends record by record,
//! which shows which one it was.

use std::collections::HashSet;

use bytes::Bytes;
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{Header, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};

use crate::{backoff::Backoff, config, status::Route};

/// How long Kafka is asked about a topic at a time.
const ASKING: std::time::Duration = std::time::Duration::from_secs(5);
/// While as much as it may hold is on its way.
const FULL: std::time::Duration = std::time::Duration::from_millis(10);

/// What each client of Kafka needs.
pub fn client(config: &config::Kafka) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.brokers);
    client.set("client.id", "bodega-bridge");
    client.set("reconnect.backoff.max.ms", "2000");
    // A topic that is new is known soon.
    client.set("topic.metadata.refresh.interval.ms", "10000");
    let protocol = match (config.tls, config.username.is_some()) {
        (false, false) => "plaintext",
        (true, false) => "ssl",
        (false, true) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    if let Some(file) = &config.ca_file {
        client.set("ssl.ca.location", file.to_string_lossy());
    }
    if let (Some(username), Some(password)) = (&config.username, &config.password) {
        client.set("sasl.mechanism", &config.mechanism);
        client.set("sasl.username", username);
        client.set("sasl.password", password.reveal());
    }
    for (key, value) in &config.options {
        client.set(key, value);
    }
    client
}

/// What is sent to one topic.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where to.
    pub topic: String,
    /// Records of one key stay in order.
    pub key: Option<String>,
    /// In this order.
    pub headers: Vec<(&'static str, String)>,
    /// The event.
    pub value: Bytes,
}

/// All records of one message: it has arrived when they have.
pub type Parcel = Vec<Record>;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Kafka has acknowledged all of its records.
    Delivered,
    /// Kafka will never take it, and why.
    Poison(String),
}

/// Produces in order.
pub struct Producer {
    config: ClientConfig,
    inner: FutureProducer,
    /// Whether something may be on its way that nobody waits for any more.
    abandoned: bool,
    /// Topics that exist.
    known: HashSet<String>,
    route: Route,
}

impl Producer {
    /// One that connects when it has something to send.
    ///
    /// # Errors
    ///
    /// If the configuration is not one that librdkafka takes.
    pub fn new(config: &config::Kafka, route: Route) -> anyhow::Result<Self> {
        let mut config = client(config);
        // The same partition as of Java's clients.
        config.set("partitioner", "murmur2_random");
        config.set("enable.idempotence", "true");
        config.set("enable.gapless.guarantee", "true");
        config.set("acks", "all");
        config.set("message.timeout.ms", "0");
        for (key, value) in [("queue.buffering.max.kbytes", "65536"), ("linger.ms", "2")] {
            if config.get(key).is_none() {
                config.set(key, value);
            }
        }
        let inner = config.create()?;
        Ok(Self { config, inner, abandoned: false, known: HashSet::new(), route })
    }

    /// Delivers messages, however long that takes, and says what became of each. Whoever does not wait for the end, and
    /// then begins with a message that was not acknowledged, keeps the order.
    pub async fn deliver(&mut self, parcels: &[Parcel]) -> Vec<Verdict> {
        if self.abandoned {
            self.replace().await;
        }
        self.abandoned = true;
        let mut verdicts = self.together(parcels).await;
        for parcel in &parcels[verdicts.len()..] {
            verdicts.push(self.alone(parcel).await);
        }
        self.abandoned = false;
        verdicts
    }

    /// Sends all at once, and says of how many from the first on there is no doubt.
    async fn together(&mut self, parcels: &[Parcel]) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(parcels.len());
        for topic in parcels.iter().flatten().map(|record| record.topic.as_str()).collect::<HashSet<_>>() {
            // Whose it is will show when they are sent one by one.
            if self.learn(topic).await.is_err() {
                return verdicts;
            }
        }
        let mut sent: Vec<Vec<DeliveryFuture>> = Vec::with_capacity(parcels.len());
        let mut failure = None;
        'parcels: for parcel in parcels {
            let mut futures = Vec::with_capacity(parcel.len());
            for record in parcel {
                match self.send(record).await {
                    Ok(future) => futures.push(future),
                    Err(error) => {
                        failure = Some(error);
                        // What was sent of it is waited for with the others.
                        sent.push(futures);
                        break 'parcels;
                    }
                }
            }
            sent.push(futures);
        }
        let broken = failure.as_ref().map(|_| sent.len() - 1);
        for (index, futures) in sent.into_iter().enumerate() {
            let mut whole = broken != Some(index);
            for future in futures {
                if let Err(error) = acknowledged(future).await {
                    whole = false;
                    failure.get_or_insert(error);
                }
            }
            if whole && verdicts.len() == index {
                verdicts.push(Verdict::Delivered);
            }
        }
        if let Some(error) = failure {
            self.route.failures.inc();
            tracing::warn!(%error, "Kafka has not taken a batch; its messages are sent one by one");
            self.replace().await;
        }
        verdicts
    }

    /// Sends a message when all before it have arrived.
    async fn alone(&mut self, parcel: &Parcel) -> Verdict {
        for record in parcel {
            let mut backoff = Backoff::default();
            while let Err(error) = self.alone_once(record).await {
                self.route.failures.inc();
                self.replace().await;
                if is_poison(&error) {
                    return Verdict::Poison(format!("Kafka does not take it in {}: {error}", record.topic));
                }
                tracing::warn!(topic = record.topic, %error, "Kafka has not taken a message; it is sent again");
                backoff.wait().await;
            }
        }
        Verdict::Delivered
    }

    async fn alone_once(&mut self, record: &Record) -> Result<(), KafkaError> {
        self.learn(&record.topic).await?;
        acknowledged(self.send(record).await?).await
    }

    /// Hands a record to the producer, waiting for room.
    async fn send(&self, record: &Record) -> Result<DeliveryFuture, KafkaError> {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut future_record = FutureRecord::to(&record.topic).payload(&record.value[..]).headers(headers);
        if let Some(key) = &record.key {
            future_record = future_record.key(key);
        }
        loop {
            match self.inner.send_result(future_record) {
                Ok(future) => return Ok(future),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => future_record = back,
                Err((error, _)) => return Err(error),
            }
            tokio::time::sleep(FULL).await;
        }
    }

    /// Waits until a topic is there. One that is made while its first records fail and the next ones do not would have
    /// them in another order.
    async fn learn(&mut self, topic: &str) -> Result<(), KafkaError> {
        if self.known.contains(topic) {
            return Ok(());
        }
        let mut backoff = Backoff::default();
        loop {
            match self.exists(topic).await {
                Ok(()) => break,
                Err(error) if is_poison(&error) => return Err(error),
                Err(error) => {
                    self.route.failures.inc();
                    tracing::warn!(topic, %error, "Kafka does not have the topic, or does not answer");
                }
            }
            backoff.wait().await;
        }
        self.known.insert(topic.to_owned());
        Ok(())
    }

    async fn exists(&self, topic: &str) -> Result<(), KafkaError> {
        let (producer, topic) = (self.inner.clone(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&topic), ASKING)?;
            match metadata.topics().first() {
                Some(topic) if topic.error().is_none() && !topic.partitions().is_empty() => Ok(()),
                Some(topic) => {
                    let code = topic.error().map_or(Code::UnknownTopicOrPartition, Code::from);
                    Err(KafkaError::MetadataFetch(code))
                }
                None => Err(KafkaError::MetadataFetch(Code::UnknownTopicOrPartition)),
            }
        });
        asked.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Another producer instead of one that has failed. What that one still had is given up.
    async fn replace(&mut self) {
        match self.config.create() {
            Ok(producer) => {
                let old = std::mem::replace(&mut self.inner, producer);
                // It waits for its threads.
                if let Err(error) = tokio::task::spawn_blocking(move || drop(old)).await {
                    tracing::error!(%error, "a producer did not end");
                }
            }
            Err(error) => tracing::error!(%error, "cannot make another producer"),
        }
    }
}

async fn acknowledged(future: DeliveryFuture) -> Result<(), KafkaError> {
    match future.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}

/// Whether the record is what is wrong, so that it can never be taken.
fn is_poison(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::MessageSizeTooLarge
                | Code::InvalidMessage
                | Code::InvalidMessageSize
                | Code::InvalidRecord
                | Code::InvalidTopic
                | Code::InvalidTimestamp
        )
    )
}
