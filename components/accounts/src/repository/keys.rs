//! The keys of access tokens.

use model::Timestamp;
use store::{Row, Transaction, params};
use web::{Result, auth::SigningKey};

use super::Source;
use crate::keys::StoredKey;

fn stored(mut row: Row) -> Result<StoredKey> {
    Ok(StoredKey { key: SigningKey { kid: row.next()?, secret: row.next()? }, created_at: Timestamp(row.next()?) })
}

/// The two newest keys, newest first.
pub(crate) async fn newest(source: &impl Source) -> Result<Vec<StoredKey>> {
    let find = "SELECT kid, secret, created_at FROM signing_keys ORDER BY created_at DESC, kid DESC LIMIT 2";
    source.rows(find, params![]).await?.into_iter().map(stored).collect()
}

/// Adds a key.
pub(crate) async fn insert(transaction: &Transaction, stored: &StoredKey) -> Result<()> {
    let insert = "INSERT INTO signing_keys (kid, secret, created_at) VALUES ($1, $2, $3)";
    let values = params![stored.key.kid.as_str(), stored.key.secret.as_str(), stored.created_at.0];
    Ok(transaction.execute(insert, values).await?)
}

/// Deletes all keys but the two newest.
pub(crate) async fn forget(transaction: &Transaction) -> Result<()> {
    transaction
        .execute(
            "DELETE FROM signing_keys WHERE kid NOT IN \
             (SELECT kid FROM signing_keys ORDER BY created_at DESC, kid DESC LIMIT 2)",
            params![],
        )
        .await?;
    Ok(())
}
