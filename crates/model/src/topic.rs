//! Where events go outside of the shop: one table for all brokers.
//!
//! Clients of several families of shop listen at names of their own, so most events have more than one. All copies of an
//! event are the same bytes with the same id.

/// What the events of the shop are called at brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topics {
    /// The type of event, such as `ORDER_PLACED`.
    pub event_type: &'static str,
    /// Topics of Kafka, which are channels of Redis and topics of MQTT as well. The key is the subject.
    pub kafka: &'static [&'static str],
    /// Names of queues: topics of MQTT, which RabbitMQ routes to what is bound to `amq.topic`, and channels of Redis.
    pub queues: &'static [&'static str],
    /// Further channels of Redis alone.
    pub channels: &'static [&'static str],
    /// Further streams of Redis, beside [`STREAM`], which has every event.
    pub streams: &'static [&'static str],
}

impl Topics {
    /// The channels of Redis on which it is published.
    pub fn channels(&self) -> impl Iterator<Item = &'static str> {
        self.kafka.iter().chain(self.queues).chain(self.channels).copied()
    }

    /// The topics of MQTT on which it is published.
    pub fn mqtt(&self) -> impl Iterator<Item = &'static str> {
        self.kafka.iter().chain(self.queues).copied()
    }
}

/// The stream of Redis that has every event of the shop.
pub const STREAM: &str = "bodega:events";
/// The stream of Redis that the shop takes events of others from, and the channel that says that there is something in it.
pub const INBOUND: &str = "bodega:inbound";
/// Where what the shop has refused for ever goes from there.
pub const INBOUND_DEAD: &str = "bodega:inbound:dead";

macro_rules! topics {
    ($($event_type:literal => kafka [$($kafka:literal),*] $(queues [$($queue:literal),*])?
        $(channels [$($channel:literal),*] streams [$($stream:literal),*])?;)+) => {
        /// The topics of every type of event.
        pub const ALL: &[Topics] = &[$(Topics {
            event_type: $event_type,
            kafka: &[$($kafka),*],
            queues: &[$($($queue),*)?],
            channels: &[$($($channel),*)?],
            streams: &[$($($stream),*)?],
        },)+];
    };
}

topics! {
    "USER_CREATED" => kafka ["user-events"];
    "USER_UPDATED" => kafka ["user-events"];
    "USER_DELETED" => kafka ["user-events"];
    "PRODUCT_CREATED" => kafka ["product.events", "product-events"];
    "PRODUCT_UPDATED" => kafka ["product.events", "product-events"];
    "PRODUCT_DELETED" => kafka ["product.events", "product-events"];
    "STOCK_CHANGED" => kafka ["inventory.events"];
    "STOCK_LOW" => kafka ["inventory.events"] channels ["inventory:low-stock"] streams ["inventory:low-stock:stream"];
    "ORDER_PLACED" => kafka ["order-events", "order.placed"] queues ["order_created"];
    "ORDER_CHANGED" => kafka ["order-events"];
    "INVENTORY_RESERVED" => kafka ["inventory.events"] queues ["inventory_reserved"];
    "INVENTORY_REJECTED" => kafka ["inventory.events"] queues ["inventory_failed"];
    "ORDER_RESERVED" => kafka ["order-events"];
    "PAYMENT_AUTHORIZED" => kafka ["payment-events"];
    "PAYMENT_SUCCEEDED" => kafka ["payment-events", "payments.events"];
    "PAYMENT_FAILED" => kafka ["payment-events", "payments.events"];
    "PAYMENT_REFUNDED" => kafka ["payment-events"];
    "REFUND_FAILED" => kafka ["payment-events"];
    "ORDER_PAID" => kafka ["order-events"];
    "ORDER_FAILED" => kafka ["order-events"] queues ["inventory_release"];
    "ORDER_CANCELLED" => kafka ["order-events"] queues ["inventory_release"];
    "ORDER_SHIPPED" => kafka ["order-events"];
    "ORDER_DELIVERED" => kafka ["order-events"];
    "ORDER_RETURNED" => kafka ["order-events"];
    "ITEMS_RESTOCKED" => kafka ["order-events"];
    "REFUND_REQUESTED" => kafka ["order-events"];
    "ORDER_REFUNDED" => kafka ["order-events"];
    "DISCOUNT_USED" => kafka ["order-events"];
    "DISCOUNT_RELEASED" => kafka ["order-events"];
}

/// The topics of a type of event; `None` when it is none of the shop's.
pub fn of(event_type: &str) -> Option<&'static Topics> {
    ALL.iter().find(|topics| topics.event_type == event_type)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_type_of_event_has_its_topics_and_nothing_else_has() {
        let mapped: Vec<_> = ALL.iter().map(|topics| topics.event_type).collect();
        let known: Vec<_> = crate::event::ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(mapped, known, "in the same order");
        assert!(ALL.iter().all(|topics| !topics.kafka.is_empty()));
        assert_eq!(of("NOT_OURS"), None);
        assert_eq!(
            of("ORDER_PLACED").unwrap().mqtt().collect::<Vec<_>>(),
            ["order-events", "order.placed", "order_created"]
        );
    }

    #[test]
    fn all_names_that_clients_know_are_there() {
        let names: BTreeSet<_> =
            ALL.iter().flat_map(|topics| topics.channels().chain(topics.streams.iter().copied())).collect();
        let known = [
            "inventory.events",
            "inventory:low-stock",
            "inventory:low-stock:stream",
            "inventory_failed",
            "inventory_release",
            "inventory_reserved",
            "order-events",
            "order.placed",
            "order_created",
            "payment-events",
            "payments.events",
            "product-events",
            "product.events",
            "user-events",
        ];
        assert_eq!(names, known.into());
    }

    #[test]
    fn kafka_would_take_its_names() {
        let allowed = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        assert!(ALL.iter().flat_map(|topics| topics.kafka).all(|name| allowed(name)));
    }
}
