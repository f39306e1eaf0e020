//! SQL of erasures: users who are gone, and how far their orders have been gone through.

use model::{Timestamp, UserId};
use store::{Database, Place, Row, Transaction, params};
use web::Result;

/// A user whose personal data must go from their orders.
#[derive(Debug)]
pub(crate) struct Erasure {
    pub(crate) user_id: UserId,
    /// The last order that has been gone through.
    pub(crate) after: Place,
    /// When it is gone through for the last time: tokens that were good when the user went are no longer.
    pub(crate) until: Timestamp,
}

const ERASURE: &str = "user_id, after_at, after_id, until";

fn erasure(mut row: Row) -> Result<Erasure> {
    Ok(Erasure { user_id: UserId(row.next()?), after: Place(row.next()?, row.next()?), until: Timestamp(row.next()?) })
}

/// Begins an erasure; nothing when it has begun.
pub(crate) async fn begin(transaction: &Transaction, user_id: UserId, until: Timestamp, now: Timestamp) -> Result<()> {
    let insert = "INSERT INTO erasures (user_id, after_at, after_id, until, due_at) VALUES ($1, 0, 0, $2, $3) \
         ON CONFLICT (user_id) DO NOTHING";
    Ok(transaction.execute(insert, params![user_id.0, until.0, now.0]).await?)
}

/// True when there is something to erase.
pub(crate) async fn any_due(database: &Database, now: Timestamp) -> Result<bool> {
    Ok(database.query_one("SELECT 1 FROM erasures WHERE due_at <= $1 LIMIT 1", params![now.0]).await?.is_some())
}

/// The erasure that is due first.
pub(crate) async fn due(transaction: &Transaction, now: Timestamp) -> Result<Option<Erasure>> {
    let query = format!("SELECT {ERASURE} FROM erasures WHERE due_at <= $1 ORDER BY due_at LIMIT 1");
    transaction.query_one(&query, params![now.0]).await?.map(erasure).transpose()
}

/// Takes what is personal out of the next orders of a user; the last one, or none when there are no more.
pub(crate) async fn erase(transaction: &Transaction, erasure: &Erasure, limit: u32) -> Result<Option<Place>> {
    let update = format!(
        "UPDATE orders SET shipping_address = NULL, billing_address = NULL, tracking = NULL, \
         payment_token = CASE WHEN status = 'pending' THEN payment_token END WHERE id IN (SELECT id FROM orders \
         WHERE user_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT {limit}) \
         RETURNING created_at, id"
    );
    let rows = transaction.query(&update, params![erasure.user_id.0, erasure.after.0, erasure.after.1]).await?;
    let places = rows.into_iter().map(|mut row| Ok((row.next::<i64>()?, row.next::<i64>()?)));
    let places = places.collect::<Result<Vec<_>>>()?;
    Ok(places.into_iter().max().map(|(at, id)| Place(at, id)))
}

/// Goes on after `after` at `due_at`.
pub(crate) async fn go_on(transaction: &Transaction, user_id: UserId, after: Place, due_at: Timestamp) -> Result<()> {
    let update = "UPDATE erasures SET after_at = $1, after_id = $2, due_at = $3 WHERE user_id = $4";
    Ok(transaction.execute(update, params![after.0, after.1, due_at.0, user_id.0]).await?)
}

pub(crate) async fn end(transaction: &Transaction, user_id: UserId) -> Result<()> {
    Ok(transaction.execute("DELETE FROM erasures WHERE user_id = $1", params![user_id.0]).await?)
}
