//! `spin:redis`: connections to Redis servers.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, ParsingError, Value};
use wasmtime::component::{Accessor, Resource};

use crate::bindings::redis::{
    Error, Host, HostConnection, HostConnectionWithStore, Payload, RedisParameter, RedisResult,
};
use crate::control::{Call, Gate};
use crate::instance::{Data, InstanceState};

/// Connections that an instance may have open, as in Spin.
const MOST_CONNECTIONS: usize = 1024;

/// The largest result of one command, as in Spin.
const MOST_RESULT_BYTES: usize = 128 << 20;

/// A guest's connection; commands that it sends at the same time share it.
#[derive(Clone)]
pub struct Connection(MultiplexedConnection);

async fn connect(client: Client) -> Result<Connection, Error> {
    // As in Spin, a slow server is waited for. The library would give up after half a second.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let connected = client.get_multiplexed_async_connection_with_config(&config);
    connected.await.map(Connection).map_err(other)
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

fn call<'a>(function: &'static str, detail: &'a str) -> Call<'a> {
    Call { interface: "redis", function, detail }
}

/// What is left of an answer in the interface, which has no arrays: what is in them, one after the other.
struct Flat(Vec<RedisResult>);

impl FromRedisValue for Flat {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let mut results = Vec::new();
        flatten(value, &mut results)?;
        Ok(Self(results))
    }
}

fn flatten(value: Value, results: &mut Vec<RedisResult>) -> Result<(), ParsingError> {
    let result = match value {
        Value::Array(values) | Value::Set(values) => {
            return values.into_iter().try_for_each(|value| flatten(value, results));
        }
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::Boolean(is) => RedisResult::Int64(is.into()),
        Value::BulkString(bytes) | Value::BigNumber(bytes) => RedisResult::Binary(bytes),
        Value::Double(number) => RedisResult::Binary(number.to_string().into_bytes()),
        Value::SimpleString(text) => RedisResult::Status(text),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::ServerError(error) => return Err(format!("{error:?}").into()),
        other => return Err(format!("an answer such as {other:?} is not supported").into()),
    };
    results.push(result);
    Ok(())
}

impl Flat {
    fn bytes(&self) -> usize {
        let own = |result: &RedisResult| match result {
            RedisResult::Nil | RedisResult::Int64(_) => 0,
            RedisResult::Binary(bytes) => bytes.len(),
            RedisResult::Status(text) => text.len(),
        };
        let all: usize = self.0.iter().map(own).sum();
        all + size_of::<RedisResult>() * self.0.len()
    }
}

fn limited<T>(result: T, bytes: usize) -> Result<T, Error> {
    if bytes > MOST_RESULT_BYTES {
        return Err(Error::Other(format!("query result exceeds limit of {MOST_RESULT_BYTES} bytes")));
    }
    Ok(result)
}

type Accessed<'a> = &'a Accessor<InstanceState, Data>;
type Handle = Resource<Connection>;

fn found(accessor: Accessed<'_>, connection: &Handle) -> wasmtime::Result<(Connection, Arc<Gate>)> {
    accessor.with(|mut access| {
        let state = access.get();
        Ok((state.table.get(connection)?.clone(), state.gate.clone()))
    })
}

/// Has the server carry out a command, unless the gate decides otherwise.
async fn ask<T: FromRedisValue + Send>(
    accessor: Accessed<'_>,
    connection: &Handle,
    call: Call<'_>,
    command: Cmd,
) -> wasmtime::Result<Result<T, Error>> {
    let (Connection(mut connection), gate) = found(accessor, connection)?;
    let work = async { command.query_async(&mut connection).await.map_err(other) };
    Ok(gate.pass(call, Error::Other, work).await?)
}

impl Host for InstanceState {}

impl HostConnection for InstanceState {
    async fn drop(&mut self, connection: Handle) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        self.redis_connections -= 1;
        Ok(())
    }
}

