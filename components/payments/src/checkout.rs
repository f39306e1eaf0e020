//! Paying an order with nothing to say but that it is to be paid: as often as somebody likes, once.

use model::{OrderId, PaymentOperation, PaymentStatus};
use web::{Caller, Error, Once, Result};

use crate::{
    method::Method,
    payments::{self, NOT_FOUND, PaymentView, Wanted},
};

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checkout {
    /// The order is paid, by this request or by one before.
    Paid,
    /// Its owner's card was declined.
    Declined(String),
}

/// Charges the owner of an order, unless that was done before. 409 when the order is over, 503 while nobody knows yet.
pub(crate) async fn check_out(caller: &Caller, once: &Once, order_id: OrderId) -> Result<Checkout> {
    let payment = match payments::get_by_order(caller, order_id).await {
        Err(error) if error == NOT_FOUND => pay(caller, once, order_id).await?,
        known => known?,
    };
    outcome(&payments::heard_of(payment).await?)
}

async fn pay(caller: &Caller, once: &Once, order_id: OrderId) -> Result<PaymentView> {
    let wanted = Wanted { order_id, method: &Method::Default, amount: None, operation: PaymentOperation::Charge };
    match payments::pay(caller, once, &wanted).await {
        Ok((_, payment)) => Ok(payment),
        // Another request was faster, or the order has been paid in another way.
        Err(error @ Error::Conflict(..)) => match payments::get_by_order(caller, order_id).await {
            Err(missing) if missing == NOT_FOUND => Err(error),
            known => known,
        },
        Err(error) => Err(error),
    }
}

fn outcome(payment: &PaymentView) -> Result<Checkout> {
    match payment.status {
        PaymentStatus::Succeeded | PaymentStatus::Authorized => Ok(Checkout::Paid),
        // Somebody has declined it; otherwise it was given up, because its order was over.
        PaymentStatus::Failed if payment.provider.is_some() => {
            Ok(Checkout::Declined(payment.reason.clone().unwrap_or_default()))
        }
        PaymentStatus::Failed | PaymentStatus::Voided | PaymentStatus::Refunded => {
            Err(Error::Conflict("not-payable", "the order is over".into()))
        }
        PaymentStatus::Pending => Err(Error::Unavailable("the outcome of the payment".into())),
    }
}
