//! MQTT: what components publish, and what they are told.

use std::time::Duration;

use http::Method;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use serde_json::{Value, json};
use servers::{Mosquitto, RabbitMq, needs};

use crate::fixture::{Answer, Fixture, request, start};
use crate::redis::allowing;

/// Somebody who listens to all topics.
pub struct Listener {
    events: EventLoop,
    _client: AsyncClient,
}

impl Listener {
    /// Listens at the broker on this port; whatever is published from now on will be heard.
    pub async fn start(port: u16) -> Self {
        let mut options = MqttOptions::new("listener", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, events) = AsyncClient::new(options, 10);
        client.subscribe("#", QoS::ExactlyOnce).await.unwrap();
        let mut listener = Self { events, _client: client };
        while !matches!(listener.incoming().await, Incoming::SubAck(_)) {}
        listener
    }

    /// The next message, as quality of service, topic and payload.
    pub async fn next(&mut self) -> String {
        loop {
            if let Incoming::Publish(message) = self.incoming().await {
                let payload = String::from_utf8_lossy(&message.payload);
                return format!("{} {} {payload}", message.qos as u8, message.topic);
            }
        }
    }

    async fn incoming(&mut self) -> Incoming {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), self.events.poll());
            if let Event::Incoming(packet) = event.await.unwrap().unwrap() {
                return packet;
            }
        }
    }
}

pub async fn publish(fixture: &Fixture, address: &str, messages: Value) -> Answer {
    let address = address.replace('&', "%26");
    let path = format!("/probe/mqtt?password=guest&address={address}");
    fixture.send(request(Method::POST, &path, &messages.to_string())).await
}

#[tokio::test]
async fn publishes_with_each_quality_of_service() {
    needs!("mosquitto");
    let mosquitto = Mosquitto::start();
    let fixture = start(&allowing(&mosquitto.url())).await;
    let mut listener = Listener::start(mosquitto.port()).await;
    let address = format!("{}?client_id=probe", mosquitto.url());
    let messages = json!([["a/0", "none", 0], ["a/1", "one", 1], ["a/2", "two", 2], ["a/1", "again", 1]]);
    publish(&fixture, &address, messages).await.json();
    for message in ["0 a/0 none", "1 a/1 one", "2 a/2 two", "1 a/1 again"] {
        assert_eq!(listener.next().await, message);
    }
}

#[tokio::test]
async fn publishes_at_rabbitmq_too() {
    needs!("rabbitmq-server");
    let rabbitmq = RabbitMq::start();
    let fixture = start(&allowing(&rabbitmq.url())).await;
    let mut listener = Listener::start(rabbitmq.port()).await;
    let address = format!("{}?client_id=probe", rabbitmq.url());
    publish(&fixture, &address, json!([["orders/placed", "one", 1]])).await.json();
    assert_eq!(listener.next().await, "1 orders/placed one");
    let path = format!("/probe/mqtt?password=wrong&address={address}");
    let refused = fixture.send(request(Method::POST, &path, "[[\"t\", \"x\", 1]]")).await;
    assert!(refused.error().contains("ConnectionFailed"), "{}", refused.body);
}

#[tokio::test]
async fn addresses_are_checked_when_a_connection_is_opened() {
    needs!("mosquitto");
    let mosquitto = Mosquitto::start();
    let allowed = format!("{}?client_id=probe", mosquitto.url());
    let elsewhere = format!("mqtt://127.0.0.1:{}", servers::free_port());
    for hosts in ["http://*:*", "mqtts://*:*", &elsewhere, ""] {
        let fixture = start(&allowing(hosts)).await;
        let refused = publish(&fixture, &allowed, json!([])).await;
        assert!(refused.error().contains("not permitted"), "{hosts}: {}", refused.body);
    }
    let fixture = start(&allowing("mqtt://*:*")).await;
    publish(&fixture, &allowed, json!([])).await.json();
    for bad in [&mosquitto.url(), "mqtt://localhost?client_id=a&nonsense=1"] {
        let refused = publish(&fixture, bad, json!([])).await;
        assert!(refused.error().contains("InvalidAddress"), "{bad}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_broker_that_is_gone_is_an_error_when_something_is_published() {
    needs!("mosquitto");
    let mut mosquitto = Mosquitto::start();
    let fixture = start(&allowing(&mosquitto.url())).await;
    let address = format!("{}?client_id=probe", mosquitto.url());
    mosquitto.kill();
    publish(&fixture, &address, json!([])).await.json();
    for qos in 0..3 {
        let refused = publish(&fixture, &address, json!([["t", "x", qos]])).await;
        assert!(refused.error().contains("ConnectionFailed"), "{}", refused.body);
    }
    mosquitto.start_again();
    let mut listener = Listener::start(mosquitto.port()).await;
    publish(&fixture, &address, json!([["t", "back", 1]])).await.json();
    assert_eq!(listener.next().await, "1 t back");
}

/// As in Spin: who wants to send more says so in the address.
#[tokio::test]
async fn a_message_above_ten_kibibytes_needs_a_word_in_the_address() {
    needs!("mosquitto");
    let mosquitto = Mosquitto::start();
    let fixture = start(&allowing(&mosquitto.url())).await;
    let mut listener = Listener::start(mosquitto.port()).await;
    let payload = "x".repeat(20_000);
    let address = format!("{}?client_id=probe", mosquitto.url());
    let refused = publish(&fixture, &address, json!([["t", payload, 1]])).await;
    assert!(refused.error().contains("ConnectionFailed"), "{}", refused.body);
    let sizes = "&max_incoming_packet_size_bytes=100000&max_outgoing_packet_size_bytes=100000";
    publish(&fixture, &(address + sizes), json!([["t", payload, 1]])).await.json();
    assert_eq!(listener.next().await, format!("1 t {payload}"));
}
