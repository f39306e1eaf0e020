//! The inbox: an event has its effect in the transaction that writes its id down, so a second copy has none.

use std::{collections::HashSet, fmt::Display};

use model::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Database, Durability, Transaction, Value, params};

use crate::{
    Envelope,
    trace::{self, Trace},
};

/// Events as they arrive: in order per subject, at most as many as a relay sends at once.
pub type Batch = Vec<Envelope>;

/// The answer to a batch: everything in it has had its effect, now or earlier, except what is listed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Receipt {
    /// What has had no effect and must come again.
    pub refused: Vec<Refused>,
}

/// An event that had no effect.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Its place in the batch, from 0.
    pub position: usize,
    /// Why.
    pub error: String,
    /// True when it was not tried, because an earlier event of its subject was refused.
    pub waiting: bool,
}

/// Lets every event of `batch` have its effect exactly once: `react` runs in one transaction with the inbox row.
///
/// All of the batch share one transaction, and so one commit. If one fails, each gets its own, and those that fail are
/// listed in the receipt; what follows them in the same subject waits.
///
/// # Errors
///
/// The first one that `is_outage` says is none of the event's: then all of the batch comes again.
pub async fn receive<E: From<store::Error> + Display>(
    database: &Database,
    batch: &Batch,
    react: impl AsyncFn(&Transaction, &Envelope) -> Result<(), E>,
    is_outage: impl Fn(&E) -> bool,
) -> Result<Receipt, E> {
    match together(database, batch.iter().collect(), &react).await {
        Ok(()) => return Ok(Receipt::default()),
        Err(error) if is_outage(&error) => return Err(error),
        Err(_) => {}
    }
    let mut receipt = Receipt::default();
    let mut blocked: HashSet<&str> = HashSet::new();
    for (position, event) in batch.iter().enumerate() {
        let error = if blocked.contains(event.subject.as_str()) {
            "an earlier event of its subject was refused".to_owned()
        } else {
            match together(database, vec![event], &react).await {
                Ok(()) => continue,
                Err(error) if is_outage(&error) => return Err(error),
                Err(error) => error.to_string(),
            }
        };
        let waiting = !blocked.insert(&event.subject);
        receipt.refused.push(Refused { position, error, waiting });
    }
    Ok(receipt)
}

async fn together<E: From<store::Error>>(
    database: &Database,
    events: Vec<&Envelope>,
    react: &impl AsyncFn(&Transaction, &Envelope) -> Result<(), E>,
) -> Result<(), E> {
    if events.is_empty() {
        return Ok(());
    }
    database
        .transaction(Durability::Durable, async |transaction| {
            let mut fresh = write_down(transaction, &events).await?;
            for event in events {
                // A copy may stand twice in one batch.
                if fresh.remove(&event.event_id.to_string()) {
                    match &event.traceparent {
                        Some(traceparent) => {
                            trace::scope(Trace::following(traceparent), react(transaction, event)).await?;
                        }
                        None => react(transaction, event).await?,
                    }
                }
            }
            Ok(())
        })
        .await
}

/// Writes down a message from outside the shop, in the transaction in which it has its effect. False when it is written
/// down already: it has had its effect.
pub async fn write_down_foreign(transaction: &Transaction, id: &str) -> store::Result<bool> {
    let insert = "INSERT INTO inbox (event_id, received_at) VALUES ($1, $2) ON CONFLICT (event_id) DO NOTHING RETURNING event_id";
    Ok(transaction.query_one(insert, params![id, Timestamp::now().0]).await?.is_some())
}

/// Whether a message from outside the shop has had its effect.
pub async fn knows_foreign(database: &Database, id: &str) -> store::Result<bool> {
    Ok(database.query_one("SELECT 1 FROM inbox WHERE event_id = $1", params![id]).await?.is_some())
}

/// Writes the ids into the inbox and returns those that were not there.
async fn write_down(transaction: &Transaction, events: &[&Envelope]) -> store::Result<HashSet<String>> {
    let now = Timestamp::now().0;
    let values =
        events.iter().flat_map(|event| [Value::Text(event.event_id.to_string()), Value::Integer(now)]).collect();
    let insert = format!(
        "INSERT INTO inbox (event_id, received_at) VALUES {} ON CONFLICT (event_id) DO NOTHING RETURNING event_id",
        store::values(events.len(), 2)
    );
    transaction.query(&insert, values).await?.into_iter().map(|mut row| row.next()).collect()
}
