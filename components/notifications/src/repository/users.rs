//! What accounts say of people.

use model::{Timestamp, UserId};
use store::{Transaction, params};
use web::Result;

/// What is known of a user since `said_at`.
pub(crate) struct Known<'a> {
    pub(crate) id: UserId,
    pub(crate) email: &'a str,
    pub(crate) name: &'a str,
    pub(crate) said_at: Timestamp,
}

/// Writes down what is known of a user, unless something newer is, or they are gone. With `new` also of one of whom
/// nothing is known.
pub(crate) async fn know(transaction: &Transaction, user: &Known<'_>, new: bool) -> Result<()> {
    let Known { id, email, name, said_at } = *user;
    if new {
        let upsert = "INSERT INTO users (id, email, name, said_at) SELECT $1, $2, $3, $4 \
             WHERE NOT EXISTS (SELECT 1 FROM forgotten_users WHERE user_id = $1) \
             ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, said_at = excluded.said_at \
             WHERE users.said_at <= excluded.said_at";
        Ok(transaction.execute(upsert, params![id.0, email, name, said_at.0]).await?)
    } else {
        let update = "UPDATE users SET email = $1, name = $2, said_at = $3 WHERE id = $4 AND said_at <= $3";
        Ok(transaction.execute(update, params![email, name, said_at.0, id.0]).await?)
    }
}

/// Deletes what is known of a user.
pub(crate) async fn forget(transaction: &Transaction, id: UserId) -> Result<()> {
    Ok(transaction.execute("DELETE FROM users WHERE id = $1", params![id.0]).await?)
}
