//! MQTT, at least once: each message is acknowledged before the next one is sent.
//!
//! Spin drives a connection only while something is published in it, and takes any acknowledgement for its own. So a
//! connection is one request's at a time, one that something went wrong in is not used again, and one that has been idle is
//! not either: nobody has kept it alive.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use spin_sdk::mqtt::{Connection, Error, Qos};
use uuid::Uuid;

use crate::message::Message;

/// A connection that has been idle for longer is not used again: brokers end it after one and a half of KEEP_ALIVE.
const IDLE: Duration = Duration::from_secs(20);
const KEEP_ALIVE: u64 = 60;
const KEPT: usize = 4;
/// Of one message; the client's own default is 10 KiB.
const LONGEST: u32 = 256 * 1024 * 1024 - 1;
/// Where something is published to see whether the broker is there.
const PROBE: &str = "bodega/probe";

/// Where the broker is, and who we are to it.
pub(crate) struct Access {
    /// `mqtt://host:port`.
    pub(crate) url: String,
    pub(crate) username: String,
    pub(crate) password: String,
}

thread_local! {
    static IDLING: RefCell<Vec<(Connection, Instant)>> = const { RefCell::new(Vec::new()) };
}

impl Access {
    async fn connect(&self) -> Result<Connection, String> {
        let before = if self.url.contains('?') { '&' } else { '?' };
        let address = format!(
            "{}{before}client_id=bodega-{}&max_incoming_packet_size_bytes={LONGEST}&max_outgoing_packet_size_bytes={LONGEST}",
            self.url,
            Uuid::new_v4().simple()
        );
        let connection = Connection::open(address, &self.username, &self.password, KEEP_ALIVE).await;
        connection.map_err(|error| format!("MQTT: {error}"))
    }

    async fn connected(&self) -> Result<Connection, String> {
        let idling = IDLING.with_borrow_mut(|idling| {
            idling.retain(|(_, since)| since.elapsed() < IDLE);
            idling.pop()
        });
        match idling {
            Some((connection, _)) => Ok(connection),
            None => self.connect().await,
        }
    }
}

/// Publishes each of `messages` on all its topics, in order. In the answer are those that the broker does not take, by their
/// place, and why. An error means that there is no broker: then some may be there, and come again.
pub(crate) async fn publish(access: &Access, messages: &[Message<'_>]) -> Result<Vec<(usize, String)>, String> {
    let mut refused: Vec<(usize, String)> = Vec::new();
    let mut connection = access.connected().await?;
    for (position, message) in messages.iter().enumerate() {
        // What comes after a refused one of the same subject must not overtake it.
        let subject = &message.event.subject;
        if refused.iter().any(|(earlier, _)| messages[*earlier].event.subject == *subject) {
            continue;
        }
        let mut outcome = send(&connection, message).await;
        if matches!(outcome, Err(Error::ConnectionFailed(_))) {
            // The broker may have been started anew since.
            connection = access.connect().await?;
            outcome = send(&connection, message).await;
        }
        if let Err(error) = outcome {
            // A broker ends the connection in which something comes that it does not take. Is it there?
            connection = access.connect().await?;
            let probe = connection.publish(PROBE, Vec::new(), Qos::AtLeastOnce).await;
            probe.map_err(|error| format!("MQTT: {error}"))?;
            refused.push((position, format!("MQTT: {error}")));
        }
    }
    IDLING.with_borrow_mut(|idling| {
        if idling.len() < KEPT {
            idling.push((connection, Instant::now()));
        }
    });
    Ok(refused)
}

async fn send(connection: &Connection, message: &Message<'_>) -> Result<(), Error> {
    for topic in message.topics.mqtt() {
        connection.publish(topic, message.json.clone().into_bytes(), Qos::AtLeastOnce).await?;
    }
    Ok(())
}
