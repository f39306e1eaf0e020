//! The outbox: events written in the transaction that made them true, and who still waits for a copy.

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use model::{Timestamp, event::Event};
use serde::Serialize;
use store::{Database, Durability, Engine, Error, Result, Row, Transaction, Value, params, typed_values};

use crate::{
    Envelope,
    lanes::{self, HELD},
    relay,
};

/// How long a relay may take with what it claimed before others take over.
pub(crate) const LEASE: Duration = Duration::from_secs(20);
/// Events that one round takes.
pub(crate) const ROUND: usize = 64;
/// So many of them are of one subject.
const OF_ONE_SUBJECT: usize = 16;

/// A copy of an event for one subscriber.
pub(crate) struct Delivery {
    pub(crate) id: i64,
    pub(crate) subscriber: String,
    pub(crate) subject: String,
    pub(crate) envelope: String,
    pub(crate) attempts: u32,
    /// How often the subscriber could not be reached before, when this is sent to see whether it can be again; else 0.
    pub(crate) outage: i64,
}

/// What [`Delivery::read`] reads, of `deliveries`.
pub(crate) const COPY: &str =
    "id, subscriber, subject, (SELECT envelope FROM outbox WHERE outbox.id = deliveries.outbox_id), attempts";

impl Delivery {
    pub(crate) fn read(row: Row) -> Result<Self> {
        Self::read_from(&mut { row })
    }

    fn read_from(row: &mut Row) -> Result<Self> {
        Ok(Self {
            id: row.next()?,
            subscriber: row.next()?,
            subject: row.next()?,
            envelope: row.next()?,
            attempts: row.next()?,
            outage: 0,
        })
    }
}

