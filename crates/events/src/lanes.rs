//! Subscribers that take nothing at all right now, such as a broker that is down.
//!
//! That is nobody's fault among the events, so no attempt is counted and nothing is parked, however long it lasts. Their
//! copies are *held*: their time is far away, so whoever looks for what is due does not meet them, and what is emitted
//! meanwhile is held from the beginning. Now and then one copy is sent to see whether somebody is there again; when it
//! arrives, the others come in line again, a round at a time.

use std::time::Duration;

use model::Timestamp;
use store::{Database, Durability, Result, params};

use crate::outbox::{self, Delivery, LEASE, ROUND};

/// When a copy is due that is held: the largest number that JSON has exactly. `0004_lanes.sql` has an index on it.
pub(crate) const HELD: i64 = 9_007_199_254_740_991;
/// Between two attempts to reach somebody, at first and at most.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// A transaction that began while somebody could not be reached has ended by then, and held its copies.
const SETTLED: Duration = Duration::from_secs(60);

/// How long to wait after nobody was there for the `failures`th time.
fn wait_after(failures: i64) -> Duration {
    let doublings = u32::try_from(failures.clamp(1, 16) - 1).unwrap_or(0);
    (SHORTEST * 2u32.pow(doublings)).min(LONGEST)
}

/// Nobody was there to take these copies: they are held, and so is what follows. `outage` is how often that was so before,
/// when it was a probe that has found it out.
pub(crate) async fn unreachable(
    database: &Database,
    subscriber: &str,
    ids: &[i64],
    outage: i64,
    now: Timestamp,
) -> Result<()> {
    let failures = outage + 1;
    // First this, so that whoever finds the copies before they are held holds them.
    let note = "INSERT INTO lanes (subscriber, failures, probe_at, since) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (subscriber) DO UPDATE SET failures = excluded.failures, probe_at = excluded.probe_at, \
         since = CASE WHEN lanes.failures > 0 THEN lanes.since ELSE excluded.since END \
         WHERE lanes.failures < excluded.failures";
    let values = params![subscriber, failures, now.after(wait_after(failures)).0, now.0];
    database.execute(Durability::Relaxed, note, values).await?;
    if ids.is_empty() {
        return Ok(());
    }
    outbox::due(database, ids, Timestamp(HELD)).await
}

/// Somebody is there again.
pub(crate) async fn reachable(database: &Database, subscriber: &str, now: Timestamp) -> Result<()> {
    let open = "UPDATE lanes SET failures = 0, probe_at = $1 WHERE subscriber = $2";
    database.execute(Durability::Relaxed, open, params![now.0, subscriber]).await?;
    Ok(())
}

/// Whether some subscriber is to be looked after.
pub(crate) const ANY: &str = "SELECT 1 FROM lanes l WHERE l.subscriber > '' AND l.probe_at <= $1";

/// Looks after those whose time has come: one copy for who could not be reached, in the answer; for who can be again, a
/// round of what is held comes in line.
pub(crate) async fn look_after(database: &Database, now: Timestamp) -> Result<Vec<Delivery>> {
    let lanes = "SELECT subscriber, failures, probe_at FROM lanes WHERE subscriber > '' AND probe_at <= $1";
    let mut probes = Vec::new();
    for mut row in database.query(lanes, params![now.0]).await? {
        let (subscriber, failures, probe_at): (String, i64, i64) = (row.next()?, row.next()?, row.next()?);
        match failures {
            1.. => probes.extend(probe(database, &subscriber, (failures, probe_at), now).await?),
            _ => release(database, &subscriber, failures, now).await?,
        }
    }
    Ok(probes)
}

/// One copy, the first of its subject, to see whether somebody is there. None when another instance is at it.
async fn probe(
    database: &Database,
    subscriber: &str,
    (failures, probe_at): (i64, i64),
    now: Timestamp,
) -> Result<Option<Delivery>> {
    let lease = "UPDATE lanes SET probe_at = $1 WHERE subscriber = $2 AND probe_at = $3 AND failures > 0 \
         RETURNING subscriber";
    let values = params![now.after(LEASE).0, subscriber, probe_at];
    if database.execute(Durability::Relaxed, lease, values).await?.is_empty() {
        return Ok(None);
    }
    let rows = database.execute(Durability::Relaxed, &take_first(), params![now.after(LEASE).0, subscriber]).await?;
    let first = rows.into_iter().next();
    let probe = first.map(Delivery::read).transpose()?;
    Ok(probe.map(|probe| Delivery { outage: failures, ..probe }))
}

