//! What accounts say of people.

use model::{Timestamp, UserId};
use store::{Transaction, params};
use web::Result;

use crate::mail::Reader;

/// Writes down what was said of a user at `said_at`, unless something newer is known, or they are gone. With `new` also
/// of one of whom nothing is known.
pub(crate) async fn know(
    transaction: &Transaction,
    id: UserId,
    reader: &Reader,
    said_at: Timestamp,
    new: bool,
) -> Result<()> {
    let Reader { email, name, locale } = reader.clone();
    if new {
        let upsert = "INSERT INTO users (id, email, name, locale, said_at) SELECT $1, $2, $3, $4, $5 \
             WHERE NOT EXISTS (SELECT 1 FROM forgotten_users WHERE user_id = $1) \
             ON CONFLICT (id) DO UPDATE SET email = excluded.email, name = excluded.name, locale = excluded.locale, \
             said_at = excluded.said_at WHERE users.said_at <= excluded.said_at";
        Ok(transaction.execute(upsert, params![id.0, email, name, locale, said_at.0]).await?)
    } else {
        let update =
            "UPDATE users SET email = $1, name = $2, locale = $3, said_at = $4 WHERE id = $5 AND said_at <= $4";
        Ok(transaction.execute(update, params![email, name, locale, said_at.0, id.0]).await?)
    }
}

/// The address of a user, if it is known.
pub(crate) async fn address(transaction: &Transaction, id: UserId) -> Result<Option<String>> {
    let row = transaction.query_one("SELECT email FROM users WHERE id = $1", params![id.0]).await?;
    row.map(|mut row| Ok(row.next()?)).transpose()
}

/// Deletes what is known of a user.
pub(crate) async fn forget(transaction: &Transaction, id: UserId) -> Result<()> {
    Ok(transaction.execute("DELETE FROM users WHERE id = $1", params![id.0]).await?)
}