thread_local! {
    static BROKER: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Says who has a copy of every event, beside its subscribers, so that it leaves the shop: nobody at first.
pub fn copy_all_to(broker: Option<&'static str>) {
    BROKER.set(broker);
}

/// Announces `event`, which happens if and when `transaction` commits. `producer` is the service's own name.
pub async fn emit<E: Event>(transaction: &Transaction, producer: &str, event: &E) -> Result<()> {
    emit_all(transaction, producer, std::slice::from_ref(event)).await
}

/// Announces several events of one type, in order: two statements, however many there are, and in Postgres one.
pub async fn emit_all<E: Event>(transaction: &Transaction, producer: &str, events: &[E]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let now = Timestamp::now();
    let mut envelopes = Vec::with_capacity(events.len());
    let mut values = Vec::with_capacity(events.len() * 3);
    for event in events {
        let envelope = Envelope::new(producer, event).map_err(not_json)?;
        let json = serde_json::to_string(&envelope).map_err(not_json)?;
        values.extend(params![envelope.event_id.to_string(), json.clone(), now.0]);
        envelopes.push((envelope.subject, json));
    }
    let subscribers: Vec<_> = E::SUBSCRIBERS.iter().copied().chain(BROKER.get()).collect();
    let write = format!(
        "INSERT INTO outbox (event_id, envelope, created_at) VALUES {} RETURNING id",
        store::values(events.len(), 3)
    );
    let copies = match (subscribers.as_slice(), transaction.engine()) {
        ([], _) => return transaction.execute(&write, values).await,
        (subscribers, Engine::Postgres) => transaction.query(&at_once(&write, subscribers), values).await?,
        (subscribers, Engine::Sqlite) => {
            let rows = transaction.query(&write, values).await?;
            let mut written = rows.into_iter().map(|mut row| row.next()).collect::<Result<Vec<i64>>>()?;
            written.sort_unstable();
            let mut values = Vec::new();
            for (outbox_id, (subject, _)) in written.into_iter().zip(&envelopes) {
                for subscriber in subscribers {
                    values.extend(params![outbox_id, *subscriber, subject.as_str(), now.0]);
                }
            }
            let new = typed_values(values.len() / 4, &["BIGINT", "TEXT", "TEXT", "BIGINT"]);
            let copy = format!("WITH new (outbox_id, subscriber, subject, now) AS ({new}) {}", copy(""));
            transaction.query(&copy, values).await?
        }
    };
    let mut claimed = Vec::new();
    let mut written = BTreeSet::new();
    for mut row in copies {
        let (id, due_at, outbox_id): (i64, i64, i64) = (row.next()?, row.next()?, row.next()?);
        written.insert(outbox_id);
        if due_at > now.0 && due_at != HELD {
            let (subscriber, subject) = (row.next()?, row.next()?);
            let delivery = Delivery { id, subscriber, subject, envelope: String::new(), attempts: 0, outage: 0 };
            claimed.push((outbox_id, delivery));
        }
    }
    // Ids grow in the order of the events.
    let texts: HashMap<_, _> = written.into_iter().zip(envelopes.into_iter().map(|(_, json)| json)).collect();
    claimed.sort_by_key(|(_, delivery)| delivery.id);
    let envelope = |outbox_id| texts.get(&outbox_id).cloned().unwrap_or_default();
    let claimed = claimed.into_iter().map(|(of, delivery)| Delivery { envelope: envelope(of), ..delivery }).collect();
    transaction.on_commit(move || relay::enqueue(claimed));
    Ok(())
}

/// Adds the copies in `new`. This instance delivers at once what it writes, so it claims it right here. Only where an
/// earlier event of the same subject is still on its way to the same subscriber must the new one wait for its turn, and
/// what nobody takes is held.
fn copy(order: &str) -> String {
    format!(
        "INSERT INTO deliveries (outbox_id, subscriber, subject, since, due_at) \
         SELECT outbox_id, subscriber, subject, now, CASE WHEN EXISTS (SELECT 1 FROM lanes l \
         WHERE l.subscriber = new.subscriber AND l.failures > 0) THEN {HELD} WHEN EXISTS (SELECT 1 FROM deliveries d \
         WHERE d.subscriber = new.subscriber AND d.subject = new.subject AND d.parked_at IS NULL) \
         THEN now ELSE now + {} END FROM new {order} RETURNING id, due_at, outbox_id, subscriber, subject",
        LEASE.as_millis(),
    )
}

/// What `write` writes, and its copies, where one statement may write two tables.
fn at_once(write: &str, subscribers: &[&str]) -> String {
    let subscribers: Vec<_> = subscribers.iter().map(|subscriber| format!("('{subscriber}')")).collect();
    format!(
        "WITH written AS ({write}, envelope, created_at), new (outbox_id, subscriber, subject, now) AS (SELECT w.id, \
         s.subscriber, CAST(w.envelope AS JSON) ->> 'subject', w.created_at FROM written w \
         CROSS JOIN (VALUES {}) AS s (subscriber)) {}",
        subscribers.join(", "),
        copy("ORDER BY outbox_id"),
    )
}

fn not_json(error: serde_json::Error) -> Error {
    Error::Engine(format!("the event cannot be written as JSON: {error}"))
}

/// The copies that are due and the first of their subject.
const FIRST: &str = "SELECT d.id, d.subscriber, d.subject, d.due_at FROM deliveries d \
     WHERE d.parked_at IS NULL AND d.due_at <= $1 AND NOT EXISTS (SELECT 1 FROM deliveries e \
     WHERE e.subscriber = d.subscriber AND e.subject = d.subject AND e.parked_at IS NULL AND e.id < d.id)";

/// Claims up to a round of copies that are due: of each subject the first that waits, and those right behind it, so that
/// none overtakes another. What it passes over is what is due and must wait for an earlier one of its subject. What is for
/// somebody who cannot be reached is held instead.
pub(crate) async fn claim(database: &Database, now: Timestamp) -> Result<Vec<Delivery>> {
    // Most of the time there is nothing to do, and finding that out must not take the write lock.
    let any = format!("SELECT EXISTS ({FIRST}), EXISTS ({})", lanes::ANY);
    let Some(mut row) = database.query_one(&any, params![now.0]).await? else { return Ok(Vec::new()) };
    let (due, lanes) = (row.next::<bool>()?, row.next::<bool>()?);
    let mut claimed = match lanes {
        true => lanes::look_after(database, now).await?,
        false => Vec::new(),
    };
    if due || lanes {
        for mut row in database.execute(Durability::Relaxed, &claim_statement(), params![now.0]).await? {
            let delivery = Delivery::read_from(&mut row)?;
            if row.next::<i64>()? != HELD {
                claimed.push(delivery);
            }
        }
    }
    claimed.sort_by_key(|delivery| delivery.id);
    Ok(claimed)
}

fn claim_statement() -> String {
    format!(
        "WITH first AS ({FIRST} ORDER BY d.due_at LIMIT {ROUND}) \
         UPDATE deliveries SET due_at = CASE WHEN EXISTS (SELECT 1 FROM lanes l WHERE l.subscriber = deliveries.subscriber \
         AND l.failures > 0) THEN {HELD} ELSE $1 + {} END WHERE id IN (SELECT d.id FROM first JOIN deliveries d \
         ON d.subscriber = first.subscriber AND d.subject = first.subject AND d.parked_at IS NULL \
         AND d.id >= first.id AND d.due_at <= $1 \
         WHERE d.id <= coalesce((SELECT f.id FROM deliveries f WHERE f.subscriber = first.subscriber \
         AND f.subject = first.subject AND f.parked_at IS NULL AND f.id >= first.id \
         ORDER BY f.id LIMIT 1 OFFSET {}), d.id) \
         AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.subscriber = first.subscriber AND e.subject = first.subject \
         AND e.parked_at IS NULL AND e.id > first.id AND e.id < d.id AND e.due_at > $1) \
         ORDER BY first.due_at, first.id, d.id LIMIT {ROUND}) \
         RETURNING {COPY}, due_at",
        LEASE.as_millis(),
        OF_ONE_SUBJECT - 1,
    )
}

/// Forgets copies that have arrived. If a power failure undoes it, they are delivered once more and have no effect.
pub(crate) async fn delivered(database: &Database, ids: &[i64]) -> Result<()> {
    let delete = format!("DELETE FROM deliveries WHERE id IN {}", id_list(ids));
    // In turn: whoever adds to their subjects right now looks whether these are still there.
    database.execute_in_turn(Durability::Relaxed, &delete, id_params(ids)).await
}

/// Lets copies wait for their turn again, without counting an attempt.
pub(crate) async fn release(database: &Database, ids: &[i64], now: Timestamp) -> Result<()> {
    due(database, ids, now).await
}

/// Says when copies are due, without counting an attempt.
pub(crate) async fn due(database: &Database, ids: &[i64], at: Timestamp) -> Result<()> {
    let mut values = params![at.0];
    values.extend(id_params(ids));
    let list = id_list_from(ids, 2);
    let update = format!("UPDATE deliveries SET due_at = $1 WHERE id IN {list}");
    database.execute_in_turn(Durability::Relaxed, &update, values).await
}

/// Notes a failed attempt: to be tried again at `due_at`, or parked when that is `None`.
pub(crate) async fn failed(
    database: &Database,
    id: i64,
    error: &str,
    due_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let parked_at = due_at.is_none().then_some(now.0);
    database
        .execute(
            Durability::Relaxed,
            "UPDATE deliveries SET attempts = attempts + 1, due_at = $1, parked_at = $2, last_error = $3 WHERE id = $4",
            params![due_at.unwrap_or(now).0, parked_at, error.chars().take(500).collect::<String>(), id],
        )
        .await?;
    Ok(())
}

/// The numbers of parameters are powers of two, so that few distinct statements are prepared.
fn id_params(ids: &[i64]) -> Vec<Value> {
    let last = ids.last().copied().unwrap_or(0);
    let padding = std::iter::repeat_n(last, ids.len().next_power_of_two() - ids.len());
    ids.iter().copied().chain(padding).map(Value::Integer).collect()
}

fn id_list(ids: &[i64]) -> String {
    id_list_from(ids, 1)
}

fn id_list_from(ids: &[i64], first: usize) -> String {
    let places: Vec<_> = (0..ids.len().next_power_of_two()).map(|place| format!("${}", place + first)).collect();
    format!("({})", places.join(", "))
}

/// A copy that was given up: its subscriber refused it, attempt after attempt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parked {
    /// Names this copy for [`replay`].
    pub id: i64,
    /// Who refused it.
    pub subscriber: String,
    /// What it is about.
    pub subject: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was given up.
    pub parked_at: Timestamp,
    /// What the last attempt failed with.
    pub last_error: Option<String>,
    /// The event.
    pub event: Envelope,
}

