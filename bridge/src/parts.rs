//! What the bridge consists of, by its configuration.

use std::time::Duration;

use ::redis::aio::ConnectionManager;
use anyhow::Result;
use axum::Router;
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, Config},
    http,
    inbound::{Far, FromKafka},
    kafka::{self, Producer},
    lease::Lease,
    mail, mqtt, redis,
    status::{Side, Status},
    tick,
};

const MONITOR: Duration = Duration::from_secs(2);
/// A topic that each Kafka has: to ask for all would be much.
const ANY_TOPIC: &str = "__consumer_offsets";

/// What can be said of a configuration without connecting.
///
/// # Errors
///
/// If an address or a setting cannot be one.
pub fn check(config: &Config) -> Result<()> {
    if let Some(redis) = &config.redis {
        redis::client(redis)?;
    }
    if let Some(mqtt) = &config.mqtt {
        mqtt::check(mqtt)?;
    }
    if let Some(kafka) = &config.kafka {
        kafka::client(kafka).create::<BaseConsumer>().map_err(|error| match error {
            // Not its value, which could be a password.
            KafkaError::ClientConfig(_, _, key, _) => anyhow::anyhow!("kafka: {key} is unknown or not valid"),
            error => anyhow::Error::new(error).context("kafka"),
        })?;
    }
    if let Some(mail) = &config.mail {
        mail::transport(mail)?;
    }
    Ok(())
}

/// Starts all of it. Each task ends when it is told to stop.
///
/// # Errors
///
/// If something of the configuration cannot be meant.
pub fn start(config: &Config, stop: &CancellationToken) -> Result<JoinSet<Result<()>>> {
    let status = Status::new()?;
    let mut tasks = JoinSet::new();
    let redis = config.redis.as_ref().map(redis::connect).transpose()?;
    if let Some(redis) = &redis {
        spawn_monitor(&mut tasks, stop, redis::monitor(redis.clone(), status.side("redis")));
    }
    if let Some(kafka) = &config.kafka {
        spawn_monitor(&mut tasks, stop, monitor(kafka.clone(), status.side("kafka")));
        routes(config, kafka, redis.as_ref(), &status, stop, &mut tasks)?;
    }
    let mut further = Router::new();
    if let Some(mail) = &config.mail {
        let transport = mail::transport(mail)?;
        spawn_monitor(&mut tasks, stop, mail::monitor(transport.clone(), status.side("smtp")));
        further = mail::router(mail, transport, status.route("mail"));
    }
    if let Some(tick) = &config.tick {
        tasks.spawn(tick::run(tick.clone(), status.side("shop"), status.route("tick"), stop.clone()));
    }
    let (http, stop) = (config.http.clone(), stop.clone());
    tasks.spawn(async move { http::serve(&http, status, further, stop).await });
    Ok(tasks)
}

/// The routes from and to Kafka.
fn routes(
    config: &Config,
    kafka: &config::Kafka,
    redis: Option<&ConnectionManager>,
    status: &Status,
    stop: &CancellationToken,
    tasks: &mut JoinSet<Result<()>>,
) -> Result<()> {
    if let (Some(redis), Some(route)) = (redis, &config.redis_to_kafka) {
        let counts = status.route("redis_to_kafka");
        let producer = Producer::new(kafka, counts.clone())?;
        let (part, stop) = (redis::ToKafka::new(redis.clone(), producer, route.clone(), counts), stop.clone());
        tasks.spawn(async move {
            part.run(stop).await;
            Ok(())
        });
    }
    if let (Some(mqtt), Some(route)) = (&config.mqtt, &config.mqtt_to_kafka) {
        let counts = status.route("mqtt_to_kafka");
        let producer = Producer::new(kafka, counts.clone())?;
        let key = format!("bodega:bridge:lease:mqtt:{}", route.client_id);
        let lease = redis.map(|redis| Lease::new(redis.clone(), key, &route.client_id, route.lease));
        let side = status.side("mqtt");
        let (part, stop) =
            (mqtt::ToKafka::new(mqtt.clone(), route.clone(), producer, lease, side, counts), stop.clone());
        tasks.spawn(async move {
            part.run(stop).await;
            Ok(())
        });
    }
    if let (Some(redis), Some(route)) = (redis, &config.kafka_to_redis) {
        let far = Far::Redis(redis.clone(), route.clone());
        let counts = status.route("kafka_to_redis");
        let part = FromKafka::new(kafka, &route.group, route.topics.clone(), route.batch, far, counts)?;
        tasks.spawn(part.run(stop.clone()));
    }
    if let (Some(mqtt), Some(route)) = (&config.mqtt, &config.kafka_to_mqtt) {
        let publisher = mqtt::publisher::Publisher::new(mqtt, route.clone(), status.side("mqtt_out"))?;
        let counts = status.route("kafka_to_mqtt");
        let far = Far::Mqtt(Box::new(publisher));
        let part = FromKafka::new(kafka, &route.group, route.topics.clone(), route.batch, far, counts)?;
        tasks.spawn(part.run(stop.clone()));
    }
    Ok(())
}

/// What only looks has nothing to bring to an end.
fn spawn_monitor(
    tasks: &mut JoinSet<Result<()>>,
    stop: &CancellationToken,
    monitor: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(monitor).await;
        Ok(())
    });
}

/// Says whether Kafka answers.
async fn monitor(config: config::Kafka, mut side: Side) {
    let client = match kafka::client(&config).create::<BaseConsumer>() {
        Ok(client) => std::sync::Arc::new(client),
        Err(error) => return side.down(error),
    };
    loop {
        let asking = client.clone();
        let asked =
            tokio::task::spawn_blocking(move || asking.fetch_metadata(Some(ANY_TOPIC), MONITOR).map(|_| ())).await;
        match asked {
            Ok(Ok(())) => side.up(),
            Ok(Err(error)) => side.down(error),
            Err(error) => side.down(error),
        }
        sleep(MONITOR).await;
    }
}
