//! Users who are gone: their carts and checkouts go, too.

use std::time::Duration;

use model::{Timestamp, UserId};
use store::{Durability, Transaction};
use web::Result;

use crate::{
    DATABASE,
    repository::{carts, checkouts, departures, users},
};

/// Access tokens of a user who is gone are good for a quarter of an hour, and a checkout that is begun by then has ended
/// or is given up after this. What is there then goes as well.
const LAST_ROUND_AFTER: Duration = Duration::from_secs(60 * 60);
/// Users whom one tick goes through once more.
const PER_TICK: u32 = 50;

/// A user is gone. What comes after this is removed by [`forget_late`].
pub(crate) async fn user_deleted(transaction: &Transaction, user_id: UserId, now: Timestamp) -> Result<()> {
    carts::remove_of(transaction, &[user_id]).await?;
    checkouts::remove_ended_of(transaction, &[user_id]).await?;
    users::forget(transaction, user_id, now).await?;
    departures::begin(transaction, user_id, now.after(LAST_ROUND_AFTER)).await
}

/// Removes what users who are gone have done since, for a bounded number of them.
pub(crate) async fn forget_late(now: Timestamp) -> Result<()> {
    if !departures::any_due(&DATABASE, now).await? {
        return Ok(());
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let gone = departures::end_due(transaction, now, PER_TICK).await?;
            // Another tick may have come first.
            if gone.is_empty() {
                return Ok(());
            }
            carts::remove_of(transaction, &gone).await?;
            checkouts::remove_ended_of(transaction, &gone).await
        })
        .await
}
