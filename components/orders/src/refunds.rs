//! Giving money of a paid order back: promised here, moved by payments, which answer by event.

use http::StatusCode;
use model::{
    Currency, Money, OrderId, RefundId, Timestamp,
    event::{Event, ItemsRestocked, OrderRefunded, OrderedItem, PaymentRefunded, RefundFailed, RefundRequested},
};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Transaction};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, Service, audit};

use crate::{
    DATABASE, Orders,
    order::{self, Claim, NotRefundable, Past, REFUNDABLE, Sold},
    orders::{NOT_FOUND, subject, visible},
    repository::{
        self, Order,
        refunds::{self, FAILED, NewRefund, PENDING, Refund, SUCCEEDED},
    },
};

/// A refund as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderRefund)]
pub(crate) struct RefundView {
    id: RefundId,
    order_id: OrderId,
    /// `pending`, `succeeded` or `failed`.
    #[schema(example = "pending")]
    status: String,
    amount: Money,
    currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "broken")]
    reason: Option<String>,
    /// Why the money did not go back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure: Option<String>,
    items: Vec<OrderedItem>,
    restock: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl RefundView {
    fn of(refund: Refund, currency: Currency) -> Self {
        Self {
            id: refund.id,
            order_id: refund.order_id,
            status: refund.status,
            amount: refund.amount,
            currency,
            reason: refund.reason,
            failure: refund.failure,
            items: refund.items,
            restock: refund.restock,
            created_at: refund.created_at,
            updated_at: refund.updated_at,
        }
    }
}

pub(crate) async fn list(caller: &Caller, id: OrderId) -> Result<Vec<RefundView>> {
    let order = visible(caller, id).await?;
    let refunds = refunds::list(&DATABASE, id).await?;
    Ok(refunds.into_iter().map(|refund| RefundView::of(refund, order.currency)).collect())
}

/// Gives money of an order back, and, if wanted, its pieces to the stock.
pub(crate) async fn refund(
    caller: &Caller,
    once: &Once,
    id: OrderId,
    claim: Claim<'_>,
    reason: Option<&str>,
) -> Result<Answer> {
    caller.must_administer()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let order = refunds::lock(transaction, id).await?.ok_or(NOT_FOUND)?;
            let amount = worth(transaction, &order, claim).await?;
            let refund = promise(transaction, &order, claim, amount, reason).await?;
            let view = RefundView::of(refund, order.currency);
            let details = json!({ "refundId": view.id, "amount": amount, "restock": claim.restock });
            audit::record(transaction, caller, "order.refunded", subject(id), details).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &view).await
        })
        .await
}

/// How much goes back; a precise refusal when it cannot.
async fn worth(transaction: &Transaction, order: &Order, claim: Claim<'_>) -> Result<Money> {
    if !REFUNDABLE.contains(&order.status) {
        return Err(Error::Conflict("not-refundable", format!("the order is {}", order.status)));
    }
    if claim.restock && order.status == model::OrderStatus::Returned {
        return Err(Error::Conflict("already-restocked", "the pieces came back with the whole order".into()));
    }
    let past = refunds::list_in(transaction, order.id).await?.into_iter().map(|refund| Past {
        items: refund.items,
        failed: refund.status == FAILED,
        restocked: refund.restock,
    });
    let past: Vec<_> = past.collect();
    let left = order.total.minor() - order.promised.minor() - order.refunded.minor();
    let lines = order.lines()?;
    let sold = Sold { lines: &lines, shipping: order.shipping, tax: order.tax, left: Money::from_minor(left.max(0)) };
    order::claim(&sold, &past, claim).map_err(|why| match why {
        NotRefundable::NoSuchItem(position) => {
            Error::invalid(format!("items[{position}].productId"), "is not in the order")
        }
        NotRefundable::TooMany(position, left) => {
            Error::invalid(format!("items[{position}].quantity"), format!("only {left} can still come back"))
        }
        NotRefundable::Nothing => Error::Conflict("nothing-to-refund", "nothing would go back".into()),
        NotRefundable::TooMuch(left) => {
            Error::Conflict("refund-too-large", format!("{left} {} are left", order.currency))
        }
    })
}