/// Takes the oldest copy that is held and the first of its subject.
fn take_first() -> String {
    format!(
        "UPDATE deliveries SET due_at = $1 WHERE id = (SELECT d.id FROM deliveries d WHERE d.subscriber = $2 \
         AND d.parked_at IS NULL AND d.due_at = {HELD} AND NOT EXISTS (SELECT 1 FROM deliveries e \
         WHERE e.subscriber = d.subscriber AND e.subject = d.subject AND e.parked_at IS NULL AND e.id < d.id) \
         ORDER BY d.id LIMIT 1) RETURNING {}",
        outbox::COPY
    )
}

/// Lets a round of what is held come in line.
fn release_round() -> String {
    format!(
        "UPDATE deliveries SET due_at = $1 WHERE id IN (SELECT d.id FROM deliveries d WHERE d.subscriber = $2 \
         AND d.parked_at IS NULL AND d.due_at = {HELD} ORDER BY d.id LIMIT {ROUND}) RETURNING id"
    )
}

/// Lets a round of what is held come in line. When nothing is, the lane is forgotten a while later.
async fn release(database: &Database, subscriber: &str, failures: i64, now: Timestamp) -> Result<()> {
    if !database.execute(Durability::Relaxed, &release_round(), params![now.0, subscriber]).await?.is_empty() {
        return Ok(());
    }
    let (settled, values) = match failures {
        0 => (
            "UPDATE lanes SET failures = -1, probe_at = $1 WHERE subscriber = $2 AND failures = 0",
            params![now.after(SETTLED).0, subscriber],
        ),
        _ => ("DELETE FROM lanes WHERE subscriber = $1 AND failures < 0", params![subscriber]),
    };
    database.execute(Durability::Relaxed, settled, values).await?;
    Ok(())
}

/// The subscribers that cannot be reached, and for how many milliseconds.
pub async fn outages(database: &Database, now: Timestamp) -> Result<Vec<(String, i64)>> {
    let query = "SELECT subscriber, since FROM lanes WHERE subscriber > '' AND failures > 0 ORDER BY subscriber";
    let read = |mut row: store::Row| Ok((row.next()?, (now.0 - row.next::<i64>()?).max(0)));
    database.query(query, params![]).await?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// Copies for the broker: of a subject, and due then.
    fn database(copies: &[(&str, i64)]) -> Connection {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(include_str!("../../../migrations/common/0001_events.sql")).unwrap();
        database.execute_batch(include_str!("../../../migrations/common/0004_lanes.sql")).unwrap();
        database.execute("INSERT INTO outbox (event_id, envelope, created_at) VALUES ('1', '{}', 0)", []).unwrap();
        for (subject, due_at) in copies {
            let insert = "INSERT INTO deliveries (outbox_id, subscriber, subject, due_at, since) VALUES (1, 'broker', $1, $2, 0)";
            database.execute(insert, (subject, due_at)).unwrap();
        }
        database
    }

    fn run(database: &Connection, sql: &str) -> Vec<i64> {
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map((5, "broker"), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_probe_is_the_first_of_its_subject() {
        let copies = [("order/1", 7), ("order/1", HELD), ("order/2", HELD), ("order/2", HELD), ("order/3", HELD)];
        let database = database(&copies);
        assert_eq!(run(&database, &take_first()), [3], "the first of order/1 is on its way");
        assert_eq!(run(&database, &take_first()), [5], "and so is that of order/2 now");
        assert_eq!(run(&database, &take_first()), Vec::<i64>::new());
        assert_eq!(run(&database, &release_round()), [2, 4]);
    }

    #[test]
    fn what_is_held_is_found_along_its_own_index() {
        let database = database(&[]);
        for sql in [take_first(), release_round()] {
            let mut explain = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = explain.query_map((5, "broker"), |row| row.get::<_, String>("detail")).unwrap();
            let steps: Vec<_> = steps.map(Result::unwrap).collect();
            assert!(steps.iter().any(|step| step.contains("deliveries_held")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")), "{steps:?}");
        }
    }

    #[test]
    fn attempts_to_reach_somebody_get_rarer_and_never_end() {
        let waits: Vec<_> =
            [1, 2, 3, 6, 7, 8, 1000, i64::MAX].into_iter().map(|failures| wait_after(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 32, 60, 60, 60, 60]);
    }
}
