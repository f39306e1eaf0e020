//! From the shop's Redis stream to Kafka.
//!
//! Why events of one subject stay in order, whoever dies: only the bridge that holds the lease reads, because the reading
//! itself asks for the lease, in one script. Whoever gets it first claims what was read and not acknowledged, by anybody,
//! and produces that, in the order of the stream; only then is something new read. So each bridge that produces an event has
//! produced, or knows as acknowledged, all that were before it. If a bridge that was stopped wakes up and what it still had
//! arrives after all, it brings repeats, and no event for the first time before an earlier one.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use redis::{
    Client, FromRedisValue, TlsCertificates, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    streams::{StreamAutoClaimReply, StreamId, StreamReadReply},
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    config::{self, RedisToKafka},
    event,
    kafka::{Parcel, Producer, Record, Verdict},
    lease::Lease,
    status::{Route, Side},
};

/// How often what is done is removed, and what waits is counted.
const TIDY: Duration = Duration::from_secs(1);
const MONITOR: Duration = Duration::from_secs(1);

/// New entries, for the holder of the lease. A read that waits cannot ask for the lease, so none does.
const READ: &str = "
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {0} end
return {1, redis.call('XREADGROUP', 'GROUP', ARGV[2], ARGV[3], 'COUNT', ARGV[4], 'STREAMS', KEYS[1], '>')}";

/// Entries that somebody has read and not acknowledged, whoever it was.
const CLAIM: &str = "
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {0} end
return {1, redis.call('XAUTOCLAIM', KEYS[1], ARGV[2], ARGV[3], 0, ARGV[5], 'COUNT', ARGV[4])}";

/// Removes consumers of the past: all they had has been claimed.
const FORGET: &str = "
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[2])) do
  local name, pending
  for i = 1, #consumer, 2 do
    if consumer[i] == 'name' then name = consumer[i + 1] end
    if consumer[i] == 'pending' then pending = consumer[i + 1] end
  end
  if name ~= ARGV[3] and pending == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[2], name) end
end
return 1";

/// Removes what every group has acknowledged, and says what waits for ours. Ids are compared as texts: numbers of Lua have
/// 53 bits.
const TRIM: &str = "
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local function before(a, b)
  local am, as = a:match('(%d+)-(%d+)')
  local bm, bs = b:match('(%d+)-(%d+)')
  if am ~= bm then return less(am, bm) end
  return less(as, bs)
end
local first, waiting
for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #info, 2 do group[info[i]] = info[i + 1] end
  local needed
  if group.pending > 0 then
    needed = redis.call('XPENDING', KEYS[1], group.name)[2]
  else
    local ms, seq = group['last-delivered-id']:match('(%d+)-(%d+)')
    needed = #seq < 15 and ms .. '-' .. string.format('%.0f', tonumber(seq) + 1) or group['last-delivered-id']
  end
  if not first or before(needed, first) then first = needed end
  if group.name == ARGV[1] then waiting = group.pending + (tonumber(group.lag) or 0) end
end
if ARGV[2] == '1' and first then redis.call('XTRIM', KEYS[1], 'MINID', '=', first) end
return waiting or 0";

/// Who connects.
///
/// # Errors
///
/// If the address cannot be one, or the certificates cannot be read.
pub fn client(config: &config::Redis) -> Result<Client> {
    let address = config.url.reveal();
    let client = match &config.ca_file {
        Some(file) => {
            let ca = fs::read(file).with_context(|| format!("redis.ca_file: {} cannot be read", file.display()))?;
            Client::build_with_tls(address, TlsCertificates { client_tls: None, root_cert: Some(ca) })
        }
        None => Client::open(address),
    };
    // Not what is wrong with it, which could quote the password.
    client.map_err(|_| anyhow::anyhow!("redis.url is not an address of Redis"))
}

/// A connection that comes back by itself.
///
/// # Errors
///
/// If the address cannot be one.
pub fn connect(config: &config::Redis) -> Result<ConnectionManager> {
    let client = client(config)?;
    let settings = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(5)))
        .set_response_timeout(Some(Duration::from_secs(10)))
        .set_number_of_retries(1)
        .set_max_delay(Duration::from_secs(1));
    Ok(ConnectionManager::new_lazy_with_config(client, settings)?)
}

/// Says whether Redis answers.
pub async fn monitor(mut redis: ConnectionManager, mut side: Side) {
    loop {
        match redis::cmd("PING").query_async::<Value>(&mut redis).await {
            Ok(_) => side.up(),
            Err(error) => side.down(error),
        }
        sleep(MONITOR).await;
    }
}