impl HostConnectionWithStore<InstanceState> for Data {
    async fn open(accessor: Accessed<'_>, address: String) -> wasmtime::Result<Result<Handle, Error>> {
        let (shared, gate) = accessor.with(|mut access| {
            let state = access.get();
            (state.shared.clone(), state.gate.clone())
        });
        let Some(place) = shared.permit(&address, "redis") else {
            return Ok(Err(Error::InvalidAddress));
        };
        let Ok(client) = Client::open(address) else {
            return Ok(Err(Error::InvalidAddress));
        };
        let opened = gate.pass(call("open", &place.to_string()), Error::Other, connect(client)).await?;
        accessor.with(|mut access| {
            let state = access.get();
            match opened {
                Ok(_) if state.redis_connections >= MOST_CONNECTIONS => Ok(Err(Error::TooManyConnections)),
                Ok(connection) => {
                    state.redis_connections += 1;
                    Ok(Ok(state.table.push(connection)?))
                }
                Err(error) => Ok(Err(error)),
            }
        })
    }

    async fn publish(
        accessor: Accessed<'_>,
        connection: Handle,
        channel: String,
        payload: Payload,
    ) -> wasmtime::Result<Result<(), Error>> {
        let command = Cmd::publish(&channel, payload);
        ask(accessor, &connection, call("publish", &channel), command).await
    }

    async fn get(
        accessor: Accessed<'_>,
        connection: Handle,
        key: String,
    ) -> wasmtime::Result<Result<Option<Payload>, Error>> {
        let value = ask(accessor, &connection, call("get", &key), Cmd::get(&key)).await?;
        Ok(value.and_then(|value: Option<Payload>| {
            let bytes = value.as_ref().map_or(0, Vec::len);
            limited(value, bytes)
        }))
    }

    async fn set(
        accessor: Accessed<'_>,
        connection: Handle,
        key: String,
        value: Payload,
    ) -> wasmtime::Result<Result<(), Error>> {
        ask(accessor, &connection, call("set", &key), Cmd::set(&key, value)).await
    }

    async fn incr(accessor: Accessed<'_>, connection: Handle, key: String) -> wasmtime::Result<Result<i64, Error>> {
        ask(accessor, &connection, call("incr", &key), Cmd::incr(&key, 1)).await
    }

    async fn del(
        accessor: Accessed<'_>,
        connection: Handle,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<u32, Error>> {
        ask(accessor, &connection, call("del", &keys.join(" ")), Cmd::del(&keys)).await
    }

    async fn sadd(
        accessor: Accessed<'_>,
        connection: Handle,
        key: String,
        values: Vec<String>,
    ) -> wasmtime::Result<Result<u32, Error>> {
        ask(accessor, &connection, call("sadd", &key), Cmd::sadd(&key, &values)).await
    }

    async fn smembers(
        accessor: Accessed<'_>,
        connection: Handle,
        key: String,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        ask(accessor, &connection, call("smembers", &key), Cmd::smembers(&key)).await
    }

    async fn srem(
        accessor: Accessed<'_>,
        connection: Handle,
        key: String,
        values: Vec<String>,
    ) -> wasmtime::Result<Result<u32, Error>> {
        ask(accessor, &connection, call("srem", &key), Cmd::srem(&key, &values)).await
    }

    async fn execute(
        accessor: Accessed<'_>,
        connection: Handle,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> wasmtime::Result<Result<Vec<RedisResult>, Error>> {
        let mut whole = redis::cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => whole.arg(number),
                RedisParameter::Binary(bytes) => whole.arg(bytes),
            };
        }
        // Arguments are not told: those of `AUTH` are secrets.
        let results = ask(accessor, &connection, call("execute", &command), whole).await?;
        Ok(results.and_then(|results: Flat| {
            let bytes = results.bytes();
            limited(results.0, bytes)
        }))
    }
}
