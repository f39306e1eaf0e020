//! What the probe does with Redis and MQTT: bodies are JSON, answers tell what came of each part.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use spin_sdk::redis::{Payload, RedisParameter, RedisResult};
use spin_sdk::{mqtt, redis};

/// Carries out commands, such as `["set", "key", "value"]`, all on one connection. What goes wrong with a command is its
/// result; only what goes wrong with the connection is an error.
pub(crate) async fn redis(address: &str, commands: &[u8]) -> Result<Json> {
    let commands: Vec<(String, Vec<Json>)> = split(commands)?;
    let connection = redis::Connection::open(address).await?;
    let mut results = Vec::new();
    for (name, arguments) in commands {
        results.push(match carry_out(&connection, &name, arguments).await? {
            Ok(result) => result,
            Err(error) => json!({ "error": format!("{error:?}") }),
        });
    }
    Ok(json!(results))
}

fn split(commands: &[u8]) -> Result<Vec<(String, Vec<Json>)>> {
    let commands: Vec<Vec<Json>> = serde_json::from_slice(commands)?;
    let split = |mut command: Vec<Json>| {
        let name = command.first().and_then(Json::as_str).context("a command without a name")?.to_owned();
        command.remove(0);
        Ok((name, command))
    };
    commands.into_iter().map(split).collect()
}

async fn carry_out(
    connection: &redis::Connection,
    name: &str,
    arguments: Vec<Json>,
) -> Result<Result<Json, redis::Error>> {
    let texts: Vec<&str> = arguments.iter().filter_map(Json::as_str).collect();
    let text = |place: usize| texts.get(place).copied().with_context(|| format!("{name} needs more arguments"));
    Ok(match name {
        "publish" => connection.publish(text(0)?, text(1)?).await.map(|()| json!("published")),
        "get" => connection.get(text(0)?).await.map(|value| value.as_ref().map(shown).into()),
        "set" => connection.set(text(0)?, text(1)?).await.map(|()| json!("set")),
        "incr" => connection.incr(text(0)?).await.map(Json::from),
        "del" => connection.del(&texts).await.map(Json::from),
        "sadd" => connection.sadd(text(0)?, &texts[1..]).await.map(Json::from),
        "srem" => connection.srem(text(0)?, &texts[1..]).await.map(Json::from),
        "smembers" => connection.smembers(text(0)?).await.map(Json::from),
        // Whatever else Redis knows.
        _ => {
            let results = connection.execute(name, arguments.iter().map(parameter)).await;
            results.map(|results| results.iter().map(result).collect())
        }
    })
}

fn parameter(json: &Json) -> RedisParameter {
    match json.as_i64() {
        Some(number) => RedisParameter::Int64(number),
        None => RedisParameter::Binary(json.as_str().unwrap_or_default().into()),
    }
}

fn result(result: &RedisResult) -> Json {
    match result {
        RedisResult::Nil => json!(null),
        RedisResult::Status(status) => json!({ "status": status }),
        RedisResult::Int64(number) => json!(number),
        RedisResult::Binary(bytes) => json!(shown(bytes)),
    }
}

fn shown(bytes: &Payload) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Publishes messages, such as `["topic", "payload", 1]`, all on one connection.
pub(crate) async fn mqtt(address: &str, password: &str, messages: &[u8]) -> Result<Json> {
    let messages: Vec<(String, String, u8)> = serde_json::from_slice(messages)?;
    let connection = mqtt::Connection::open(address, "guest", password, 30).await?;
    for (topic, payload, qos) in messages {
        let qos = match qos {
            0 => mqtt::Qos::AtMostOnce,
            1 => mqtt::Qos::AtLeastOnce,
            _ => mqtt::Qos::ExactlyOnce,
        };
        connection.publish(topic, payload.into_bytes(), qos).await?;
    }
    Ok(json!("published"))
}