/// The way from the stream to Kafka.
pub struct ToKafka {
    redis: ConnectionManager,
    lease: Lease,
    producer: Producer,
    config: RedisToKafka,
    route: Route,
}

/// An entry, or why it is none.
type Entry = (String, HashMap<String, Value>, Result<Parcel, String>);

impl ToKafka {
    /// One that has not begun.
    pub fn new(redis: ConnectionManager, producer: Producer, config: RedisToKafka, route: Route) -> Self {
        let key = format!("{}:lease:{}", config.stream, config.group);
        let lease = Lease::new(redis.clone(), key, &config.consumer, config.lease);
        Self { redis, lease, producer, config, route }
    }

    /// Carries events until it is told to stop. What was read then still arrives.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            match self.take_part(&stop).await {
                Ok(()) => backoff = Backoff::default(),
                Err(error) => {
                    self.route.failures.inc();
                    tracing::warn!(%error, "redis_to_kafka is interrupted");
                    tokio::select! { () = backoff.wait() => {}, () = stop.cancelled() => {} }
                }
            }
        }
        if let Err(error) = self.lease.give_back().await {
            tracing::warn!(%error, "the lease could not be given back; it runs out");
        }
    }

    /// Waits for the lease, and carries events as long as it has it.
    async fn take_part(&mut self, stop: &CancellationToken) -> Result<()> {
        while !self.lease.take().await? {
            tokio::select! { () = self.lease.stand_by() => {}, () = stop.cancelled() => return Ok(()) }
        }
        tracing::info!(stream = self.config.stream, "this bridge carries the stream");
        self.route.active.set(1);
        let mut keeper = self.lease.clone();
        let done = tokio::select! {
            done = self.carry(stop) => done,
            () = keeper.keep() => Err(anyhow::anyhow!("the lease is lost")),
        };
        self.route.active.set(0);
        done
    }

    async fn carry(&mut self, stop: &CancellationToken) -> Result<()> {
        self.ensure_group().await?;
        let mut from = "0-0".to_owned();
        loop {
            let Some(reply) = self.ask::<StreamAutoClaimReply>(CLAIM, Some(&from)).await? else { return Ok(()) };
            self.deliver(reply.claimed).await?;
            from = reply.next_stream_id;
            if from == "0-0" {
                break;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        self.forget().await?;
        let mut tidied: Option<Instant> = None;
        while !stop.is_cancelled() {
            let Some(reply) = self.ask::<Option<StreamReadReply>>(READ, None).await? else { return Ok(()) };
            let entries: Vec<StreamId> =
                reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).collect();
            if entries.is_empty() {
                tokio::select! { () = sleep(self.config.poll) => {}, () = stop.cancelled() => {} }
            } else {
                self.deliver(entries).await?;
            }
            if tidied.is_none_or(|at| at.elapsed() >= TIDY) {
                self.tidy().await?;
                tidied = Some(Instant::now());
            }
        }
        self.tidy().await
    }

    /// All of the stream is for us, also what was there before the first bridge.
    async fn ensure_group(&mut self) -> Result<()> {
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(&self.config.stream).arg(&self.config.group).arg("0").arg("MKSTREAM");
        match command.query_async::<Value>(&mut self.redis).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn script(&self, script: &str) -> redis::Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(2).arg(&self.config.stream).arg(self.lease.key());
        command
    }

    /// What a script says to the holder of the lease; nothing when that is somebody else.
    async fn ask<T: FromRedisValue>(&mut self, script: &str, from: Option<&str>) -> Result<Option<T>> {
        let RedisToKafka { group, consumer, batch, .. } = &self.config;
        let mut command = self.script(script);
        command.arg(self.lease.token()).arg(group).arg(consumer).arg(*batch).arg(from);
        let mut answer: Vec<Value> = command.query_async(&mut self.redis).await?;
        let value = if answer.len() > 1 { answer.swap_remove(1) } else { Value::Nil };
        match answer.first() {
            Some(Value::Int(1)) => Ok(Some(T::from_redis_value(value)?)),
            _ => Ok(None),
        }
    }

    async fn forget(&mut self) -> Result<()> {
        let mut command = self.script(FORGET);
        command.arg(self.lease.token()).arg(&self.config.group).arg(&self.config.consumer);
        command.query_async::<i64>(&mut self.redis).await?;
        Ok(())
    }

    async fn tidy(&mut self) -> Result<()> {
        let mut command = redis::cmd("EVAL");
        command.arg(TRIM).arg(1).arg(&self.config.stream).arg(&self.config.group).arg(u8::from(self.config.trim));
        self.route.pending.set(command.query_async(&mut self.redis).await?);
        Ok(())
    }

    /// Brings entries to Kafka, those that can never be there to the dead letters, and acknowledges them.
    async fn deliver(&mut self, entries: Vec<StreamId>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.route.read.inc_by(entries.len() as u64);
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|StreamId { id, map, .. }| {
                let parcel = parcel(&map);
                (id, map, parcel)
            })
            .collect();
        let good: Vec<Parcel> = entries.iter().filter_map(|(.., parcel)| parcel.as_ref().ok().cloned()).collect();
        let mut verdicts = self.producer.deliver(&good).await.into_iter();
        let mut done = redis::pipe();
        done.atomic();
        let (mut delivered, mut parked) = (0, 0);
        let mut acknowledge = redis::cmd("XACK");
        acknowledge.arg(&self.config.stream).arg(&self.config.group);
        for (id, fields, parcel) in entries {
            acknowledge.arg(&id);
            let reason = match parcel {
                Err(reason) => reason,
                Ok(_) => match verdicts.next() {
                    Some(Verdict::Poison(reason)) => reason,
                    _ => {
                        delivered += 1;
                        continue;
                    }
                },
            };
            tracing::warn!(id, reason, "an entry is parked among the dead letters");
            parked += 1;
            let letter = done.cmd("XADD").arg(&self.config.dead).arg("*").arg("id").arg(&id).arg("reason").arg(&reason);
            for name in ["event", "type", "subject", "topics"] {
                if let Some(Value::BulkString(text)) = fields.get(name) {
                    letter.arg(name).arg(text);
                }
            }
            letter.ignore();
        }
        done.add_command(acknowledge).ignore();
        done.query_async::<()>(&mut self.redis).await?;
        self.route.delivered(delivered);
        self.route.parked.inc_by(parked);
        Ok(())
    }
}

