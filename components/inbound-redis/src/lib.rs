//! Inbound by Redis: events of others that wait in a stream are handed to the shop. A message on the channel is a nudge, and
//! may get lost: the stream has them until the shop has taken them.

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use inbound::Outcome;
use model::topic::{INBOUND as STREAM, INBOUND_DEAD as DEAD};
use spin_sdk::{
    redis::{Connection, RedisParameter, RedisResult},
    redis_subscriber,
};
use uuid::Uuid;
use web::variable;

const LEASE: &str = "bodega:inbound:lease";
const STEP: &str = include_str!("drain.lua");
/// Longer than the shop is waited for.
const LEASE_MILLIS: i64 = 10_000;
/// So many are handed over at one nudge; a further one follows if there are more.
const AT_ONCE: usize = 1_000;
/// When the shop has said of so many that it cannot now, it is not asked about all the others.
const MANY_LATER: usize = 20;

/// An event that waits.
struct Waiting {
    id: String,
    event: Vec<u8>,
}

/// Somebody who hands over events.
struct Drain {
    redis: Connection,
    /// Tells it apart from all others.
    name: String,
    /// The last event that is to wait.
    after: String,
}

impl Drain {
    /// Notes what has become of an event, and gives the next one, unless it is to stop.
    async fn step(&self, done: Option<(&Waiting, &Outcome)>, go: &str) -> Result<Option<Waiting>> {
        let id = done.map_or("", |(waiting, _)| &waiting.id);
        let (became, reason) = match done.map(|(_, outcome)| outcome) {
            None | Some(Outcome::Taken) => ("taken", ""),
            Some(Outcome::Refused(reason)) => ("refused", reason.as_str()),
            Some(Outcome::Failed(reason)) => ("failed", reason.as_str()),
            Some(Outcome::Later(_) | Outcome::Away(_)) => ("later", ""),
        };
        let time = LEASE_MILLIS.to_string();
        let arguments =
            [STEP, "3", STREAM, LEASE, DEAD, &self.name, &time, id, became, reason, &self.after, go].into_iter();
        let arguments = arguments.map(|argument| RedisParameter::Binary(argument.into())).collect::<Vec<_>>();
        let answer = self.redis.execute("EVAL", arguments).await.context("Redis")?;
        match <[RedisResult; 2]>::try_from(answer) {
            Ok([RedisResult::Binary(id), RedisResult::Binary(event)]) => {
                Ok(Some(Waiting { id: String::from_utf8(id)?, event }))
            }
            Err(nothing) if nothing.is_empty() => Ok(None),
            _ => Err(anyhow!("Redis does not answer what it was asked for")),
        }
    }

    /// Hands over what waits, oldest first.
    async fn run(mut self) -> Result<()> {
        let mut later = 0;
        let mut next = self.step(None, "next").await?;
        for _ in 0..AT_ONCE {
            let Some(waiting) = next else { return Ok(()) };
            let outcome = inbound::deliver(waiting.event.clone()).await;
            match &outcome {
                Outcome::Taken => {}
                Outcome::Refused(reason) => eprintln!("error: an event is put aside, in {DEAD}: {reason}"),
                Outcome::Failed(reason) | Outcome::Later(reason) => {
                    eprintln!("warning: an event is handed over again later: {reason}");
                    later += 1;
                    self.after.clone_from(&waiting.id);
                }
                Outcome::Away(reason) => {
                    self.step(Some((&waiting, &outcome)), "stop").await?;
                    bail!("events wait in {STREAM}: {reason}");
                }
            }
            let go = if later < MANY_LATER { "next" } else { "stop" };
            next = self.step(Some((&waiting, &outcome)), go).await?;
        }
        // What it has just been given is pending, and is the first that the next one gets.
        if next.is_some() {
            self.step(None, "stop").await?;
            self.redis.publish(STREAM, &STREAM.as_bytes().to_vec()).await.context("Redis")?;
        }
        Ok(())
    }
}

#[redis_subscriber]
async fn on_nudge(_nudge: Bytes) -> Result<()> {
    let url = variable::get("redis_url").await.map_err(|error| anyhow!("{error}"))?;
    let url = url.context("the variable redis_url is not set")?;
    let redis = Connection::open(url).await.context("Redis")?;
    Drain { redis, name: Uuid::new_v4().simple().to_string(), after: "0".into() }.run().await
}
