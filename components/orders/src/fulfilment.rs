//! What the shop's people do with a paid order: it is shipped, it arrives, it comes back.

use model::{
    OrderId, OrderStatus, Timestamp,
    event::{OrderDelivered, OrderReturned, OrderShipped},
};
use serde_json::json;
use store::{Durability, Transaction};
use web::{Caller, Error, Result, audit};

use crate::{
    DATABASE, by_hand,
    order::{self, Step},
    orders::{self, OrderView, announce, record_status, unchanged},
    repository::{self, Order},
};

/// Brings an order to `status`, if its state allows it. Again changes nothing.
pub(crate) async fn set_status(
    caller: &Caller,
    id: OrderId,
    status: OrderStatus,
    reason: Option<&str>,
    tracking: Option<&str>,
) -> Result<OrderView> {
    caller.must_administer()?;
    let step = match Step::of_people(status) {
        Some(Step::Cancel) => return orders::cancel(caller, id, reason).await,
        Some(Step::Pay) => return by_hand::pay(caller, id).await,
        Some(step) => step,
        None => return Err(Error::Conflict(NOT_ALLOWED, format!("an order becomes {status} by what happens to it"))),
    };
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let now = Timestamp::now();
            match repository::advance(transaction, id, step, reason, now).await? {
                Some(mut order) => {
                    if let Some(tracking) = tracking {
                        repository::set_tracking(transaction, id, tracking).await?;
                        order.tracking = Some(tracking.to_owned());
                    }
                    tell(transaction, step, &order).await?;
                    record_status(transaction, caller, &order).await?;
                    Ok(order.into())
                }
                None => {
                    let order = unchanged(transaction, id, status, NOT_ALLOWED).await?;
                    match tracking {
                        Some(tracking) => correct(transaction, caller, order, tracking).await,
                        None => Ok(order.into()),
                    }
                }
            }
        })
        .await
}

/// Writes another carrier's number down, when it is another one.
async fn correct(transaction: &Transaction, caller: &Caller, mut order: Order, tracking: &str) -> Result<OrderView> {
    if order.tracking.as_deref() != Some(tracking) {
        repository::set_tracking(transaction, order.id, tracking).await?;
        // Not the number: the log keeps nothing that leads to a person.
        let details = json!({ "userId": order.user_id });
        audit::record(transaction, caller, "order.tracking", orders::subject(order.id), details).await?;
        order.tracking = Some(tracking.to_owned());
    }
    Ok(order.into())
}

const NOT_ALLOWED: &str = "transition-not-allowed";

async fn tell(transaction: &Transaction, step: Step, order: &Order) -> Result<()> {
    let (order_id, user_id) = (order.id, order.user_id);
    match step {
        Step::Ship => {
            let (number, items) = (order.number(), order::sold(&order.lines()?));
            let shipped = OrderShipped { order_id, number, user_id, items, tracking: order.tracking.clone() };
            announce(transaction, order, &shipped).await
        }
        Step::Deliver => announce(transaction, order, &OrderDelivered { order_id, user_id }).await,
        Step::Return => {
            let items = order::items(&order.lines()?);
            announce(transaction, order, &OrderReturned { order_id, user_id, items }).await
        }
        other => Err(Error::Internal(format!("orders: people do not {other:?}"))),
    }
}
