//! Inbound by MQTT: events of others are handed to the shop as they come. What the shop has taken is said on a topic: until
//! the bridge hears it there, it publishes the event again, because a message that nobody hears is gone.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use inbound::Outcome;
use serde_json::json;
use spin_sdk::{
    mqtt::{Connection, Qos},
    time::sleep,
};
use uuid::Uuid;
use web::variable;

/// Where it is said that an event has been seen to, by its name.
const DONE: &str = "bodega/inbound/done";
/// Where events are published that the shop refuses.
const DEAD: &str = "bodega/inbound/dead";
const KEEP_ALIVE: u64 = 60;
/// Of one message; the client's own default is 10 KiB.
const LONGEST: u32 = 256 * 1024 * 1024 - 1;
/// How long it waits before it hands over an event once more that the shop cannot take now, or fails over.
const WAITS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(8)];

mod trigger {
    #![allow(missing_docs, reason = "generated code")]

    spin_sdk::wit_bindgen::generate!({
        path: "../../host/wit/deps/spin-mqtt-trigger@3.0.0",
        world: "spin-mqtt",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });

    struct Mqtt;
    export!(Mqtt);

    impl Guest for Mqtt {
        async fn handle_message(message: Payload, _: Metadata) -> Result<(), Error> {
            super::handle(message).await.map_err(|error| Error::Other(format!("{error:#}")))
        }
    }
}

async fn handle(event: Vec<u8>) -> Result<()> {
    let refused = match deliver(&event).await {
        Outcome::Taken => None,
        Outcome::Refused(reason) | Outcome::Failed(reason) => Some(reason),
        Outcome::Later(reason) | Outcome::Away(reason) => bail!("an event comes again: {reason}"),
    };
    let broker = connect().await?;
    if let Some(reason) = refused {
        eprintln!("error: an event is put aside, on {DEAD}: {reason}");
        let letter = json!({"reason": reason, "event": String::from_utf8_lossy(&event)});
        publish(&broker, DEAD, letter.to_string()).await?;
    }
    publish(&broker, DONE, inbound::name(&event)).await
}

/// Hands it to the shop, several times if that helps.
async fn deliver(event: &[u8]) -> Outcome {
    for wait in WAITS {
        match inbound::deliver(event.to_vec()).await {
            Outcome::Failed(_) | Outcome::Later(_) => sleep(wait).await,
            outcome => return outcome,
        }
    }
    inbound::deliver(event.to_vec()).await
}

async fn connect() -> Result<Connection> {
    let set = async |name| variable::get(name).await.map_err(|error| anyhow!("{error}"));
    let url = set("mqtt_url").await?.context("the variable mqtt_url is not set")?;
    let (username, password) = (set("mqtt_username").await?, set("mqtt_password").await?);
    let before = if url.contains('?') { '&' } else { '?' };
    let address = format!(
        "{url}{before}client_id=bodega-{}&max_incoming_packet_size_bytes={LONGEST}&max_outgoing_packet_size_bytes={LONGEST}",
        Uuid::new_v4().simple()
    );
    let connection =
        Connection::open(address, username.unwrap_or_default(), password.unwrap_or_default(), KEEP_ALIVE).await;
    connection.context("MQTT")
}

async fn publish(broker: &Connection, topic: &str, payload: String) -> Result<()> {
    broker.publish(topic, payload.into_bytes(), Qos::AtLeastOnce).await.context("MQTT")
}
