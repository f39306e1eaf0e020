//! SQL of users who are gone.

use model::{Timestamp, UserId};
use store::{Database, Transaction, params};
use web::Result;

/// Writes down when to look for the last time.
pub(crate) async fn begin(transaction: &Transaction, user_id: UserId, due_at: Timestamp) -> Result<()> {
    let insert = "INSERT INTO departures (user_id, due_at) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
    Ok(transaction.execute(insert, params![user_id.0, due_at.0]).await?)
}

/// True when somebody's last look is due.
pub(crate) async fn any_due(database: &Database, now: Timestamp) -> Result<bool> {
    Ok(database.query_one("SELECT 1 FROM departures WHERE due_at <= $1 LIMIT 1", params![now.0]).await?.is_some())
}

/// Users whose last look is due; they are not remembered any longer.
pub(crate) async fn end_due(transaction: &Transaction, now: Timestamp, limit: u32) -> Result<Vec<UserId>> {
    let delete = format!(
        "DELETE FROM departures WHERE user_id IN \
         (SELECT user_id FROM departures WHERE due_at <= $1 ORDER BY due_at LIMIT {limit}) RETURNING user_id"
    );
    let rows = transaction.query(&delete, params![now.0]).await?;
    rows.into_iter().map(|mut row| Ok(UserId(row.next()?))).collect()
}
