//! The triggers of brokers: `[[trigger.redis]]` and `[[trigger.mqtt]]`.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Application, unsupported};

/// What messages components are to be given. Addresses, channels and topics may be templates.
#[derive(Debug, Default)]
pub(crate) struct Brokers {
    pub(crate) redis: Vec<RedisTrigger>,
    /// The broker of the MQTT triggers; there is one if there are any.
    pub(crate) mqtt_broker: Option<MqttBroker>,
    pub(crate) mqtt: Vec<MqttTrigger>,
}

/// `[application.trigger.redis]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisServer {
    address: String,
}

/// `[[trigger.redis]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisTrigger {
    #[serde(default, rename = "id")]
    _id: String,
    pub(crate) component: String,
    pub(crate) channel: String,
    /// That of the application, unless the trigger has its own.
    #[serde(default)]
    pub(crate) address: String,
}

/// `[application.trigger.mqtt]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MqttBroker {
    pub(crate) address: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Seconds, as text.
    pub(crate) keep_alive_interval: String,
}

/// `[[trigger.mqtt]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MqttTrigger {
    #[serde(default, rename = "id")]
    _id: String,
    pub(crate) component: String,
    pub(crate) topic: String,
    /// `"0"`, `"1"` or `"2"`.
    pub(crate) qos: String,
}

impl Brokers {
    /// Takes up a trigger, unless it is of a kind that this host lacks.
    pub(super) fn add(&mut self, kind: &str, table: &toml::Table) -> Result<()> {
        for field in ["components", "dependencies"] {
            if table.contains_key(field) {
                return Err(unsupported(&format!("{field} of [[trigger.{kind}]]")));
            }
        }
        if table.get("component").is_some_and(toml::Value::is_table) {
            return Err(unsupported(&format!("an inline component of [[trigger.{kind}]]")));
        }
        let place = || format!("in the [[trigger.{kind}]] with {table}");
        match kind {
            "redis" => self.redis.push(read(table).with_context(place)?),
            "mqtt" => self.mqtt.push(read(table).with_context(place)?),
            _ => return Err(unsupported(&format!("[[trigger.{kind}]]"))),
        }
        Ok(())
    }

    /// Completes the triggers by what the application has for all of a kind.
    pub(super) fn complete(&mut self, application: &Application) -> Result<()> {
        let place = |kind| format!("in [application.trigger.{kind}]");
        for (kind, table) in &application.trigger {
            match kind.as_str() {
                "redis" => {
                    let server: RedisServer = read(table).with_context(|| place(kind))?;
                    let unset = self.redis.iter_mut().filter(|trigger| trigger.address.is_empty());
                    unset.for_each(|trigger| trigger.address.clone_from(&server.address));
                }
                "mqtt" => self.mqtt_broker = Some(read(table).with_context(|| place(kind))?),
                _ => return Err(unsupported(&format!("application.trigger.{kind}"))),
            }
        }
        if self.redis.iter().any(|trigger| trigger.address.is_empty()) {
            bail!("[[trigger.redis]] needs an address: its own or that of [application.trigger.redis]");
        }
        if !self.mqtt.is_empty() && self.mqtt_broker.is_none() {
            bail!("[[trigger.mqtt]] needs [application.trigger.mqtt], which says where the broker is");
        }
        Ok(())
    }

    /// Each trigger's kind and component.
    pub(crate) fn components(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let redis = self.redis.iter().map(|trigger| ("redis", trigger.component.as_str()));
        redis.chain(self.mqtt.iter().map(|trigger| ("mqtt", trigger.component.as_str())))
    }
}

fn read<T: DeserializeOwned>(table: &toml::Table) -> Result<T> {
    Ok(table.clone().try_into()?)
}
