//! What carts do when orders speak, and when an account is gone.

use events::Envelope;
use model::{
    Timestamp,
    event::{DiscountReleased, DiscountUsed, OrderFailed, UserDeleted},
};
use store::Transaction;
use web::Result;

use crate::{
    repository::{carts, checkouts, discounts},
    returns,
};

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    let now = Timestamp::now();
    if let Some(used) = event.read::<DiscountUsed>() {
        let DiscountUsed { order_id, key } = used?;
        return discounts::confirm(transaction, &key.to_string(), order_id, now).await;
    }
    if let Some(released) = event.read::<DiscountReleased>() {
        return discounts::release(transaction, &released?.key.to_string(), now).await;
    }
    if let Some(failed) = event.read::<OrderFailed>() {
        return match failed?.key {
            Some(key) => returns::order_failed(transaction, key, now).await,
            None => Ok(()),
        };
    }
    if let Some(deleted) = event.read::<UserDeleted>() {
        let UserDeleted { id } = deleted?;
        carts::remove_of(transaction, id).await?;
        checkouts::remove_ended_of(transaction, id).await?;
    }
    Ok(())
}
