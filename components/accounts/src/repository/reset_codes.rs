//! Codes for a forgotten password, by the fingerprint of the address.

use model::Timestamp;
use store::{Transaction, params};
use web::Result;

use super::Source;
use crate::reset::{PAUSE, Sent};

/// Replaces the code of an address, unless the last one is younger than [`PAUSE`]: then false.
pub(crate) async fn insert(transaction: &Transaction, fingerprint: &str, sent: &Sent, now: Timestamp) -> Result<bool> {
    let row = transaction
        .query_one(
            "INSERT INTO reset_codes (address, hash, tries, created_at, expires_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (address) DO UPDATE SET hash = excluded.hash, tries = excluded.tries, \
             created_at = excluded.created_at, expires_at = excluded.expires_at \
             WHERE reset_codes.created_at <= $6 RETURNING address",
            params![fingerprint, sent.hash.as_str(), sent.tries, now.0, sent.expires_at.0, now.before(PAUSE).0],
        )
        .await?;
    Ok(row.is_some())
}

/// The code that was sent last to an address.
pub(crate) async fn of(source: &impl Source, fingerprint: &str) -> Result<Option<Sent>> {
    let find = "SELECT hash, tries, expires_at FROM reset_codes WHERE address = $1";
    let row = source.row(find, params![fingerprint]).await?;
    row.map(|mut row| Ok(Sent { hash: row.next()?, tries: row.next()?, expires_at: Timestamp(row.next()?) }))
        .transpose()
}

/// Counts a wrong code.
pub(crate) async fn count_try(transaction: &Transaction, fingerprint: &str) -> Result<()> {
    let update = "UPDATE reset_codes SET tries = tries + 1 WHERE address = $1";
    Ok(transaction.execute(update, params![fingerprint]).await?)
}

/// Uses a code up. False when it has been, or is not the last one any more.
pub(crate) async fn consume(transaction: &Transaction, fingerprint: &str, hash: &str) -> Result<bool> {
    let delete = "DELETE FROM reset_codes WHERE address = $1 AND hash = $2 RETURNING address";
    Ok(transaction.query_one(delete, params![fingerprint, hash]).await?.is_some())
}

/// Forgets the code of an address.
pub(crate) async fn clear(transaction: &Transaction, fingerprint: &str) -> Result<()> {
    Ok(transaction.execute("DELETE FROM reset_codes WHERE address = $1", params![fingerprint]).await?)
}
