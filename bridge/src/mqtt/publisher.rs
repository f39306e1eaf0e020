//! To the shop by MQTT: an event is published until the shop has said that it has seen to it. A message that nobody hears is
//! gone, though the broker has acknowledged it; so the shop says so, by the SHA-256 of what it has heard, on a topic.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS, SubscribeReasonCode};
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, task::AbortHandle, time::timeout};
use uuid::Uuid;

use super::{LONGEST_DEAD, options};
use crate::{
    config::{self, KafkaToMqtt},
    inbound::Letter,
    status::Side,
};

/// So long nothing may be heard of what was published.
const PATIENCE: Duration = Duration::from_secs(15);

/// Publishes what comes from Kafka.
pub struct Publisher {
    options: MqttOptions,
    config: KafkaToMqtt,
    side: Side,
    link: Option<Link>,
    /// What has been seen to of the letters that are being put.
    done: HashSet<String>,
    /// How often in a row nothing was heard.
    in_vain: usize,
}

/// A connection.
struct Link {
    client: AsyncClient,
    heard: mpsc::UnboundedReceiver<Heard>,
    task: AbortHandle,
}

enum Heard {
    /// The broker has a message.
    Acknowledged,
    /// The shop has seen to the event with this name.
    Done(String),
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Publisher {
    /// One that connects when it is looked at.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be meant.
    pub fn new(mqtt: &config::Mqtt, config: KafkaToMqtt, side: Side) -> Result<Self> {
        let options = options(mqtt, format!("bodega-bridge-{}", Uuid::new_v4().simple()), config.batch)?;
        Ok(Self { options, config, side, link: None, done: HashSet::new(), in_vain: 0 })
    }

    /// Sees to it that there is a connection.
    pub async fn look(&mut self) {
        match self.link().await {
            Ok(mut link) => {
                // What other bridges have published.
                while link.heard.try_recv().is_ok() {}
                self.link = Some(link);
            }
            Err(error) => self.side.down(format!("{error:#}")),
        }
    }

    /// Publishes all of them, in order, and returns when the shop has seen to them. Whoever repeats it after an error
    /// publishes only what is missing.
    pub async fn put(&mut self, letters: &[Letter]) -> Result<()> {
        loop {
            match self.publish(letters).await {
                Ok(0) => {
                    self.done.clear();
                    return Ok(());
                }
                Ok(_) if self.in_vain == 0 => {}
                Ok(missing) => bail!("the shop has not said that it has seen to {missing} events"),
                Err(error) => {
                    self.side.down(format!("{error:#}"));
                    return Err(error);
                }
            }
        }
    }

    /// Publishes what is missing, or one of it while nobody is heard. Says how many are missing then.
    async fn publish(&mut self, letters: &[Letter]) -> Result<usize> {
        let missing: Vec<(String, &Letter)> = letters.iter().map(|letter| (name(letter), letter)).collect();
        let missing: Vec<_> = missing.into_iter().filter(|(name, _)| !self.done.contains(name)).collect();
        if missing.is_empty() {
            return Ok(0);
        }
        let now = match self.in_vain {
            0 => &missing[..],
            turn => std::slice::from_ref(&missing[turn % missing.len()]),
        };
        let mut link = self.link().await?;
        let mut waiting: HashSet<&str> = HashSet::new();
        for (name, letter) in now {
            let (topic, payload) = match &letter.reason {
                Some(reason) => (&self.config.dead, epitaph(letter, reason)),
                None => (&self.config.topic, letter.event.clone()),
            };
            link.client.publish_bytes(topic, QoS::AtLeastOnce, false, payload).await?;
            if letter.reason.is_none() {
                waiting.insert(name);
            }
        }
        let mut unacknowledged = now.len();
        while unacknowledged > 0 || !waiting.is_empty() {
            match timeout(PATIENCE, link.heard.recv()).await {
                Ok(Some(Heard::Acknowledged)) => unacknowledged = unacknowledged.saturating_sub(1),
                Ok(Some(Heard::Done(name))) => {
                    if waiting.remove(&name[..]) {
                        self.done.insert(name);
                    }
                }
                Ok(None) => bail!("the connection has ended"),
                Err(_) if unacknowledged > 0 => bail!("the broker does not acknowledge"),
                Err(_) => break,
            }
        }
        let dead = now.iter().filter(|(_, letter)| letter.reason.is_some());
        self.done.extend(dead.map(|(name, _)| name.clone()));
        self.in_vain = if waiting.is_empty() { 0 } else { self.in_vain + 1 };
        self.link = Some(link);
        Ok(missing.iter().filter(|(name, _)| !self.done.contains(name)).count())
    }

    /// The connection, which whoever takes it puts back when it is well.
    async fn link(&mut self) -> Result<Link> {
        if let Some(link) = self.link.take().filter(|link| !link.task.is_finished()) {
            return Ok(link);
        }
        let (client, mut events) = AsyncClient::new(self.options.clone(), self.config.batch + 10);
        client.subscribe(&self.config.done, QoS::AtLeastOnce).await?;
        let greeted = async {
            loop {
                if let Event::Incoming(Incoming::SubAck(answer)) = events.poll().await? {
                    let refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
                    ensure!(!refused, "the broker refuses kafka_to_mqtt.done");
                    return Ok(());
                }
            }
        };
        timeout(PATIENCE, greeted).await.context("the broker does not answer")??;
        let (sender, heard) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                let heard = match event {
                    Event::Incoming(Incoming::PubAck(_)) => Heard::Acknowledged,
                    Event::Incoming(Incoming::Publish(message)) => {
                        Heard::Done(String::from_utf8_lossy(&message.payload).into_owned())
                    }
                    _ => continue,
                };
                if sender.send(heard).is_err() {
                    break;
                }
            }
        });
        self.side.up();
        Ok(Link { client, heard, task: task.abort_handle() })
    }
}

/// What the shop calls it. A dead letter is not for the shop.
fn name(letter: &Letter) -> String {
    match &letter.reason {
        Some(_) => letter.origin.clone(),
        None => Sha256::digest(&letter.event).iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// What is published of a dead letter.
fn epitaph(letter: &Letter, reason: &str) -> Bytes {
    let text = String::from_utf8_lossy(&letter.event[..letter.event.len().min(LONGEST_DEAD)]);
    serde_json::json!({"origin": letter.origin, "reason": reason, "event": text}).to_string().into()
}
