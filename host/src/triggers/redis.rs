//! `[[trigger.redis]]`: messages on channels of Redis.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use futures::StreamExt;
use redis::Client;
use redis::aio::PubSub;

use super::{Handler, Stopped};
use crate::address::Address;

/// The channels of one server that components want to hear.
pub(crate) struct Subscriber {
    client: Client,
    /// Where the server is, for people.
    place: String,
    channels: BTreeMap<String, Vec<Arc<Handler>>>,
}

/// A [`Subscriber`] that has what it wants.
pub(crate) struct Subscription {
    connection: PubSub,
    subscriber: Subscriber,
}

impl Subscriber {
    /// Will listen at this address.
    ///
    /// # Errors
    ///
    /// If it is not one.
    pub(crate) fn new(address: &str, channels: BTreeMap<String, Vec<Arc<Handler>>>) -> Result<Self> {
        let place = Address::parse(address, "redis").map(|address| address.to_string());
        // Neither may tell the address: it may have a password.
        let client = Client::open(address).ok().context("the address of the Redis trigger is not that of a server")?;
        Ok(Self { client, place: place.unwrap_or_default(), channels })
    }

    /// The channels and their components.
    pub(crate) fn listed(&self) -> Vec<(String, String)> {
        let name = |handler: &Arc<Handler>| handler.shared.id.to_string();
        let listed = self.channels.iter().map(|(channel, handlers)| {
            let names: Vec<String> = handlers.iter().map(name).collect();
            (format!("{}/{channel}", self.place), names.join(", "))
        });
        listed.collect()
    }

    /// Subscribes to the channels.
    pub(crate) async fn subscribe(self) -> Result<Subscription> {
        let place = &self.place;
        let connecting = self.client.get_async_pubsub();
        let mut connection =
            connecting.await.with_context(|| format!("the Redis trigger cannot connect to {place}"))?;
        for channel in self.channels.keys() {
            let subscribed = connection.subscribe(channel).await;
            subscribed.with_context(|| format!("the Redis trigger cannot subscribe to {channel:?} of {place}"))?;
        }
        Ok(Subscription { connection, subscriber: self })
    }
}

impl Subscription {
    /// Handles messages one after the other, as Spin does, until it is stopped or the server is gone.
    pub(crate) async fn listen(mut self, mut stopped: Stopped) -> Result<()> {
        let mut messages = self.connection.on_message();
        loop {
            let message = tokio::select! {
                biased;
                () = stopped.told() => return Ok(()),
                message = messages.next() => message,
            };
            let message =
                message.ok_or_else(|| anyhow!("the Redis trigger was disconnected from {}", self.subscriber.place))?;
            let channel = message.get_channel_name();
            let handlers = self.subscriber.channels.get(channel).into_iter().flatten();
            let handling = handlers.map(|handler| handler.handle(channel, message.get_payload_bytes().to_vec()));
            futures::future::join_all(handling).await;
        }
    }
}
