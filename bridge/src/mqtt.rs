//! MQTT: from the shop's topics to Kafka; the other way is [`publisher`].
//!
//! Each connection has a client of its own. One that connects again by itself could acknowledge, on the new connection, a
//! message of the old one, whose number may be another's by then; and that one would be lost.

pub mod publisher;

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rumqttc::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions, Publish, QoS, SubscribeFilter, SubscribeReasonCode, Transport,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    backoff::Backoff,
    config::{self, MqttToKafka},
    event,
    kafka::{Parcel, Producer, Record, Verdict},
    lease::Lease,
    redis::is_topic,
    status::{Route, Side},
};

/// A larger message ends the connection. Kafka takes one of a megabyte, if nobody has told it otherwise.
const LARGEST: usize = 32 * 1024 * 1024;
/// So much of a dead letter is kept.
const LONGEST_DEAD: usize = 512 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How to connect.
fn options(config: &config::Mqtt, client_id: String, inflight: usize) -> Result<MqttOptions> {
    // Not what is wrong with it, which could quote the password.
    let url = Url::parse(config.url.reveal()).map_err(|_| anyhow::anyhow!("mqtt.url is not an address"))?;
    let (tls, port) = match url.scheme() {
        "mqtt" | "tcp" => (false, 1883),
        "mqtts" | "ssl" => (true, 8883),
        _ => bail!("mqtt.url must begin with mqtt:// or mqtts://"),
    };
    let host = url.host_str().context("mqtt.url has no host")?;
    let mut options = MqttOptions::new(client_id, host, url.port().unwrap_or(port));
    if tls {
        options.set_transport(match &config.ca_file {
            Some(file) => {
                let ca = fs::read(file).with_context(|| format!("mqtt.ca_file: {} cannot be read", file.display()))?;
                Transport::tls(ca, None, None)
            }
            None => Transport::tls_with_default_config(),
        });
    }
    if !url.username().is_empty() {
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        options.set_credentials(decoded(url.username()), decoded(url.password().unwrap_or_default()));
    }
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(LARGEST, LARGEST);
    options.set_inflight(u16::try_from(inflight).unwrap_or(u16::MAX));
    Ok(options)
}

/// Checks what the configuration says of MQTT.
///
/// # Errors
///
/// If it cannot be meant.
pub fn check(config: &config::Mqtt) -> Result<()> {
    options(config, "check".into(), 1).map(|_| ())
}

/// The way from the shop's topics to Kafka.
pub struct ToKafka {
    mqtt: config::Mqtt,
    config: MqttToKafka,
    producer: Producer,
    /// Of several bridges with one session, one is connected; the broker would end the connection of the other.
    lease: Option<Lease>,
    side: Side,
    route: Route,
}

impl ToKafka {
    /// One that has not begun.
    pub fn new(
        mqtt: config::Mqtt,
        config: MqttToKafka,
        producer: Producer,
        lease: Option<Lease>,
        side: Side,
        route: Route,
    ) -> Self {
        Self { mqtt, config, producer, lease, side, route }
    }