async fn promise(
    transaction: &Transaction,
    order: &Order,
    claim: Claim<'_>,
    amount: Money,
    reason: Option<&str>,
) -> Result<Refund> {
    let now = Timestamp::now();
    let order_id = order.id;
    let request_id = Uuid::now_v7();
    let name = name(request_id);
    let said = reason.unwrap_or("by the shop").to_owned();
    let Some(order) = refunds::promise(transaction, order_id, amount, now).await? else {
        return Err(Error::Unavailable("the order".into()));
    };
    let new = NewRefund {
        order_id,
        name: &name,
        status: PENDING,
        amount,
        reason,
        failure: None,
        items: claim.items,
        restock: claim.restock,
    };
    let refund = refunds::insert(transaction, &new, now).await?;
    let what = format!("{amount} {}: {said}", order.currency);
    repository::note(transaction, order_id, RefundRequested::TYPE, order.status, Some(&what), now).await?;
    let requested = RefundRequested { order_id, request_id, amount, reason: said.clone() };
    events::emit(transaction, Orders::NAME, &requested).await?;
    if claim.restock {
        let restocked = ItemsRestocked { order_id, items: claim.items.to_vec(), reason: said };
        events::emit(transaction, Orders::NAME, &restocked).await?;
    }
    refund.ok_or_else(|| Error::Internal("refunds: INSERT returned no row".into()))
}

/// What a refund is called that payments were asked for.
fn name(request_id: Uuid) -> String {
    request_id.to_string()
}

/// What a refund is called that payments have made without being asked.
fn name_of_payments(refund_id: RefundId) -> String {
    format!("refund/{refund_id}")
}

/// Money has gone back: what was promised, or what payments gave back by themselves. Payments know what they did: what
/// is not known here is written down all the same, once.
pub(crate) async fn refunded(transaction: &Transaction, refunded: &PaymentRefunded) -> Result<()> {
    let now = Timestamp::now();
    let PaymentRefunded { order_id, amount, currency, request_id, refund_id, .. } = *refunded;
    let name = request_id.map_or_else(|| name_of_payments(refund_id), name);
    let settled = match request_id {
        Some(_) => refunds::settle(transaction, &name, PENDING, SUCCEEDED, None, now).await?,
        None => None,
    };
    let promised = match settled {
        Some(refund) => refund.amount,
        None => {
            let new = made_by_payments(order_id, &name, SUCCEEDED, amount, None);
            if refunds::insert(transaction, &new, now).await?.is_none() {
                return Ok(());
            }
            Money::ZERO
        }
    };
    let order = refunds::end_promise(transaction, order_id, promised, amount, now).await?;
    let Some(order) = order else { return Ok(()) };
    let what = format!("{amount} {currency}");
    repository::note(transaction, order_id, PaymentRefunded::TYPE, order.status, Some(&what), now).await?;
    let Order { user_id, refunded, total, .. } = order;
    let event = OrderRefunded { order_id, number: order.number(), user_id, amount, refunded, total, currency };
    Ok(events::emit(transaction, Orders::NAME, &event).await?)
}

fn made_by_payments<'a>(
    order_id: OrderId,
    name: &'a str,
    status: &'a str,
    amount: Money,
    failure: Option<&'a str>,
) -> NewRefund<'a> {
    NewRefund { order_id, name, status, amount, reason: None, failure, items: &[], restock: false }
}

/// The money has not gone back, or it has come back again: it can be promised once more. Whatever else is heard of this
/// refund, now or later, it has failed.
pub(crate) async fn failed(transaction: &Transaction, failed: &RefundFailed) -> Result<()> {
    let now = Timestamp::now();
    let RefundFailed { order_id, refund_id, request_id, amount, ref reason } = *failed;
    let Some(name) = request_id.map(name).or(refund_id.map(name_of_payments)) else { return Ok(()) };
    let fail = async |from| refunds::settle(transaction, &name, from, FAILED, Some(reason), now).await;
    let (promised, refunded) = if let Some(refund) = fail(PENDING).await? {
        (refund.amount, Money::ZERO)
    } else if let Some(refund) = fail(SUCCEEDED).await? {
        (Money::ZERO, Money::from_minor(-refund.amount.minor()))
    } else if refund_id.is_some() {
        let new = made_by_payments(order_id, &name, FAILED, amount, Some(reason));
        if refunds::insert(transaction, &new, now).await?.is_none() {
            return Ok(());
        }
        (Money::ZERO, Money::ZERO)
    } else {
        return Ok(());
    };
    match refunds::end_promise(transaction, order_id, promised, refunded, now).await? {
        Some(order) => {
            repository::note(transaction, order_id, RefundFailed::TYPE, order.status, Some(reason), now).await
        }
        None => Ok(()),
    }
}
