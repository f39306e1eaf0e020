//! What carts do when orders speak.

use events::Envelope;
use model::{
    Timestamp,
    event::{DiscountReleased, DiscountUsed},
};
use store::Transaction;
use web::Result;

use crate::repository::discounts as repository;

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    let now = Timestamp::now();
    if let Some(used) = event.read::<DiscountUsed>() {
        let DiscountUsed { order_id, key } = used?;
        return repository::confirm(transaction, &key.to_string(), order_id, now).await;
    }
    if let Some(released) = event.read::<DiscountReleased>() {
        return repository::release(transaction, &released?.key.to_string(), now).await;
    }
    Ok(())
}
