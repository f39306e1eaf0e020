use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::bindings::{MqttHandlerPre, MqttMetadata, RedisHandlerPre};
use crate::control::{KillSwitch, Killed};
use crate::instance::{InstanceState, Shared};
use crate::manifest::unsupported;
use crate::runtime::Lifecycle;
use crate::worker::new_store;

/// The function of a component that takes messages.
pub(crate) enum Entry {
    /// `spin:redis/inbound-redis`
    Redis(RedisHandlerPre<InstanceState>),
    /// That of the MQTT trigger.
    Mqtt(MqttHandlerPre<InstanceState>),
}

impl Entry {
    pub(crate) fn redis(pre: InstancePre<InstanceState>) -> Result<Self> {
        const OLD: &str = "fermyon:spin/inbound-redis";
        let exports = pre.component().component_type();
        if exports.exports(pre.engine()).any(|(name, _)| name.starts_with(OLD)) {
            return Err(unsupported(&format!("the export {OLD}")));
        }
        let pre = RedisHandlerPre::new(pre).map_err(anyhow::Error::from);
        pre.map(Self::Redis).context("it does not export spin:redis/inbound-redis@3.0.0")
    }

    pub(crate) fn mqtt(pre: InstancePre<InstanceState>) -> Result<Self> {
        let pre = MqttHandlerPre::new(pre).map_err(anyhow::Error::from);
        pre.map(Self::Mqtt).context("it does not export handle-message of spin:mqtt-trigger@3.0.0")
    }
}

/// A component that handles messages.
pub(crate) struct Handler {
    pub(crate) shared: Arc<Shared>,
    pub(crate) entry: Entry,
}

/// Notes that an instance lives for as long as this does.
struct Life<'a> {
    lifecycle: &'a Lifecycle,
    instance: u64,
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.lifecycle.died(self.instance);
    }
}

impl Handler {
    /// Has a new instance handle a message. That it fails is told, and nothing else comes of it.
    pub(crate) async fn handle(&self, topic: &str, payload: Vec<u8>) {
        let runtime = &self.shared.runtime;
        if let Err(error) = self.try_to_handle(topic, payload).await
            && !runtime.quiet
        {
            eprintln!("[{}] a message on {topic} was not handled: {error:#}", self.shared.id);
        }
    }

    async fn try_to_handle(&self, topic: &str, payload: Vec<u8>) -> Result<()> {
        let runtime = &self.shared.runtime;
        let mut store = new_store(&self.shared)?;
        let (instance, switch) = (store.data().gate.instance, store.data().gate.switch.clone());
        runtime.lifecycle.born(instance, switch.clone());
        let life = Life { lifecycle: &runtime.lifecycle, instance };
        let handled = tokio::select! {
            handled = self.call(&mut store, topic, payload) => handled,
            () = killed(&switch) => Err(Killed.into()),
            () = tokio::time::sleep(runtime.request_timeout) => Err(anyhow!("it took too long")),
        };
        drop(store);
        drop(life);
        handled
    }

    async fn call(&self, store: &mut Store<InstanceState>, topic: &str, payload: Vec<u8>) -> Result<()> {
        match &self.entry {
            Entry::Redis(pre) => {
                let guest = pre.instantiate_async(&mut *store).await?;
                let handler = guest.spin_redis_inbound_redis();
                let handled =
                    store.run_concurrent(async |accessor| handler.call_handle_message(accessor, payload).await);
                handled.await??.map_err(|error| anyhow!("{error}"))
            }
            Entry::Mqtt(pre) => {
                let guest = pre.instantiate_async(&mut *store).await?;
                let metadata = MqttMetadata { topic: topic.to_owned() };
                let handled =
                    store.run_concurrent(async |accessor| guest.call_handle_message(accessor, payload, metadata).await);
                handled.await??.map_err(|error| anyhow!("{error}"))
            }
        }
    }
}

async fn killed(switch: &KillSwitch) {
    std::future::poll_fn(|context| {
        switch.register(context.waker());
        if switch.is_killed() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