/// Parked copies that were given up after the one of that time and id, oldest first.
pub async fn parked(database: &Database, after: (i64, i64), limit: u32) -> Result<Vec<Parked>> {
    let rows = database
        .query(
            "SELECT d.id, d.subscriber, d.subject, d.attempts, d.parked_at, d.last_error, o.envelope \
             FROM deliveries d JOIN outbox o ON o.id = d.outbox_id \
             WHERE d.parked_at IS NOT NULL AND (d.parked_at, d.id) > ($1, $2) ORDER BY d.parked_at, d.id LIMIT $3",
            params![after.0, after.1, limit],
        )
        .await?;
    let read = |mut row: Row| {
        Ok(Parked {
            id: row.next()?,
            subscriber: row.next()?,
            subject: row.next()?,
            attempts: row.next()?,
            parked_at: Timestamp(row.next()?),
            last_error: row.next()?,
            event: serde_json::from_str(&row.next::<String>()?).map_err(not_json)?,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Puts a parked copy back in line, with all its attempts before it. False when it is in line already; `None` when there
/// is no such copy (any more).
pub async fn replay(transaction: &Transaction, id: i64) -> Result<Option<bool>> {
    let replay = "UPDATE deliveries SET parked_at = NULL, attempts = 0, since = $1, due_at = $1 \
         WHERE id = $2 AND parked_at IS NOT NULL RETURNING id";
    if transaction.query_one(replay, params![Timestamp::now().0, id]).await?.is_some() {
        return Ok(Some(true));
    }
    let waits = transaction.query_one("SELECT 1 FROM deliveries WHERE id = $1", params![id]).await?;
    Ok(waits.map(|_| false))
}

/// Does the same with the oldest parked copies, `limit` of them at most. How many there were.
pub async fn replay_all(transaction: &Transaction, limit: u32) -> Result<usize> {
    let replay = "UPDATE deliveries SET parked_at = NULL, attempts = 0, since = $1, due_at = $1 WHERE id IN \
         (SELECT id FROM deliveries WHERE parked_at IS NOT NULL ORDER BY parked_at, id LIMIT $2) RETURNING id";
    Ok(transaction.query(replay, params![Timestamp::now().0, limit]).await?.len())
}

/// What is still to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Copies that some subscriber does not have.
    pub waiting: i64,
    /// How long the oldest of these has waited, since it was emitted or replayed.
    pub oldest_age_ms: i64,
    /// Copies that were given up.
    pub parked: i64,
}

/// How much is still to be delivered, and for how long. Read along indexes that hold only what is undelivered, and only
/// what is parked.
pub async fn backlog(database: &Database, now: Timestamp) -> Result<Backlog> {
    let count = "SELECT count(*), min(since), (SELECT count(*) FROM deliveries WHERE parked_at >= 0) \
         FROM deliveries WHERE parked_at IS NULL AND due_at >= 0";
    let Some(mut row) = database.query_one(count, params![]).await? else {
        return Err(Error::Engine("deliveries: no row".into()));
    };
    let (waiting, oldest, parked) = (row.next()?, row.next::<Option<i64>>()?, row.next()?);
    Ok(Backlog { waiting, oldest_age_ms: oldest.map_or(0, |since| (now.0 - since).max(0)), parked })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    const NOW: i64 = 10;

    fn database(copies: &[(u8, i64, bool)]) -> Connection {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(include_str!("../../../migrations/common/0001_events.sql")).unwrap();
        database.execute_batch(include_str!("../../../migrations/common/0004_lanes.sql")).unwrap();
        database.execute("INSERT INTO outbox (event_id, envelope, created_at) VALUES ('1', '{}', 0)", []).unwrap();
        for (subject, due_at, parked) in copies {
            let insert = "INSERT INTO deliveries (outbox_id, subscriber, subject, due_at, since, parked_at) \
                 VALUES (1, 'orders', $1, $2, 0, $3)";
            database.execute(insert, (subject, due_at, parked.then_some(0))).unwrap();
        }
        database
    }

    proptest! {
        /// Whatever waits, is under way or was given up: what is claimed of a subject is due, and the first of what it has.
        #[test]
        fn no_copy_is_claimed_before_an_earlier_one_of_its_subject(
            copies in prop::collection::vec((0u8..40, 5i64..13, prop::bool::weighted(0.1)), 1..150)
        ) {
            let database = database(&copies);
            let mut claim = database.prepare(&claim_statement()).unwrap();
            let claimed: Vec<i64> = claim.query_map([NOW], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            let is_claimed = |place: usize| claimed.contains(&i64::try_from(place + 1).unwrap());
            let mut firsts_due = 0;
            for subject in 0..40 {
                let own: Vec<_> =
                    (0..copies.len()).filter(|place| copies[*place].0 == subject && !copies[*place].2).collect();
                firsts_due += usize::from(own.first().is_some_and(|first| copies[*first].1 <= NOW));
                let taken = own.iter().take_while(|place| is_claimed(**place)).count();
                prop_assert!(own[taken..].iter().all(|place| !is_claimed(*place)), "{subject} is overtaken");
                prop_assert!(own[..taken].iter().all(|place| copies[*place].1 <= NOW), "{subject} is not due");
            }
            prop_assert!((0..copies.len()).all(|place| !(copies[place].2 && is_claimed(place))), "it was given up");
            prop_assert!(claimed.len() <= ROUND && claimed.len() >= firsts_due.min(ROUND));
        }
    }

    #[test]
    fn placeholders_are_numbered_in_order_of_use() {
        assert_eq!(id_list(&[7, 8, 9]), "($1, $2, $3, $4)");
        assert_eq!(id_params(&[7, 8, 9]), params![7i64, 8i64, 9i64, 9i64]);
    }
}
