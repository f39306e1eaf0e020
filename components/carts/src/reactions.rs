//! What carts do when orders speak, and when an account is gone.

use events::Envelope;
use model::{
    Timestamp,
    event::{DiscountReleased, DiscountUsed, OrderFailed, UserDeleted},
};
use store::Transaction;
use web::Result;

use crate::{departures, discounts, repository, returns};

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    let now = Timestamp::now();
    if let Some(used) = event.read::<DiscountUsed>() {
        let DiscountUsed { order_id, key } = used?;
        return discounts::used(transaction, &key.to_string(), order_id, now).await;
    }
    if let Some(released) = event.read::<DiscountReleased>() {
        return repository::discounts::release(transaction, &released?.key.to_string(), now).await;
    }
    if let Some(failed) = event.read::<OrderFailed>() {
        return match failed?.key {
            Some(key) => returns::order_failed(transaction, key, now).await,
            None => Ok(()),
        };
    }
    if let Some(deleted) = event.read::<UserDeleted>() {
        departures::user_deleted(transaction, deleted?.id, now).await?;
    }
    Ok(())
}
