//! What inventory does when something happened elsewhere.

use events::Envelope;
use model::{
    OrderId, Timestamp,
    event::{
        InventoryRejected, InventoryReserved, ItemsRestocked, OrderCancelled, OrderChanged, OrderFailed, OrderPaid,
        OrderPlaced, OrderReturned, ProductCreated, ProductDeleted, ProductUpdated, SoldItem,
    },
};
use store::Transaction;
use web::{Error, Result, Service};

use crate::{
    Inventory, inventory, repository,
    reservations::{self, Held, Holder},
    stock::Kind,
};

const PRODUCER: &str = Inventory::NAME;

pub(crate) async fn react(transaction: &Transaction, event: &Envelope) -> Result<()> {
    if let Some(placed) = event.read::<OrderPlaced>() {
        return order_placed(transaction, &placed?).await;
    }
    if let Some(changed) = event.read::<OrderChanged>() {
        let OrderChanged { order_id, items, .. } = changed?;
        let items: Vec<_> = items.iter().map(SoldItem::ordered).collect();
        let held = reservations::exchange(transaction, order_id, &items).await?;
        return answer(transaction, order_id, held).await;
    }
    if let Some(paid) = event.read::<OrderPaid>() {
        return order_paid(transaction, paid?.order_id).await;
    }
    if let Some(cancelled) = event.read::<OrderCancelled>() {
        let OrderCancelled { order_id, reason, .. } = cancelled?;
        return order_ended(transaction, order_id, &reason).await;
    }
    if let Some(failed) = event.read::<OrderFailed>() {
        let OrderFailed { order_id, reason, .. } = failed?;
        return order_ended(transaction, order_id, &reason).await;
    }
    if let Some(returned) = event.read::<OrderReturned>() {
        return order_ended(transaction, returned?.order_id, "sent back by the customer").await;
    }
    if let Some(restocked) = event.read::<ItemsRestocked>() {
        return items_restocked(transaction, &restocked?).await;
    }
    if let Some(created) = event.read::<ProductCreated>() {
        return inventory::introduce(transaction, &created?).await;
    }
    if let Some(updated) = event.read::<ProductUpdated>() {
        let ProductUpdated { product_id, stock_change, status, .. } = updated?;
        return inventory::follow_catalog(transaction, product_id, status, stock_change.unwrap_or(0)).await;
    }
    if let Some(deleted) = event.read::<ProductDeleted>() {
        let record = repository::discontinue(transaction, deleted?.product_id, Timestamp::now()).await?;
        return inventory::announce(transaction, &[record]).await;
    }
    Ok(())
}

async fn order_placed(transaction: &Transaction, placed: &OrderPlaced) -> Result<()> {
    let order_id = placed.order_id;
    let items: Vec<_> = placed.items.iter().map(SoldItem::ordered).collect();
    let held = reservations::hold(transaction, Holder::Order(order_id), &items).await?;
    answer(transaction, order_id, held).await
}

/// Tells orders whether an order has what it asks for.
async fn answer(transaction: &Transaction, order_id: OrderId, held: Held) -> Result<()> {
    match held {
        Held::Yes(_) => events::emit(transaction, PRODUCER, &InventoryReserved { order_id }).await?,
        Held::No(reason) => events::emit(transaction, PRODUCER, &InventoryRejected { order_id, reason }).await?,
        Held::Before => {}
    }
    Ok(())
}

async fn order_paid(transaction: &Transaction, order_id: OrderId) -> Result<()> {
    match repository::reservation_of(transaction, order_id).await? {
        Some(reservation) if reservation.status == "held" => {
            reservations::end(transaction, &reservation, Kind::Sold, "sold", None).await
        }
        // This news was parked, and that of the order's end came first.
        Some(reservation) if reservation.has_ended() => Ok(()),
        _ => Err(Error::Internal(format!("order {order_id} is paid, but nothing is held for it"))),
    }
}

/// Whatever the order has, comes back: held pieces are released, sold ones returned.
async fn order_ended(transaction: &Transaction, order_id: OrderId, reason: &str) -> Result<()> {
    match repository::reservation_of(transaction, order_id).await? {
        Some(reservation) if reservation.status == "held" => {
            reservations::end(transaction, &reservation, Kind::Released, "released", Some(reason)).await
        }
        Some(reservation) if reservation.status == "sold" => {
            reservations::end(transaction, &reservation, Kind::Returned, "returned", Some(reason)).await
        }
        Some(_) => Ok(()),
        // Its ORDER_PLACED was parked and may be replayed: this row then says that it is too late.
        None => {
            repository::reserve(transaction, Some(order_id), "released", &[], None, Timestamp::now()).await.map(drop)
        }
    }
}

/// Some pieces of a sold order come back; the others stay sold.
async fn items_restocked(transaction: &Transaction, restocked: &ItemsRestocked) -> Result<()> {
    let order_id = restocked.order_id;
    match repository::reservation_of(transaction, order_id).await? {
        Some(reservation) if reservation.status == "sold" => {
            reservations::take_back(transaction, &reservation, &restocked.items, &restocked.reason).await
        }
        // This news was parked, and all of the order has come back meanwhile.
        Some(reservation) if reservation.has_ended() => Ok(()),
        _ => Err(Error::Internal(format!("pieces of order {order_id} come back, but none are sold"))),
    }
}
