//! Refunds by whoever paid, while the order has not left the house.

use std::time::{Duration, Instant};

use http::StatusCode;
use model::{Money, OrderId, OrderStatus, PaymentId, PaymentStatus};
use serde::de::IgnoredAny;
use serde_json::json;
use store::Durability;
use web::{Answer, Caller, Error, Once, Result, client};

use crate::{
    DATABASE,
    payments::{OrderSummary, WAIT_FOR_TWIN},
    refunds::{self, Begun, RefundView, refund, shown},
    repository,
};

/// Gives back `amount` of a payment of the caller, or all that is left. All of it means that the order is called off, and
/// its pieces come back: the shop ships nothing that costs nothing. Asked again, it is the same refund. For admins it is
/// [`refund`].
pub(crate) async fn refund_own(
    caller: &Caller,
    once: &Once,
    id: PaymentId,
    amount: Option<Money>,
) -> Result<(Answer, RefundView)> {
    if caller.role.administers() {
        return refund(caller, once, id, amount, None).await;
    }
    if let Some(answer) = once.answered(&DATABASE, Some(caller)).await? {
        return shown(answer, id).await;
    }
    let payment = repository::find(&DATABASE, id).await?.filter(|payment| payment.user_id == caller.user_id);
    let payment = payment.ok_or(Error::not_found("payment"))?;
    if amount.is_some() && amount != payment.amount.minus(payment.refunded) {
        must_be_here(payment.order_id).await?;
        return refund(caller, once, id, amount, None).await;
    }
    match payment.status {
        _ if payment.amount == Money::ZERO => {
            return Err(Error::Conflict("nothing-to-refund", "the order costs nothing: cancel it".into()));
        }
        PaymentStatus::Succeeded => {
            let cancel = format!("/internal/orders/{}/cancel", payment.order_id);
            client::ask::<IgnoredAny>("orders", &cancel, &json!({ "reason": "by the customer" })).await?;
        }
        // That was done before.
        PaymentStatus::Refunded => {}
        status => return Err(Error::Conflict("nothing-to-refund", format!("the payment is {status}"))),
    }
    all(caller, once, id).await
}

/// The refund of all that was left. The news that the order is over does the same: whoever is first sends it, and the other
/// waits for it.
async fn all(caller: &Caller, once: &Once, id: PaymentId) -> Result<(Answer, RefundView)> {
    let (answer, ours) = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok::<_, Error>((answer, None));
            }
            let payment = repository::find_in(transaction, id).await?.ok_or(Error::not_found("payment"))?;
            repository::close_order(transaction, payment.order_id, payment.user_id).await?;
            let ours = refunds::promise_rest(transaction, &payment).await?;
            let refund = match &ours {
                Some(refund) => Some(refund.id),
                None => repository::last_refund(transaction, id).await?.map(|refund| refund.id),
            };
            let id = refund.ok_or_else(|| Error::Internal(format!("payment {id}: nothing goes back")))?;
            let answer = once.answer(transaction, Some(caller), StatusCode::CREATED, &Begun { id }).await?;
            Ok((answer, ours.map(|refund| (payment, refund))))
        })
        .await?;
    match ours {
        Some((payment, refund)) => refunds::send(&payment, &refund).await?,
        None => wait_for_news(&answer).await?,
    }
    shown(answer, id).await
}

/// Waits a little while the refund is being sent.
async fn wait_for_news(answer: &Answer) -> Result<()> {
    let Begun { id } = serde_json::from_str(answer.body())?;
    let deadline = Instant::now() + WAIT_FOR_TWIN;
    while Instant::now() < deadline {
        let refund = repository::find_refund(&DATABASE, id).await?.ok_or(Error::not_found("refund"))?;
        if refund.status != PaymentStatus::Pending {
            return Ok(());
        }
        spin_sdk::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(())
}

/// 409 when an order has left the house: what is refunded then, the shop decides.
async fn must_be_here(id: OrderId) -> Result<()> {
    let order: Option<OrderSummary> = client::get("orders", &format!("/internal/orders/{id}")).await?;
    match order.map(|order| order.status) {
        Some(OrderStatus::Paid) => Ok(()),
        Some(status) => Err(Error::Conflict("not-refundable", format!("the order is {status}"))),
        None => Err(Error::not_found("order")),
    }
}
