//! Users who are gone: what their orders say of them as people goes, too. What was bought and paid stays.

use std::time::Duration;

use model::{Timestamp, UserId};
use store::{Durability, Place, Transaction};
use web::Result;

use crate::{
    DATABASE,
    repository::erasures::{self, Erasure},
};

/// Orders that one transaction goes through.
const ORDERS_AT_ONCE: u32 = 200;
/// Access tokens of a user who is gone are good for a quarter of an hour, and an order that is placed by then has ended
/// or is paid after the same time. All orders are gone through once more when both are over.
const LAST_ROUND_AFTER: Duration = Duration::from_secs(60 * 60);

/// A user is gone: ticks do the work.
pub(crate) async fn user_deleted(transaction: &Transaction, user_id: UserId) -> Result<()> {
    let now = Timestamp::now();
    erasures::begin(transaction, user_id, now.after(LAST_ROUND_AFTER), now).await
}

/// Goes through some orders of one user.
pub(crate) async fn erase_some() -> Result<()> {
    if !erasures::any_due(&DATABASE, Timestamp::now()).await? {
        return Ok(());
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let now = Timestamp::now();
            let Some(erasure) = erasures::due(transaction, now).await? else { return Ok(()) };
            let Erasure { user_id, until, .. } = erasure;
            match erasures::erase(transaction, &erasure, ORDERS_AT_ONCE).await? {
                Some(place) => erasures::go_on(transaction, user_id, place, now).await,
                None if now < until => erasures::go_on(transaction, user_id, Place(0, 0), until).await,
                None => erasures::end(transaction, user_id).await,
            }
        })
        .await
}
