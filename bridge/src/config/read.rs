//! Reading the configuration, and what can be said of it as a whole.

use std::{env, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use figment::{
    Figment,
    providers::{Format, Serialized, Toml},
    value::{Dict, Value},
};

use super::{Config, Kafka};

const PREFIX: &str = "BODEGA_BRIDGE_";
/// What is a text however it looks: a password of digits is not a number.
const TEXTS: &[&str] = &["brokers", "client_id", "consumer", "group", "host", "password", "token", "url", "username"];
/// On these rests what the bridge promises.
const OURS: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "group.id",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "partitioner",
    "transactional.id",
];

impl Config {
    /// Reads the file, if any, and the environment.
    ///
    /// # Errors
    ///
    /// If something is missing, unknown or contradictory; the text names the key.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        Self::read_from(file, env::vars())
    }

    fn read_from(file: Option<&Path>, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
            figment = figment.merge(Toml::string(&text));
        }
        let config: Self = figment.merge(Serialized::defaults(environment(variables)?)).extract().map_err(explain)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let needs = |route: &str, there: bool, side: &str, has: bool| {
            ensure!(!there || has, "[{route}] is there, and no [{side}]");
            Ok(())
        };
        needs("redis_to_kafka", self.redis_to_kafka.is_some(), "redis", self.redis.is_some())?;
        needs("redis_to_kafka", self.redis_to_kafka.is_some(), "kafka", self.kafka.is_some())?;
        needs("mqtt_to_kafka", self.mqtt_to_kafka.is_some(), "mqtt", self.mqtt.is_some())?;
        needs("mqtt_to_kafka", self.mqtt_to_kafka.is_some(), "kafka", self.kafka.is_some())?;
        needs("kafka_to_redis", self.kafka_to_redis.is_some(), "redis", self.redis.is_some())?;
        needs("kafka_to_redis", self.kafka_to_redis.is_some(), "kafka", self.kafka.is_some())?;
        needs("kafka_to_mqtt", self.kafka_to_mqtt.is_some(), "mqtt", self.mqtt.is_some())?;
        needs("kafka_to_mqtt", self.kafka_to_mqtt.is_some(), "kafka", self.kafka.is_some())?;
        if let (Some(redis), Some(mqtt)) = (&self.kafka_to_redis, &self.kafka_to_mqtt) {
            ensure!(
                redis.group != mqtt.group,
                "kafka_to_mqtt.group is that of [kafka_to_redis]: each would have a part"
            );
        }
        let batches = [
            ("redis_to_kafka.batch", self.redis_to_kafka.as_ref().map(|route| route.batch)),
            ("mqtt_to_kafka.batch", self.mqtt_to_kafka.as_ref().map(|route| route.batch)),
            ("kafka_to_redis.batch", self.kafka_to_redis.as_ref().map(|route| route.batch)),
            ("kafka_to_mqtt.batch", self.kafka_to_mqtt.as_ref().map(|route| route.batch)),
        ];
        for (key, batch) in batches {
            ensure!(batch.is_none_or(|batch| (1..=10_000).contains(&batch)), "{key} must be from 1 to 10000");
        }
        let leases = [
            ("redis_to_kafka.lease", self.redis_to_kafka.as_ref().map(|route| route.lease)),
            ("mqtt_to_kafka.lease", self.mqtt_to_kafka.as_ref().map(|route| route.lease)),
        ];
        for (key, lease) in leases {
            ensure!(lease.is_none_or(|lease| lease >= Duration::from_secs(1)), "{key} must be at least 1s");
        }
        if let Some(route) = &self.mqtt_to_kafka {
            ensure!(!route.topics.is_empty(), "mqtt_to_kafka.topics is empty");
        }
        if let Some(kafka) = &self.kafka {
            kafka.check()?;
        }
        if let Some(mail) = &self.mail {
            ensure!(
                mail.username.is_some() == mail.password.is_some(),
                "mail.username and mail.password belong together"
            );
            ensure!(mail.pool > 0, "mail.pool must be at least 1");
            ensure!(!mail.timeout.is_zero(), "mail.timeout must be more than nothing");
        }
        if let Some(tick) = &self.tick {
            ensure!(is_web(&tick.url), "tick.url must be an address that begins with http:// or https://");
            ensure!(!tick.every.is_zero(), "tick.every must be more than nothing");
        }
        Ok(())
    }

    /// What it does, by the names of the tables.
    pub fn parts(&self) -> Vec<&'static str> {
        let parts = [
            ("redis_to_kafka", self.redis_to_kafka.is_some()),
            ("mqtt_to_kafka", self.mqtt_to_kafka.is_some()),
            ("kafka_to_redis", self.kafka_to_redis.is_some()),
            ("kafka_to_mqtt", self.kafka_to_mqtt.is_some()),
            ("mail", self.mail.is_some()),
            ("tick", self.tick.is_some()),
        ];
        parts.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
    }
}

impl Kafka {
    fn check(&self) -> Result<()> {
        ensure!(
            self.username.is_some() == self.password.is_some(),
            "kafka.username and kafka.password belong together"
        );
        if let Some(key) = self.options.keys().find(|key| OURS.contains(&key.as_str())) {
            bail!("kafka.options.\"{key}\" is not to be set: what the bridge promises rests on it");
        }
        Ok(())
    }
}

fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// The variables of the bridge as tables.
fn environment(variables: impl Iterator<Item = (String, String)>) -> Result<Dict> {
    let mut tables = Dict::new();
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX).map(str::to_lowercase) else { continue };
        // That one says where the file is.
        if path == "config" {
            continue;
        }
        let mut keys: Vec<&str> = path.split("__").collect();
        let Some(last) = keys.pop() else { continue };
        let value = if TEXTS.contains(&last) { Value::from(text) } else { text.parse().unwrap_or(Value::from(text)) };
        let mut table = &mut tables;
        for key in keys {
            match table.entry(key.to_owned()).or_insert_with(|| Value::from(Dict::new())) {
                Value::Dict(_, inner) => table = inner,
                _ => bail!("{name}: {key} is a table"),
            }
        }
        table.insert(last.to_owned(), value);
    }
    Ok(tables)
}

/// An error of one line for each thing that is wrong, and no values, which could be secret.
fn explain(error: figment::Error) -> anyhow::Error {
    let lines: Vec<String> = error
        .into_iter()
        .map(|error| {
            let path = error.path.join(".");
            let what = match &error.kind {
                figment::error::Kind::InvalidType(_, expected) => format!("must be {expected}"),
                figment::error::Kind::InvalidValue(_, expected) => format!("must be {expected}"),
                kind => kind.to_string(),
            };
            if path.is_empty() { what } else { format!("{path}: {what}") }
        })
        .collect();
    anyhow::anyhow!(lines.join("; "))
}

#[cfg(test)]
mod tests;