/// The records of an entry: one for each of its topics.
fn parcel(fields: &HashMap<String, Value>) -> Result<Parcel, String> {
    let field = |name: &str| match fields.get(name) {
        Some(Value::BulkString(bytes)) => Some(bytes.as_slice()),
        _ => None,
    };
    let text = |name: &str| field(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let value = field("event").ok_or("it has no field event")?;
    let envelope = event::envelope(value)?;
    let topics = text("topics").unwrap_or_default();
    // By commas or spaces: neither can be in a name.
    let topics: Vec<&str> = topics.split([',', ' ']).filter(|topic| !topic.is_empty()).collect();
    if topics.is_empty() {
        return Err("it has no topics".into());
    }
    if let Some(topic) = topics.iter().find(|topic| !is_topic(topic)) {
        return Err(format!("{topic} is no name of a Kafka topic"));
    }
    let key = text("subject").filter(|subject| !subject.is_empty()).or(envelope.subject);
    let record = Record { topic: String::new(), key, headers: envelope.headers, value: Bytes::copy_from_slice(value) };
    Ok(topics.into_iter().map(|topic| Record { topic: topic.to_owned(), ..record.clone() }).collect())
}

/// What Kafka takes as a topic's name.
pub fn is_topic(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name.bytes().all(fits) && name != "." && name != ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &str)]) -> HashMap<String, Value> {
        fields.iter().map(|(name, value)| (name.to_string(), Value::BulkString(value.as_bytes().to_vec()))).collect()
    }

    #[test]
    fn an_entry_is_a_record_in_each_of_its_topics() {
        let fields = [
            ("event", r#"{"subject": "order/1"}"#),
            ("subject", "order/17"),
            ("topics", "order-events, order.placed,a b"),
        ];
        let parcel = parcel(&entry(&fields)).unwrap();
        let topics: Vec<_> = parcel.iter().map(|record| (record.topic.as_str(), record.key.as_deref())).collect();
        let key = Some("order/17");
        assert_eq!(topics, [("order-events", key), ("order.placed", key), ("a", key), ("b", key)]);
    }

    #[test]
    fn an_entry_that_can_never_be_in_kafka_says_why() {
        let reason = |fields: &[(&str, &str)]| parcel(&entry(fields)).unwrap_err();
        assert_eq!(reason(&[("topics", "a")]), "it has no field event");
        assert_eq!(reason(&[("event", "x"), ("topics", "a")]), "it is not a JSON object");
        assert_eq!(reason(&[("event", "{}"), ("topics", " ,")]), "it has no topics");
        assert_eq!(reason(&[("event", "{}"), ("topics", "a,b:c")]), "b:c is no name of a Kafka topic");
    }
}
