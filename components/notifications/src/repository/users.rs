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
    let values = params![user.id.0, user.email, user.name, user.said_at.0];
    let sql = if new {
        "INSERT INTO users (id, email, name, said_at) SELECT $1, $2, $3, $4 \
         WHERE NOT EXISTS (SELECT 1 FROM forgotten_users WHERE user_id = $1) \
         ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, said_at = excluded.said_at \
         WHERE users.said_at <= excluded.said_at"
    } else {
        "UPDATE users SET email = $2, name = $3, said_at = $4 WHERE id = $1 AND said_at <= $4"
    };
    Ok(transaction.execute(sql, values).await?)
}

/// Deletes what is known of a user.
pub(crate) async fn forget(transaction: &Transaction, id: UserId) -> Result<()> {
    Ok(transaction.execute("DELETE FROM users WHERE id = $1", params![id.0]).await?)
}
