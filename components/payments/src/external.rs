//! What a payment processor outside of the shop says of an order's money, by an event. No provider component has it, so it
//! is booked like money that came by hand: what goes back of it is in the books when it is promised.
//!
//! An event has its effect in the transaction that writes its id down: again, it has none.

use model::{Currency, Money, OrderId, OrderStatus, PaymentStatus};
use serde::Deserialize;
use store::{Durability, Transaction};
use web::{Error, Result, client};

use crate::{
    DATABASE,
    by_hand::{HAND, begin},
    charges,
    payments::OrderSummary,
    repository::{self, Ending, Known, PayableOrder, Payment},
};

/// What the processor says.
#[derive(Deserialize, garde::Validate)]
#[serde(rename_all = "camelCase")]
pub(crate) struct External {
    /// Names the event for ever, among those of all sources.
    #[garde(skip)]
    event: String,
    #[garde(skip)]
    succeeded: bool,
    #[garde(skip)]
    order_id: OrderId,
    #[garde(skip)]
    amount: Option<Money>,
    #[garde(skip)]
    currency: Option<Currency>,
    #[garde(skip)]
    reason: Option<String>,
}

/// Books it: once, however often it comes. What does not fit the order is refused, and changes nothing.
pub(crate) async fn receive(external: &External) -> Result<()> {
    if events::knows_foreign(&DATABASE, &external.event).await? {
        return Ok(());
    }
    let no_order = || Error::invalid("data.orderId", "there is no such order");
    if !external.order_id.is_possible() {
        return Err(no_order());
    }
    let path = format!("/internal/orders/{}", external.order_id);
    let summary: OrderSummary = client::get("orders", &path).await?.ok_or_else(no_order)?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if !events::write_down_foreign(transaction, &external.event).await? {
                return Ok(());
            }
            match external.succeeded {
                true => succeeded(transaction, external, &summary).await,
                false => failed(transaction, external, &summary).await,
            }
        })
        .await
}

impl External {
    /// 422 when the money is not what the order costs.
    fn must_be(&self, amount: Money, currency: Currency) -> Result<()> {
        match self.amount {
            None if self.succeeded => return Err(Error::invalid("data.amount", "is missing")),
            Some(told) if told != amount => {
                return Err(Error::invalid("data.amount", format!("the order costs {amount} {currency}")));
            }
            _ => {}
        }
        match self.currency {
            Some(told) if told != currency => {
                Err(Error::invalid("data.currency", format!("the order costs {amount} {currency}")))
            }
            _ => Ok(()),
        }
    }
}

/// What the order costs, as payments are to know it; `None` when it is over.
async fn payable(
    transaction: &Transaction,
    external: &External,
    summary: &OrderSummary,
) -> Result<Option<PayableOrder>> {
    let OrderSummary { user_id, status, total: amount, currency, revision } = *summary;
    let order = PayableOrder { order_id: external.order_id, user_id, amount, currency, revision };
    match status {
        // Its stock is being reserved: a moment later it may be paid.
        OrderStatus::Pending => Err(Error::Unavailable("the order, whose stock is not reserved yet,".into())),
        OrderStatus::Reserved => Ok(match repository::open_order(transaction, &order).await? {
            Known::Payable(order) => Some(order),
            Known::Over => None,
        }),
        OrderStatus::Cancelled | OrderStatus::Failed => {
            repository::close_order(transaction, external.order_id, user_id).await?;
            Ok(None)
        }
        status => Err(Error::Conflict("not-payable", format!("the order is {status}"))),
    }
}

/// The money is there. That of an order that is over goes back, as that of a card that was charged too late does.
async fn succeeded(transaction: &Transaction, external: &External, summary: &OrderSummary) -> Result<()> {
    let before = repository::find_by_order_in(transaction, external.order_id).await?;
    if let Some(payment) = before.as_ref().filter(|payment| is_taken(payment)) {
        external.must_be(payment.amount, payment.currency)?;
        return Err(Error::Conflict("already-paid", format!("the order was paid by payment {}", payment.id)));
    }
    let order = payable(transaction, external, summary).await?;
    let wanted = order.unwrap_or(PayableOrder {
        order_id: external.order_id,
        user_id: summary.user_id,
        amount: before.as_ref().map_or(summary.total, |payment| payment.amount),
        currency: before.as_ref().map_or(summary.currency, |payment| payment.currency),
        revision: summary.revision,
    });
    external.must_be(wanted.amount, wanted.currency)?;
    let payment = match before {
        Some(payment) if is_out(&payment) => return Err(UNDER_WAY),
        // It took nothing, and its order is over.
        Some(payment) if payment.status != PaymentStatus::Pending => payment,
        before => begin(transaction, &wanted, before).await?,
    };
    let ending = Ending { status: PaymentStatus::Succeeded, reference: Some(&external.event), reason: None };
    charges::settle(transaction, payment.id, &ending, Some(HAND.to_owned())).await
}

/// The processor has no money and will have none: the order fails, as after a declined card, if it still waits for money and
/// nobody else is asked for it.
async fn failed(transaction: &Transaction, external: &External, summary: &OrderSummary) -> Result<()> {
    let before = repository::find_by_order_in(transaction, external.order_id).await?;
    if before.as_ref().is_some_and(|payment| payment.status != PaymentStatus::Pending || is_out(payment)) {
        return Ok(());
    }
    let Some(order) = payable(transaction, external, summary).await? else { return Ok(()) };
    if summary.status != OrderStatus::Reserved {
        return Ok(());
    }
    external.must_be(order.amount, order.currency)?;
    let payment = begin(transaction, &order, before).await?;
    let reason = external.reason.as_deref().map(|reason| reason.chars().take(200).collect::<String>());
    let reason = Some(reason.as_deref().unwrap_or("the payment failed"));
    let ending = Ending { status: PaymentStatus::Failed, reference: Some(&external.event), reason };
    charges::settle(transaction, payment.id, &ending, None).await
}

/// A provider is being asked: how that ends, is known in a moment.
const UNDER_WAY: Error = Error::Unavailable(std::borrow::Cow::Borrowed("the order, which is being paid otherwise,"));

fn is_out(payment: &Payment) -> bool {
    payment.check_at.is_some() || payment.status == PaymentStatus::Authorized
}

fn is_taken(payment: &Payment) -> bool {
    matches!(payment.status, PaymentStatus::Succeeded | PaymentStatus::Refunded)
}
