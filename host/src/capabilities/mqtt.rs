//! `spin:mqtt`: connections to MQTT brokers.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS};
use tokio::sync::Mutex;
use wasmtime::component::{Accessor, Resource};

use crate::bindings::mqtt::{Error, Host, HostConnection, HostConnectionWithStore, Payload, Qos};
use crate::control::{Call, Gate};
use crate::instance::{Data, InstanceState};

/// Connections that an instance may have open, as in Spin.
const MOST_CONNECTIONS: usize = 1024;

/// Messages that wait to be sent, as in Spin.
const MOST_WAITING: usize = 1000;

/// A guest's connection. As in Spin, nothing happens on it except while something is published: then it connects, and then
/// it notices that the broker is gone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    client: AsyncClient,
    events: Mutex<EventLoop>,
}

impl Connection {
    fn new(address: String, username: String, password: String, keep_alive: Duration) -> Result<Self, Error> {
        let mut options = MqttOptions::parse_url(address).map_err(|_| Error::InvalidAddress)?;
        options.set_credentials(username, password);
        options.set_keep_alive(keep_alive);
        let (client, events) = AsyncClient::new(options, MOST_WAITING);
        Ok(Self(Arc::new(Inner { client, events: Mutex::new(events) })))
    }

    /// Sends a message, and waits for the broker to have it as far as `qos` wants that.
    async fn publish(&self, topic: &str, payload: Payload, qos: QoS) -> Result<(), Error> {
        let queued = self.0.client.publish_bytes(topic, qos, false, payload.into());
        queued.await.map_err(|error| Error::Other(error.to_string()))?;
        let mut events = self.0.events.lock().await;
        loop {
            let event = events.poll().await.map_err(|error| Error::ConnectionFailed(error.to_string()))?;
            match (qos, event) {
                (QoS::AtMostOnce, Event::Outgoing(Outgoing::Publish(_)))
                | (QoS::AtLeastOnce, Event::Incoming(Incoming::PubAck(_)))
                | (QoS::ExactlyOnce, Event::Incoming(Incoming::PubComp(_))) => return Ok(()),
                _ => {}
            }
        }
    }
}

fn call<'a>(function: &'static str, detail: &'a str) -> Call<'a> {
    Call { interface: "mqtt", function, detail }
}

type Accessed<'a> = &'a Accessor<InstanceState, Data>;
type Handle = Resource<Connection>;

impl Host for InstanceState {}

impl HostConnection for InstanceState {
    async fn drop(&mut self, connection: Handle) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        self.mqtt_connections -= 1;
        Ok(())
    }
}

impl HostConnectionWithStore<InstanceState> for Data {
    async fn open(
        accessor: Accessed<'_>,
        address: String,
        username: String,
        password: String,
        keep_alive_seconds: u64,
    ) -> wasmtime::Result<Result<Handle, Error>> {
        let (shared, gate) = accessor.with(|mut access| {
            let state = access.get();
            (state.shared.clone(), state.gate.clone())
        });
        let Some(place) = shared.permit(&address, "mqtt") else {
            return Ok(Err(Error::ConnectionFailed("the address is not permitted".to_owned())));
        };
        let work = async { Connection::new(address, username, password, Duration::from_secs(keep_alive_seconds)) };
        let opened = gate.pass(call("open", &place.to_string()), Error::Other, work).await?;
        accessor.with(|mut access| {
            let state = access.get();
            match opened {
                Ok(_) if state.mqtt_connections >= MOST_CONNECTIONS => Ok(Err(Error::TooManyConnections)),
                Ok(connection) => {
                    state.mqtt_connections += 1;
                    Ok(Ok(state.table.push(connection)?))
                }
                Err(error) => Ok(Err(error)),
            }
        })
    }

    async fn publish(
        accessor: Accessed<'_>,
        connection: Handle,
        topic: String,
        payload: Payload,
        qos: Qos,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (connection, gate): (Connection, Arc<Gate>) = accessor.with(|mut access| {
            let state = access.get();
            wasmtime::error::Ok((state.table.get(&connection)?.clone(), state.gate.clone()))
        })?;
        let qos = match qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
            Qos::ExactlyOnce => QoS::ExactlyOnce,
        };
        let work = connection.publish(&topic, payload, qos);
        Ok(gate.pass(call("publish", &topic), Error::Other, work).await?)
    }
}
