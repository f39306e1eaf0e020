//! Orders that are paid outside of the shop, such as by a bank transfer: an admin says that the money is there.

use model::{Currency, Money, OrderId, OrderStatus, PaymentId, UserId, event::PaymentSucceeded};
use serde::{Deserialize, Serialize};
use store::Durability;
use web::{Caller, Error, Result, audit::Actor, client};

use crate::{
    DATABASE,
    orders::{self, NOT_FOUND, OrderView, record_status},
    reactions::payment_succeeded,
    repository,
};

/// What payments write into the books.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    order_id: OrderId,
    user_id: UserId,
    amount: Money,
    currency: Currency,
    revision: i64,
    actor: Actor,
}

/// The payment that it is in the books as.
#[derive(Deserialize)]
struct Booked {
    id: PaymentId,
    amount: Money,
    currency: Currency,
}

/// Payments book the money, and announce it; what that means for the order is done at once, and not only when the news
/// arrives. Whoever dies in between is followed by the news. Again changes nothing.
pub(crate) async fn pay(caller: &Caller, id: OrderId) -> Result<OrderView> {
    let order = orders::judged(id).await?;
    match order.status {
        OrderStatus::Reserved => {}
        OrderStatus::Paid => return Ok(order.into()),
        status => return Err(Error::Conflict("transition-not-allowed", format!("the order is {status}"))),
    }
    let received = Received {
        order_id: id,
        user_id: order.user_id,
        amount: order.total,
        currency: order.currency,
        revision: order.revision,
        actor: caller.into(),
    };
    let Booked { id: payment_id, amount, currency } = client::ask("payments", "/internal/payments", &received).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let succeeded = PaymentSucceeded { payment_id, order_id: id, amount, currency };
            payment_succeeded(transaction, &succeeded).await?;
            let order = repository::find_in(transaction, id).await?.ok_or(NOT_FOUND)?;
            record_status(transaction, caller, &order).await?;
            Ok(order.into())
        })
        .await
}
