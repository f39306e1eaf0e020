//! Money that comes outside of the shop, such as by a bank transfer: an admin says that it is there, and it is in the books
//! like any other. No provider has it, so none is asked for it, and what goes back is in the books when it is promised: an
//! admin hands it over.

use model::{Currency, Money, PaymentId, PaymentOperation, PaymentStatus, Timestamp};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{
    Error, Result,
    audit::{self, Actor},
};

use crate::{
    DATABASE, charges,
    payments::subject,
    repository::{self, Ending, Known, NewPayment, PayableOrder, Payment},
};

/// What stands where others have the name of a provider.
pub(crate) const HAND: &str = "hand";

/// Whether it is money that no provider has.
pub(crate) fn holds(payment: &Payment) -> bool {
    payment.provider.as_deref() == Some(HAND)
}

/// A payment, as other services need to know it.
#[derive(Serialize)]
pub(crate) struct Booked {
    id: PaymentId,
    amount: Money,
    currency: Currency,
}

impl From<Payment> for Booked {
    fn from(Payment { id, amount, currency, .. }: Payment) -> Self {
        Self { id, amount, currency }
    }
}

/// Books the money for an order that has its stock. The same payment again when that was done before, or when a provider
/// has taken the money; 409 while one is being asked for it.
pub(crate) async fn receive(order: &PayableOrder, actor: &Actor) -> Result<Booked> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let order = match repository::open_order(transaction, order).await? {
                Known::Payable(order) => order,
                Known::Over => return Err(Error::Conflict("not-payable", "the order is over".into())),
            };
            let payment = match repository::find_by_order_in(transaction, order.order_id).await? {
                Some(payment) if matches!(payment.status, PaymentStatus::Succeeded | PaymentStatus::Refunded) => {
                    return Ok(payment.into());
                }
                before => begin(transaction, &order, before).await?,
            };
            let details = json!({ "orderId": order.order_id, "userId": order.user_id, "amount": payment.amount });
            audit::record_all(transaction, actor, "payment.received", &[(subject(payment.id), details)]).await?;
            let ending = Ending { status: PaymentStatus::Succeeded, reference: None, reason: None };
            charges::settle(transaction, payment.id, &ending, Some(HAND.to_owned())).await?;
            Ok(payment.into())
        })
        .await
}

/// The payment that the money is booked as: a new one, or the one that has waited for the order's stock.
pub(crate) async fn begin(transaction: &Transaction, order: &PayableOrder, before: Option<Payment>) -> Result<Payment> {
    let now = Timestamp::now();
    let begun = match before {
        Some(_) => repository::send_waiting(transaction, order, now, now).await?,
        None => {
            let (charge_key, operation) = (Uuid::now_v7().to_string(), PaymentOperation::Charge);
            let new = NewPayment { order, token: "", charge_key, operation, check_at: Some(now) };
            repository::insert(transaction, new, now).await?
        }
    };
    begun.ok_or_else(|| Error::Conflict("payment-exists", "the order is being paid otherwise".into()))
}
