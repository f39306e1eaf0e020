//! What orders do when something happened elsewhere. A step that the order's state does not allow (any more) is not
//! taken: the order was cancelled meanwhile, and that news is on its way to the others.

use events::Envelope;
use model::{
    OrderId, OrderStatus, Timestamp,
    event::{
        Event, InventoryRejected, InventoryReserved, OrderCancelled, OrderFailed, OrderPaid, OrderReserved,
        PaymentAuthorized, PaymentFailed, PaymentRefunded, PaymentSucceeded, RefundFailed, UserCreated, UserDeleted,
        UserUpdated,
    },
};
use store::Transaction;
use web::Result;

use crate::{
    erasures,
    order::Step,
    orders::{announce, announce_end, cancelled},
    refunds,
    repository::{self, Order},
    users,
};

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    if let Some(reserved) = event.read::<InventoryReserved>() {
        return inventory_reserved(transaction, &reserved?).await;
    }
    if let Some(rejected) = event.read::<InventoryRejected>() {
        let InventoryRejected { order_id, reason } = rejected?;
        return end(transaction, order_id, Step::Reject, &reason).await;
    }
    if let Some(succeeded) = event.read::<PaymentSucceeded>() {
        return payment_succeeded(transaction, &succeeded?).await;
    }
    if let Some(failed) = event.read::<PaymentFailed>() {
        let PaymentFailed { order_id, reason, .. } = failed?;
        return end(transaction, order_id, Step::Decline, &reason).await;
    }
    if let Some(refunded) = event.read::<PaymentRefunded>() {
        return refunds::refunded(transaction, &refunded?).await;
    }
    if let Some(failed) = event.read::<RefundFailed>() {
        return refunds::failed(transaction, &failed?).await;
    }
    if let Some(authorized) = event.read::<PaymentAuthorized>() {
        let PaymentAuthorized { order_id, amount, currency, .. } = authorized?;
        let what = format!("{amount} {currency}");
        return note(transaction, order_id, PaymentAuthorized::TYPE, &what, Timestamp::now()).await;
    }
    if let Some(created) = event.read::<UserCreated>() {
        return users::created(transaction, &created?, event.occurred_at).await;
    }
    if let Some(updated) = event.read::<UserUpdated>() {
        return users::updated(transaction, &updated?, event.occurred_at).await;
    }
    if let Some(deleted) = event.read::<UserDeleted>() {
        let UserDeleted { id } = deleted?;
        users::deleted(transaction, id).await?;
        return erasures::user_deleted(transaction, id).await;
    }
    Ok(())
}

async fn inventory_reserved(transaction: &Transaction, reserved: &InventoryReserved) -> Result<()> {
    let step = repository::advance(transaction, reserved.order_id, Step::Reserve, None, Timestamp::now()).await?;
    let Some(mut order) = step else { return Ok(()) };
    let event = OrderReserved {
        order_id: order.id,
        user_id: order.user_id,
        total: order.total,
        currency: order.currency,
        revision: order.revision,
        payment_token: order.payment_token.take(),
    };
    announce(transaction, &order, &event).await
}

/// An order has its money. Paid twice, it was paid the first time: an admin's word may be faster than the news of it.
pub(crate) async fn payment_succeeded(transaction: &Transaction, succeeded: &PaymentSucceeded) -> Result<()> {
    let now = Timestamp::now();
    let PaymentSucceeded { order_id, payment_id, amount, .. } = *succeeded;
    match repository::pay(transaction, order_id, amount, now).await? {
        Some(order) => {
            let Order { user_id, total, currency, .. } = order;
            let event = OrderPaid { order_id, number: order.number(), user_id, payment_id, total, currency };
            announce(transaction, &order, &event).await
        }
        None => match repository::find_in(transaction, order_id).await?.map(|order| order.status) {
            Some(OrderStatus::Pending | OrderStatus::Reserved) => paid_while_changed(transaction, order_id, now).await,
            // Cancelled while the card was being charged: payments gives the money back when it hears of that.
            Some(OrderStatus::Cancelled | OrderStatus::Failed) => {
                note(transaction, order_id, PaymentSucceeded::TYPE, "the money goes back", now).await
            }
            _ => Ok(()),
        },
    }
}

/// The customer has changed the order while their card was being charged for what it cost before: they get all of it back.
async fn paid_while_changed(transaction: &Transaction, id: OrderId, now: Timestamp) -> Result<()> {
    let reason = "it was changed while it was being paid";
    match repository::advance(transaction, id, Step::Cancel, Some(reason), now).await? {
        Some(order) => announce_end(transaction, &order, &OrderCancelled { paid: true, ..cancelled(&order) }).await,
        None => Ok(()),
    }
}

async fn end(transaction: &Transaction, order_id: OrderId, step: Step, reason: &str) -> Result<()> {
    match repository::advance(transaction, order_id, step, Some(reason), Timestamp::now()).await? {
        Some(order) => {
            let (user_id, key) = (order.user_id, order.placement_key);
            let event = OrderFailed { order_id, number: order.number(), user_id, reason: reason.to_owned(), key };
            announce_end(transaction, &order, &event).await
        }
        None => Ok(()),
    }
}

/// Writes something into the history of an order whose state stays as it is.
async fn note(transaction: &Transaction, id: OrderId, what: &str, reason: &str, now: Timestamp) -> Result<()> {
    match repository::find_in(transaction, id).await? {
        Some(order) => repository::note(transaction, id, what, order.status, Some(reason), now).await,
        None => Ok(()),
    }
}
