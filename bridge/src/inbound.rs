//! From Kafka to where the shop reads: a Redis stream, or an MQTT topic.
//!
//! A message is committed when the far side has it: the stream, where it waits for the shop; or, as MQTT keeps nothing for
//! a shop that does not listen, the shop itself. Until then nothing behind it is read: what is not wanted there piles
//! up in Kafka, not here.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use futures::FutureExt;
use prometheus::IntGauge;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::KafkaResult,
    message::BorrowedMessage,
};
use redis::aio::ConnectionManager;
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    config::{self, KafkaToRedis},
    event::{self, Inbound},
    kafka,
    mqtt::publisher::Publisher,
    status::Route,
};

/// How often the far side is looked at while there is nothing for it, and how often it is counted what waits.
const LOOK: Duration = Duration::from_secs(1);
/// For Kafka to say what waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The shop deletes from the stream what it has seen to.
const NUDGE: &str = "if redis.call('XLEN', KEYS[1]) > 0 then redis.call('PUBLISH', ARGV[1], KEYS[1]) end return redis.status_reply('OK')";

/// One for the far side.
pub struct Letter {
    /// Where it is in Kafka, such as `payments.events/0/15`: the same each time that it comes.
    pub origin: String,
    /// The event; of a dead letter, what there was instead.
    pub event: Bytes,
    /// Why it is dead.
    pub reason: Option<String>,
}

/// The far side.
pub enum Far {
    /// A stream, and a channel that says that there is something in it.
    Redis(ConnectionManager, KafkaToRedis),
    /// A topic.
    Mqtt(Box<Publisher>),
}

impl Far {
    /// Puts all of them there, in order. If it fails, some may be there.
    async fn put(&mut self, letters: &[Letter]) -> Result<()> {
        match self {
            Self::Redis(redis, config) => {
                let mut pipe = redis::pipe();
                pipe.atomic();
                for Letter { origin, event, reason } in letters {
                    let stream = if reason.is_some() { &config.dead } else { &config.stream };
                    let entry =
                        pipe.cmd("XADD").arg(stream).arg("*").arg("event").arg(&event[..]).arg("origin").arg(origin);
                    if let Some(reason) = reason {
                        entry.arg("reason").arg(reason);
                    }
                    entry.ignore();
                }
                if letters.iter().any(|letter| letter.reason.is_none()) {
                    pipe.cmd("PUBLISH").arg(&config.channel).arg(&config.stream).ignore();
                }
                Ok(pipe.query_async::<()>(redis).await?)
            }
            Self::Mqtt(publisher) => publisher.put(letters).await,
        }
    }

    async fn look(&mut self) {
        match self {
            Self::Redis(redis, config) => {
                // Whoever was not there at the last nudge, or could not do anything then, gets another one.
                let mut nudge = redis::cmd("EVAL");
                nudge.arg(NUDGE).arg(1).arg(&config.stream).arg(&config.channel);
                if let Err(error) = nudge.query_async::<()>(redis).await {
                    tracing::debug!(%error, "the shop cannot be nudged");
                }
            }
            Self::Mqtt(publisher) => publisher.look().await,
        }
    }
}

/// How many messages wait in Kafka, in the parts that are this bridge's.
fn waiting(consumer: &StreamConsumer) -> KafkaResult<i64> {
    let mut count = 0;
    for part in consumer.committed(PATIENCE)?.elements() {
        let (first, end) = consumer.fetch_watermarks(part.topic(), part.partition(), PATIENCE)?;
        count += end - part.offset().to_raw().filter(|next| *next >= first).unwrap_or(first);
    }
    Ok(count)
}

/// Keeps the count of them up to date, until the consumer is gone.
async fn count(consumer: Weak<StreamConsumer>, pending: IntGauge) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(consumer) = consumer.upgrade() else { return };
        // Asking blocks, and so may the end of a consumer that nobody else has.
        let counted = tokio::task::spawn_blocking(move || waiting(&consumer)).await;
        if let Ok(Ok(count)) = counted {
            pending.set(count);
        }
    }
}

/// The way from Kafka.
pub struct FromKafka {
    consumer: Arc<StreamConsumer>,
    topics: Vec<String>,
    batch: usize,
    far: Far,
    route: Route,
}

