//! `[[trigger.mqtt]]`: messages on topics of an MQTT broker, by the contract of Spin's plugin.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, Publish, QoS, SubscribeReasonCode, Transport,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Handler, Stopped};
use crate::address::Address;
use crate::manifest::MqttBroker;

/// The largest message that MQTT has.
const MOST_BYTES: usize = 256 << 20;

/// The topic, which may have wildcards, that a component wants to hear.
pub(crate) struct Subscriber {
    options: MqttOptions,
    /// Where the broker is, for people.
    place: String,
    topic: String,
    qos: QoS,
    handler: Handler,
}

/// A [`Subscriber`] that has what it wants.
pub(crate) struct Subscription {
    subscriber: Subscriber,
    events: EventLoop,
    /// Messages that came before the broker had confirmed.
    early: VecDeque<Publish>,
    _client: AsyncClient,
}

impl Subscriber {
    /// Will listen to `topic`. In `broker` all templates are replaced by now.
    ///
    /// # Errors
    ///
    /// If one of the settings means nothing.
    pub(crate) fn new(broker: &MqttBroker, topic: String, qos: &str, handler: Handler) -> Result<Self> {
        // Not told, because it may have a password.
        let address = Address::parse(&broker.address, "mqtt");
        let address = address.context("the address of the MQTT trigger is not that of a broker")?;
        let (transport, port) = match address.scheme.as_str() {
            "mqtt" | "tcp" => (Transport::Tcp, 1883),
            "mqtts" | "ssl" => (Transport::tls_with_default_config(), 8883),
            other => bail!("the scheme {other} of the MQTT trigger's address is none of mqtt, tcp, mqtts and ssl"),
        };
        let interval = &broker.keep_alive_interval;
        let interval: u64 = interval.parse().with_context(|| format!("keep_alive_interval: {interval:?}"))?;
        // Without an identity of its own: the broker forgets who has gone, and gives each connection another.
        let mut options = MqttOptions::new("", address.host.to_string(), address.port.unwrap_or(port));
        options.set_transport(transport).set_keep_alive(Duration::from_secs(interval));
        options.set_max_packet_size(MOST_BYTES, MOST_BYTES);
        if !broker.username.is_empty() {
            options.set_credentials(&broker.username, &broker.password);
        }
        let qos = match qos {
            "0" => QoS::AtMostOnce,
            "1" => QoS::AtLeastOnce,
            "2" => QoS::ExactlyOnce,
            other => bail!("qos of [[trigger.mqtt]] is \"0\", \"1\" or \"2\", not {other:?}"),
        };
        Ok(Self { options, place: address.to_string(), topic, qos, handler })
    }

    /// The topic and the component.
    pub(crate) fn listed(&self) -> (String, String) {
        (format!("{}/{}", self.place, self.topic), self.handler.shared.id.to_string())
    }

    /// Subscribes to the topic.
    pub(crate) async fn subscribe(self) -> Result<Subscription> {
        let (client, mut events) = AsyncClient::new(self.options.clone(), 1);
        let failed = || format!("the MQTT trigger cannot subscribe to {:?} of {}", self.topic, self.place);
        client.subscribe(&self.topic, self.qos).await.with_context(failed)?;
        let mut early = VecDeque::new();
        loop {
            match events.poll().await.with_context(failed)? {
                Event::Incoming(Incoming::SubAck(answer)) => {
                    if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                        bail!("{}: the broker refuses", failed());
                    }
                    break;
                }
                Event::Incoming(Incoming::Publish(message)) => early.push_back(message),
                _ => {}
            }
        }
        Ok(Subscription { subscriber: self, events, early, _client: client })
    }
}

impl Subscription {
    /// Handles messages one after the other, as Spin's plugin does, until it is stopped or the broker is gone.
    pub(crate) async fn listen(mut self, mut stopped: Stopped) -> Result<()> {
        let (sender, receiver) = unbounded_channel();
        self.early.into_iter().for_each(|message| _ = sender.send(message));
        let Subscriber { place, handler, .. } = &self.subscriber;
        // Side by side, so that the broker gets its pings also while a message is handled; told to stop, the handler of one
        // finishes.
        let receiving = receive(&mut self.events, sender);
        tokio::pin!(receiving);
        let handling = handle(receiver, handler, &mut stopped);
        tokio::pin!(handling);
        tokio::select! {
            () = &mut handling => Ok(()),
            error = &mut receiving => {
                // What has come is handled, and then the receiver knows that there is no more.
                handling.await;
                Err(error).with_context(|| format!("the MQTT trigger was disconnected from {place}"))
            }
        }
    }
}

async fn receive(events: &mut EventLoop, sender: UnboundedSender<Publish>) -> ConnectionError {
    loop {
        match events.poll().await {
            // The receiver ends only together with this.
            Ok(Event::Incoming(Incoming::Publish(message))) => _ = sender.send(message),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

async fn handle(mut messages: UnboundedReceiver<Publish>, handler: &Handler, stopped: &mut Stopped) {
    loop {
        let message = tokio::select! {
            biased;
            () = stopped.told() => return,
            message = messages.recv() => message,
        };
        let Some(message) = message else { return };
        handler.handle(&message.topic, message.payload.to_vec()).await;
    }
}
