//! SQL of what orders know of accounts.

use model::{Timestamp, UserId};
use store::{Database, Transaction, params};
use web::Result;

/// What accounts have said of a user.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) id: UserId,
    pub(crate) name: &'a str,
    pub(crate) email: &'a str,
    pub(crate) role: &'a str,
    pub(crate) status: &'a str,
    /// Whether what the user orders is charged without being asked.
    pub(crate) charge_at_once: bool,
    pub(crate) said_at: Timestamp,
}

/// Writes down what was said of a user, unless something newer is known, or the user is gone.
pub(crate) async fn know(transaction: &Transaction, said: &Said<'_>) -> Result<()> {
    let upsert = "INSERT INTO users (id, name, email, role, status, charge_at_once, said_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, \
         role = excluded.role, status = excluded.status, charge_at_once = excluded.charge_at_once, said_at = excluded.said_at \
         WHERE users.status <> 'gone' AND users.said_at <= excluded.said_at";
    let Said { id, name, email, role, status, charge_at_once, said_at } = *said;
    Ok(transaction.execute(upsert, params![id.0, name, email, role, status, charge_at_once, said_at.0]).await?)
}

/// Leaves nothing of a user but the id, for ever.
pub(crate) async fn forget(transaction: &Transaction, id: UserId, now: Timestamp) -> Result<()> {
    let upsert = "INSERT INTO users (id, name, email, role, status, charge_at_once, said_at) \
         VALUES ($1, '', '', '', 'gone', FALSE, $2) ON CONFLICT (id) DO UPDATE SET name = '', email = '', role = '', \
         status = 'gone', charge_at_once = FALSE, said_at = excluded.said_at";
    Ok(transaction.execute(upsert, params![id.0, now.0]).await?)
}

/// What a user is called, and whether what they order is charged without being asked. `None` for an account whose news has
/// not come yet.
pub(crate) async fn find(database: &Database, id: UserId) -> Result<Option<(String, bool)>> {
    let query = "SELECT name, charge_at_once FROM users WHERE id = $1";
    let row = database.query_one(query, params![id.0]).await?;
    row.map(|mut row| Ok((row.next()?, row.next()?))).transpose()
}