impl FromKafka {
    /// One that has not begun.
    ///
    /// # Errors
    ///
    /// If the configuration is not one that librdkafka takes.
    pub fn new(
        kafka: &config::Kafka,
        group: &str,
        topics: Vec<String>,
        batch: usize,
        far: Far,
        route: Route,
    ) -> Result<Self> {
        let mut config = kafka::client(kafka);
        config.set("group.id", group);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        // A group that is new begins with what is there.
        config.set("auto.offset.reset", "earliest");
        // A dead bridge's part goes to another one within seconds.
        let usual = [
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1500"),
            ("queued.max.messages.kbytes", "16384"),
        ];
        for (key, value) in usual {
            if config.get(key).is_none() {
                config.set(key, value);
            }
        }
        Ok(Self { consumer: Arc::new(config.create()?), topics, batch, far, route })
    }

    /// Carries messages until it is told to stop.
    ///
    /// # Errors
    ///
    /// If the topics' names cannot be any.
    pub async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&topics)?;
        self.route.active.set(1);
        tokio::spawn(count(Arc::downgrade(&self.consumer), self.route.pending.clone()));
        let mut backoff = Backoff::default();
        loop {
            let first = tokio::select! {
                first = self.consumer.recv() => first,
                () = tokio::time::sleep(LOOK) => {
                    self.far.look().await;
                    continue;
                }
                () = stop.cancelled() => break,
            };
            match first {
                Ok(first) => {
                    backoff = Backoff::default();
                    let (letters, offsets) = self.batch(&first);
                    drop(first);
                    if !self.deliver(letters, &stop).await {
                        break;
                    }
                    self.commit(&offsets);
                }
                Err(error) => {
                    self.route.failures.inc();
                    tracing::warn!(%error, "Kafka cannot be read");
                    tokio::select! { () = backoff.wait() => {}, () = stop.cancelled() => break }
                }
            }
        }
        self.route.active.set(0);
        // Leaving the group takes a moment of Kafka's.
        tokio::task::spawn_blocking(move || drop(self)).await?;
        Ok(())
    }

    /// A message and what has come behind it, and where to go on after them.
    fn batch(&self, first: &BorrowedMessage<'_>) -> (Vec<Letter>, TopicPartitionList) {
        let (mut letters, mut offsets) = (Vec::new(), TopicPartitionList::new());
        self.add(first, &mut letters, &mut offsets);
        for _ in 1..self.batch {
            match self.consumer.recv().now_or_never() {
                Some(Ok(next)) => self.add(&next, &mut letters, &mut offsets),
                // An error comes again, or was none that matters.
                Some(Err(_)) | None => break,
            }
        }
        (letters, offsets)
    }

    fn add(&self, message: &BorrowedMessage<'_>, letters: &mut Vec<Letter>, offsets: &mut TopicPartitionList) {
        self.route.read.inc();
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let next = Offset::Offset(offset + 1);
        if offsets.set_partition_offset(topic, partition, next).is_err() {
            // Only if the offset cannot be one.
            _ = offsets.add_partition_offset(topic, partition, next);
        }
        let origin = format!("{topic}/{partition}/{offset}");
        match event::inbound(message) {
            Inbound::Own => self.route.skipped.inc(),
            Inbound::Pass(event) => letters.push(Letter { origin, event, reason: None }),
            Inbound::Poison(reason) => {
                tracing::warn!(origin, reason, "a message is parked among the dead letters");
                let event = Bytes::copy_from_slice(message.payload().unwrap_or_default());
                letters.push(Letter { origin, event, reason: Some(reason) });
            }
        }
    }

    /// Puts letters to the far side, however long that takes, unless it is told to stop.
    async fn deliver(&mut self, letters: Vec<Letter>, stop: &CancellationToken) -> bool {
        if letters.is_empty() {
            return true;
        }
        let mut backoff = Backoff::default();
        while let Err(error) = self.far.put(&letters).await {
            self.route.failures.inc();
            tracing::warn!(%error, "the far side does not take events from Kafka; they are sent again");
            tokio::select! { () = backoff.wait() => {}, () = stop.cancelled() => return false }
        }
        let parked = letters.iter().filter(|letter| letter.reason.is_some()).count();
        self.route.parked.inc_by(parked as u64);
        self.route.delivered(letters.len() - parked);
        true
    }

    /// Tells Kafka that the far side has them. If that does not get there they come again.
    fn commit(&self, offsets: &TopicPartitionList) {
        if let Err(error) = self.consumer.commit(offsets, CommitMode::Async) {
            tracing::warn!(%error, "an offset could not be committed: its messages come again");
        }
    }
}