    /// Carries messages until it is told to stop. What was read then still arrives.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.take_part(&stop, &mut backoff).await {
                Ok(()) => backoff = Backoff::default(),
                Err(error) => {
                    self.route.failures.inc();
                    self.side.down(format!("{error:#}"));
                    tokio::select! { () = backoff.wait() => {}, () = stop.cancelled() => {} }
                }
            }
        }
        if let Some(lease) = &mut self.lease
            && let Err(error) = lease.give_back().await
        {
            tracing::warn!(%error, "the lease could not be given back; it runs out");
        }
    }

    /// Waits for the lease, and carries messages as long as it has it.
    async fn take_part(&mut self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<()> {
        let Some(mut lease) = self.lease.clone() else { return self.connect(stop, backoff).await };
        while !lease.take().await? {
            // Whoever stands by is well.
            self.side.up();
            tokio::select! { () = lease.stand_by() => {}, () = stop.cancelled() => return Ok(()) }
        }
        let mut keeper = lease.clone();
        tokio::select! {
            done = self.connect(stop, backoff) => done,
            () = keeper.keep() => bail!("the lease is lost"),
        }
    }

    /// One connection.
    async fn connect(&mut self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<()> {
        let mut options = options(&self.mqtt, self.config.client_id.clone(), self.config.batch)?;
        options.set_clean_session(false);
        options.set_manual_acks(true);
        // There is room for whatever can be acknowledged, which so never waits for what waits for it.
        let (client, mut events) = AsyncClient::new(options, usize::from(u16::MAX) + 10);
        let filters = self.config.topics.iter().map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
        client.subscribe_many(filters).await?;
        let (sender, messages) = mpsc::channel(self.config.batch);
        let done = tokio::select! {
            done = listen(&mut events, sender, &mut self.side, &self.route, backoff) => done,
            done = carry(&mut self.producer, &self.config, &self.route, client.clone(), messages, stop) => done,
        };
        self.route.active.set(0);
        if done.is_ok() {
            // The last acknowledgements are in front of it.
            client.disconnect().await?;
            let rest = async { while events.poll().await.is_ok() {} };
            _ = timeout(Duration::from_secs(2), rest).await;
        }
        done
    }
}

/// Listens until the connection ends.
async fn listen(
    events: &mut EventLoop,
    sender: mpsc::Sender<Publish>,
    side: &mut Side,
    route: &Route,
    backoff: &mut Backoff,
) -> Result<()> {
    loop {
        match events.poll().await? {
            Event::Incoming(Incoming::ConnAck(_)) => {}
            Event::Incoming(Incoming::SubAck(answer)) => {
                let refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
                ensure!(!refused, "the broker refuses a topic of mqtt_to_kafka.topics");
                *backoff = Backoff::default();
                side.up();
                route.active.set(1);
            }
            // If there is no room, nothing is read, and the broker may end the connection: it has them all.
            Event::Incoming(Incoming::Publish(message)) => sender.send(message).await?,
            _ => {}
        }
    }
}

/// Brings messages to Kafka and acknowledges them, until it is told to stop.
async fn carry(
    producer: &mut Producer,
    config: &MqttToKafka,
    route: &Route,
    client: AsyncClient,
    mut messages: mpsc::Receiver<Publish>,
    stop: &CancellationToken,
) -> Result<()> {
    let mut batch = Vec::with_capacity(config.batch);
    loop {
        batch.clear();
        let count = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            count = messages.recv_many(&mut batch, config.batch) => count,
        };
        ensure!(count > 0, "the connection has ended");
        route.read.inc_by(count as u64);
        route.pending.set(i64::try_from(count + messages.len()).unwrap_or(i64::MAX));
        deliver(producer, config, route, &batch).await;
        for message in &batch {
            client.ack(message).await?;
        }
        route.pending.set(i64::try_from(messages.len()).unwrap_or(i64::MAX));
    }
}

async fn deliver(producer: &mut Producer, config: &MqttToKafka, route: &Route, batch: &[Publish]) {
    let parcels: Vec<Result<Parcel, String>> = batch.iter().map(|message| parcel(config, message)).collect();
    let good: Vec<Parcel> = parcels.iter().filter_map(|parcel| parcel.as_ref().ok().cloned()).collect();
    let mut verdicts = producer.deliver(&good).await.into_iter();
    let (mut delivered, mut dead) = (0, Vec::new());
    for (message, parcel) in batch.iter().zip(parcels) {
        let reason = match parcel {
            Err(reason) => reason,
            Ok(_) => match verdicts.next() {
                Some(Verdict::Poison(reason)) => reason,
                _ => {
                    delivered += 1;
                    continue;
                }
            },
        };
        tracing::warn!(topic = message.topic, reason, "a message is parked among the dead letters");
        let headers = vec![("reason", reason), ("topic", message.topic.clone())];
        let value = message.payload.slice(..message.payload.len().min(LONGEST_DEAD));
        dead.push(vec![Record { topic: config.dead.clone(), key: None, headers, value }]);
    }
    for verdict in producer.deliver(&dead).await {
        if let Verdict::Poison(reason) = verdict {
            tracing::error!(reason, "a dead letter is lost: Kafka does not take it");
        }
    }
    route.delivered(delivered);
    route.parked.inc_by(dead.len() as u64);
}

/// The record of a message.
fn parcel(config: &MqttToKafka, message: &Publish) -> Result<Parcel, String> {
    let envelope = event::envelope(&message.payload)?;
    let topic = config.map.get(&message.topic).unwrap_or(&message.topic);
    if !is_topic(topic) {
        return Err(format!("{topic} is no name of a Kafka topic"));
    }
    let value = message.payload.clone();
    Ok(vec![Record { topic: topic.clone(), key: envelope.subject, headers: envelope.headers, value }])
}
