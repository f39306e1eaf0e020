//! What carts do when orders speak, and what they keep of what accounts say.

use events::Envelope;
use model::{
    Timestamp,
    event::{DiscountReleased, DiscountUsed, OrderFailed, UserCreated, UserDeleted, UserUpdated},
};
use store::Transaction;
use web::Result;

use crate::{
    departures, discounts, repository, returns,
    users::{self, Person, Said},
};

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
    let said_at = event.occurred_at;
    if let Some(created) = event.read::<UserCreated>() {
        let UserCreated { id, name, email, role, account_status: status, .. } = created?;
        return users::know(transaction, &Said { id, person: Person { name, email }, role, status, said_at }).await;
    }
    if let Some(updated) = event.read::<UserUpdated>() {
        let UserUpdated { id, name, email, role, account_status: status, .. } = updated?;
        return users::know(transaction, &Said { id, person: Person { name, email }, role, status, said_at }).await;
    }
    if let Some(deleted) = event.read::<UserDeleted>() {
        departures::user_deleted(transaction, deleted?.id, now).await?;
    }
    Ok(())
}
