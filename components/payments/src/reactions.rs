//! What payments do when something happened to an order.

use events::Envelope;
use model::event::{OrderCancelled, OrderFailed, OrderReserved, RefundRequested};
use store::Transaction;
use web::Result;

use crate::{payments, refunds, repository::PayableOrder};

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    if let Some(reserved) = event.read::<OrderReserved>() {
        let OrderReserved { order_id, user_id, total, currency, revision, payment_token } = reserved?;
        let order = PayableOrder { order_id, user_id, amount: total, currency, revision };
        return payments::order_reserved(transaction, &order, payment_token.as_deref()).await;
    }
    if let Some(requested) = event.read::<RefundRequested>() {
        return refunds::requested(transaction, &requested?).await;
    }
    if let Some(cancelled) = event.read::<OrderCancelled>() {
        let OrderCancelled { order_id, user_id, reason, .. } = cancelled?;
        return payments::order_ended(transaction, order_id, user_id, &reason).await;
    }
    if let Some(failed) = event.read::<OrderFailed>() {
        let OrderFailed { order_id, user_id, reason, .. } = failed?;
        return payments::order_ended(transaction, order_id, user_id, &reason).await;
    }
    Ok(())
}
