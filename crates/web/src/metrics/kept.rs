//! What instances have written down of their requests.

use std::time::Duration;

use model::Timestamp;
use store::{Database, Durability, params};
use uuid::Uuid;

use super::{Counted, Gauge, INSTANCE, Instance, Report, sum};
use crate::Result;

/// Between two attempts to write down the same.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is tried to write down the same, each time for as long as `store` has patience.
const ATTEMPTS: u32 = 8;
/// A row that is older is not written again by anybody: it may be added to others and go.
const SETTLED: Duration = Duration::from_secs(10);
/// So many settled rows are worth adding up; a scrape reads what is not.
const WORTHWHILE: i64 = 64;
/// Rows that are added up in one transaction, and such transactions in one round of housekeeping.
const TOGETHER: usize = 500;
const ROUNDS: usize = 20;

/// Writes down what the instance has counted, until nothing is left or somebody else will see to the rest. One at a time.
pub(crate) async fn flush(database: &Database) {
    while let Some(counted) = INSTANCE.with_borrow_mut(Instance::next) {
        write(database, &counted).await;
    }
}

/// Writes a row. Whatever becomes of an attempt, it is there once.
async fn write(database: &Database, counted: &[Counted]) {
    let json = match serde_json::to_string(counted) {
        Ok(json) => json,
        Err(error) => return eprintln!("metrics: {error}"),
    };
    let name = || (Uuid::now_v7().to_string(), Timestamp::now());
    let (mut id, mut at) = name();
    // True when an attempt may have had its effect: then only the same row may be tried again.
    let mut in_doubt = false;
    for attempt in 1.. {
        let insert =
            "INSERT INTO request_counts (id, counted_at, counts) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
        let values = params![id.as_str(), at.0, json.as_str()];
        let Err(error) = database.execute_unlocked(Durability::Relaxed, insert, values).await else { return };
        in_doubt |= error != store::Error::Busy;
        // Late attempts might come after the row has been added to others.
        let late = in_doubt && Timestamp::now() > at.after(SETTLED / 2);
        if attempt == ATTEMPTS || late {
            let lost: u64 = counted.iter().flat_map(|counted| counted.buckets).sum();
            return eprintln!("metrics: {lost} requests are not counted: {error}");
        }
        spin_sdk::time::sleep(PAUSE).await;
        if !in_doubt {
            (id, at) = name();
        }
    }
}

/// Adds up rows that are settled, when there are enough of them.
pub(crate) async fn compact(database: &Database, now: Timestamp) -> Result<()> {
    let settled = now.before(SETTLED);
    for _ in 0..ROUNDS {
        // The last of so many, along the index.
        let enough = "SELECT 1 FROM request_counts WHERE counted_at < $1 ORDER BY counted_at LIMIT 1 OFFSET $2";
        if database.query_one(enough, params![settled.0, WORTHWHILE - 1]).await?.is_none() {
            return Ok(());
        }
        database
            .transaction(Durability::Relaxed, async |transaction| {
                let take = format!(
                    "DELETE FROM request_counts WHERE id IN (SELECT id FROM request_counts WHERE counted_at < $1 \
                     ORDER BY counted_at LIMIT {TOGETHER}) RETURNING counts"
                );
                let mut counted = Vec::new();
                for mut row in transaction.query(&take, params![settled.0]).await? {
                    counted.extend(serde_json::from_str::<Vec<Counted>>(&row.next::<String>()?)?);
                }
                // Another instance may have been faster.
                if counted.is_empty() {
                    return Ok(());
                }
                let json = serde_json::to_string(&sum(counted))?;
                // Older than any other, so that the next ones are added to it.
                let insert = "INSERT INTO request_counts (id, counted_at, counts) VALUES ($1, 0, $2)";
                Ok::<_, crate::Error>(transaction.execute(insert, params![Uuid::now_v7().to_string(), json]).await?)
            })
            .await?;
    }
    Ok(())
}

/// What a service tells of itself.
pub(crate) async fn report(database: &Database, gauges: Vec<Gauge>) -> Result<Report> {
    // One statement: what is being added up meanwhile is seen before or after, never half. All rows, along an index.
    let all = "SELECT counts FROM request_counts WHERE counted_at >= 0 ORDER BY counted_at";
    let mut counted = Vec::new();
    for mut row in database.query(all, params![]).await? {
        counted.extend(serde_json::from_str::<Vec<Counted>>(&row.next::<String>()?)?);
    }
    let outages = events::outages(database, Timestamp::now()).await?;
    let outbox = events::backlog(database, Timestamp::now()).await?;
    Ok(Report {
        requests: sum(counted),
        backlog: outbox.waiting,
        oldest_age_ms: outbox.oldest_age_ms,
        parked: outbox.parked,
        outages,
        gauges,
    })
}
