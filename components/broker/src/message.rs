//! What an event looks like outside of the shop: its envelope, with the attributes of CloudEvents beside it. Pure.

use events::Envelope;
use model::{
    Timestamp,
    topic::{self, Topics},
};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// An event as it is published.
pub(crate) struct Message<'a> {
    pub(crate) event: &'a Envelope,
    pub(crate) topics: &'static Topics,
    /// CloudEvents 1.0 in structured mode: <https://github.com/cloudevents/spec>.
    pub(crate) json: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structured<'a> {
    specversion: &'static str,
    id: Uuid,
    source: String,
    r#type: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    event_id: Uuid,
    event_type: &'a str,
    event_version: u32,
    occurred_at: Timestamp,
    producer: &'a str,
    subject: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: &'a RawValue,
}

impl<'a> Message<'a> {
    /// The error says why the event can never be published.
    pub(crate) fn of(event: &'a Envelope) -> Result<Self, String> {
        let topics = topic::of(&event.event_type).ok_or_else(|| format!("{} has no topics", event.event_type))?;
        let json = serde_json::to_string(&Structured {
            specversion: "1.0",
            id: event.event_id,
            source: format!("/bodega/{}", event.producer),
            r#type: &event.event_type,
            time: event.occurred_at,
            datacontenttype: "application/json",
            event_id: event.event_id,
            event_type: &event.event_type,
            event_version: event.event_version,
            occurred_at: event.occurred_at,
            producer: &event.producer,
            subject: &event.subject,
            traceparent: event.traceparent.as_deref(),
            data: &event.data,
        });
        Ok(Self { event, topics, json: json.map_err(|error| error.to_string())? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn envelope(kind: &str) -> Envelope {
        let envelope = json!({
            "eventId": "0190f3c1-8f7e-7c3a-9c8e-4f0d6a1b2c3d", "eventType": kind, "eventVersion": 1,
            "occurredAt": "2026-11-23T08:00:00.000Z", "producer": "orders", "subject": "order/17",
            "data": { "orderId": 17, "total": 12.50 }
        });
        serde_json::from_value(envelope).unwrap()
    }

    #[test]
    fn an_envelope_is_a_cloud_event_as_well() {
        let envelope = envelope("ORDER_PLACED");
        let message = Message::of(&envelope).unwrap();
        let json: Value = serde_json::from_str(&message.json).unwrap();
        for (field, value) in [
            ("specversion", "1.0"),
            ("id", "0190f3c1-8f7e-7c3a-9c8e-4f0d6a1b2c3d"),
            ("source", "/bodega/orders"),
            ("type", "ORDER_PLACED"),
            ("time", "2026-11-23T08:00:00.000Z"),
            ("datacontenttype", "application/json"),
        ] {
            assert_eq!(json[field], value);
        }
        let own = serde_json::to_value(&envelope).unwrap();
        for (field, value) in own.as_object().unwrap() {
            assert_eq!(&json[field], value, "{field}");
        }
    }

    #[test]
    fn what_nobody_knows_is_not_published() {
        assert!(Message::of(&envelope("ORDER_SUNG")).is_err());
    }
}
