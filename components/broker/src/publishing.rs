//! Publishing: what of a batch is at the brokers, and what is not.

use std::{collections::HashSet, time::Duration};

use events::{Envelope, Receipt, Refused};
use futures::future::{Either, select};
use web::{Error, Result, variable};

use crate::{
    message::Message,
    mqtt::{self, Access},
    redis,
};

/// Brokers that take longer for a batch are not there. Shorter than a relay waits for us.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where events go.
struct Brokers {
    redis: Option<String>,
    mqtt: Option<Access>,
}

impl Brokers {
    async fn read() -> Result<Self> {
        let mqtt = match variable::get("mqtt_url").await? {
            Some(url) => Some(Access {
                url,
                username: variable::get("mqtt_username").await?.unwrap_or_default(),
                password: variable::get("mqtt_password").await?.unwrap_or_default(),
            }),
            None => None,
        };
        Ok(Self { redis: variable::get("redis_url").await?, mqtt })
    }

    /// MQTT first: of Redis more is asked, and whoever reads its stream need not see twice what waits for MQTT.
    async fn publish(&self, messages: &[Message<'_>]) -> Result<Vec<(usize, String)>, String> {
        if self.redis.is_none() && self.mqtt.is_none() {
            return Err("neither redis_url nor mqtt_url says where events go".to_owned());
        }
        let refused = match &self.mqtt {
            Some(access) => mqtt::publish(access, messages).await?,
            None => Vec::new(),
        };
        if let Some(url) = &self.redis {
            redis::publish(url, messages).await?;
        }
        Ok(refused)
    }
}

/// Publishes a batch. The receipt lists what the brokers do not take for its own sake; 503 when one of them takes nothing.
pub(crate) async fn publish(batch: &[Envelope]) -> Result<Receipt> {
    let mut refusals = Vec::new();
    let mut messages = Vec::with_capacity(batch.len());
    let mut places = Vec::with_capacity(batch.len());
    for (place, event) in batch.iter().enumerate() {
        match Message::of(event) {
            Ok(message) => {
                messages.push(message);
                places.push(place);
            }
            Err(error) => refusals.push((place, error)),
        }
    }
    if !messages.is_empty() {
        let brokers = Brokers::read().await?;
        let publishing = Box::pin(brokers.publish(&messages));
        let outcome = match select(publishing, Box::pin(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let refused = outcome.map_err(|error| {
            eprintln!("broker: {error}");
            Error::Unavailable("the broker".into())
        })?;
        refusals.extend(refused.into_iter().map(|(message, error)| (places[message], error)));
    }
    Ok(receipt(batch, refusals))
}

/// What is refused, and what must wait for it because it is of the same subject.
fn receipt(batch: &[Envelope], refusals: Vec<(usize, String)>) -> Receipt {
    let mut blocked: HashSet<&str> = HashSet::new();
    let mut receipt = Receipt::default();
    for (position, event) in batch.iter().enumerate() {
        let refusal = refusals.iter().find(|(refused, _)| *refused == position);
        if blocked.contains(event.subject.as_str()) {
            let error = "an earlier event of its subject was refused".to_owned();
            receipt.refused.push(Refused { position, error, waiting: true });
        } else if let Some((_, error)) = refusal {
            blocked.insert(&event.subject);
            receipt.refused.push(Refused { position, error: error.clone(), waiting: false });
        }
    }
    receipt
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(subject: &str) -> Envelope {
        let envelope = json!({
            "eventId": "0190f3c1-8f7e-7c3a-9c8e-4f0d6a1b2c3d", "eventType": "ORDER_PLACED", "eventVersion": 1,
            "occurredAt": "2026-11-23T08:00:00.000Z", "producer": "orders", "subject": subject, "data": {}
        });
        serde_json::from_value(envelope).unwrap()
    }

    #[test]
    fn what_is_refused_is_alone_but_for_what_follows_it_in_its_subject() {
        let batch = [event("order/1"), event("order/2"), event("order/1"), event("order/3")];
        let receipt = receipt(&batch, vec![(0, "too large".to_owned())]);
        let seen: Vec<_> =
            receipt.refused.iter().map(|refused| (refused.position, refused.error.as_str(), refused.waiting)).collect();
        assert_eq!(seen, [(0, "too large", false), (2, "an earlier event of its subject was refused", true)]);
    }
}
