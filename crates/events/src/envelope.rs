use model::{Timestamp, event::Event};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::trace;

/// An event on its way: the same JSON in the outbox, between services and at brokers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Names this event for ever; receivers deduplicate by it.
    pub event_id: Uuid,
    /// Such as `ORDER_PLACED`.
    pub event_type: String,
    /// The version of the payload's shape.
    pub event_version: u32,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The service in which it happened.
    pub producer: String,
    /// What it is about, such as `order/17`.
    pub subject: String,
    /// The W3C trace that led to it, and the event as a span of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The payload, one of [`model::event`].
    pub data: Box<RawValue>,
}

impl Envelope {
    /// Wraps what just happened in `producer`.
    pub(crate) fn new<E: Event>(producer: &str, event: &E) -> Result<Self, serde_json::Error> {
        let event_id = Uuid::now_v7();
        Ok(Self {
            event_id,
            event_type: E::TYPE.to_owned(),
            event_version: E::VERSION,
            occurred_at: Timestamp::now(),
            producer: producer.to_owned(),
            subject: event.subject(),
            // The last half of the id is random, and not zero: the event's span.
            traceparent: trace::current().map(|trace| trace::span(Some(&trace.traceparent), event_id)),
            data: serde_json::value::to_raw_value(event)?,
        })
    }

    /// The payload, when the event is an `E`; `None` when it is of another type.
    pub fn read<E: Event>(&self) -> Option<Result<E, serde_json::Error>> {
        (self.event_type == E::TYPE).then(|| serde_json::from_str(self.data.get()))
    }
}

#[cfg(test)]
mod tests {
    use model::{OrderId, event::InventoryReserved};

    use super::*;

    #[test]
    fn the_wire_format_is_the_documented_one() {
        let envelope = Envelope::new("inventory", &InventoryReserved { order_id: OrderId(17) }).unwrap();
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&envelope).unwrap()).unwrap();
        assert_eq!(json["eventType"], "INVENTORY_RESERVED");
        assert_eq!(json["eventVersion"], 1);
        assert_eq!(json["producer"], "inventory");
        assert_eq!(json["subject"], "order/17");
        assert_eq!(json["data"], serde_json::json!({ "orderId": 17 }));
        assert!(json["occurredAt"].as_str().unwrap().ends_with('Z'));
        let back: Envelope = serde_json::from_value(json).unwrap();
        assert_eq!(back.read::<InventoryReserved>().unwrap().unwrap().order_id, OrderId(17));
        assert!(back.read::<model::event::OrderPaid>().is_none());
    }
}
