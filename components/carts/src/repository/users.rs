//! SQL of what accounts say of users.

use model::{Timestamp, UserId};
use store::{Database, Transaction, params};
use web::Result;

use crate::users::{Person, Said};

/// Writes down what was said of a user, unless something newer is known, or the user is gone.
pub(crate) async fn know(transaction: &Transaction, said: &Said) -> Result<()> {
    let upsert = "INSERT INTO users (id, name, email, role, status, said_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, role = excluded.role, \
         status = excluded.status, said_at = excluded.said_at \
         WHERE users.status <> 'gone' AND users.said_at <= excluded.said_at";
    let Said { id, person: Person { name, email }, role, status, said_at } = said;
    let values = params![id.0, name.as_str(), email.as_str(), role.as_str(), status.as_str(), said_at.0];
    Ok(transaction.execute(upsert, values).await?)
}

/// Leaves nothing of a user but the id, for ever.
pub(crate) async fn forget(transaction: &Transaction, id: UserId, now: Timestamp) -> Result<()> {
    let upsert = "INSERT INTO users (id, name, email, role, status, said_at) VALUES ($1, '', '', '', 'gone', $2) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, role = excluded.role, \
         status = excluded.status, said_at = excluded.said_at";
    Ok(transaction.execute(upsert, params![id.0, now.0]).await?)
}

/// Who a user is; `None` when that is not known, or not any more.
pub(crate) async fn find(database: &Database, id: UserId) -> Result<Option<Person>> {
    let query = "SELECT name, email FROM users WHERE id = $1 AND status <> 'gone'";
    let row = database.query_one(query, params![id.0]).await?;
    row.map(|mut row| Ok(Person { name: row.next()?, email: row.next()? })).transpose()
}
