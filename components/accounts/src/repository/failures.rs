//! Failed proofs of who one is, by the fingerprint of the address.

use model::Timestamp;
use store::{Row, Transaction, params};
use web::Result;

use super::Source;
use crate::throttle::Failures;

/// Reads three columns, which are null where there are no failures.
pub(super) fn read(row: &mut Row) -> Result<Failures> {
    let count = row.next::<Option<u32>>()?.unwrap_or(0);
    let time = |row: &mut Row| Ok::<_, web::Error>(Timestamp(row.next::<Option<i64>>()?.unwrap_or(0)));
    Ok(Failures { count, open_at: time(row)?, forget_at: time(row)? })
}

/// The failures at an address.
pub(crate) async fn of(source: &impl Source, fingerprint: &str) -> Result<Failures> {
    let find = "SELECT count, open_at, forget_at FROM failures WHERE address = $1";
    match source.row(find, params![fingerprint]).await? {
        Some(mut row) => read(&mut row),
        None => Ok(Failures::NONE),
    }
}

/// Writes them down.
pub(crate) async fn set(transaction: &Transaction, fingerprint: &str, failures: Failures) -> Result<()> {
    let Failures { count, open_at, forget_at } = failures;
    transaction
        .execute(
            "INSERT INTO failures (address, count, open_at, forget_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (address) DO UPDATE \
             SET count = excluded.count, open_at = excluded.open_at, forget_at = excluded.forget_at",
            params![fingerprint, count, open_at.0, forget_at.0],
        )
        .await?;
    Ok(())
}

/// Forgets them.
pub(crate) async fn clear(transaction: &Transaction, fingerprint: &str) -> Result<()> {
    Ok(transaction.execute("DELETE FROM failures WHERE address = $1", params![fingerprint]).await?)
}
