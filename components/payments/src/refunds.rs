//! Refunds: the same care as for charges, in the other direction.

use http::StatusCode;
use model::{Currency, Money, PaymentId, PaymentStatus, RefundId, Timestamp, event::PaymentRefunded};
use serde::{Deserialize, Serialize};
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, Service};

use crate::{
    DATABASE, Payments,
    payment::{GRACE, NotRefundable, ask_again_after, refundable},
    provider::{self, Finding, Outcome, RefundRequest},
    repository::{self, Payment, Refund},
};

/// Refunds of unknown ending that one tick asks about.
const UNKNOWN_PER_TICK: u32 = 20;

/// A refund as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundView {
    id: RefundId,
    payment_id: PaymentId,
    status: PaymentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    amount: Money,
    currency: Currency,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl RefundView {
    pub(crate) fn of(refund: Refund, currency: Currency) -> Self {
        Self {
            id: refund.id,
            payment_id: refund.payment_id,
            status: refund.status,
            reason: refund.reason,
            amount: refund.amount,
            currency,
            created_at: refund.created_at,
            updated_at: refund.updated_at,
        }
    }
}

/// What a request to refund leaves behind for its repetitions.
#[derive(Serialize, Deserialize)]
struct Begun {
    id: RefundId,
}

/// Gives back `amount` of a payment, or all that is left of it.
pub(crate) async fn refund(
    caller: &Caller,
    once: &Once,
    id: PaymentId,
    amount: Option<Money>,
    reason: Option<&str>,
) -> Result<Answer> {
    let begun = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let payment = repository::find_in(transaction, id).await?.ok_or(Error::not_found("payment"))?;
            let refund = promise(transaction, &payment, amount, reason).await?.map_err(|why| match why {
                NotRefundable::NothingLeft => {
                    Error::Conflict("nothing-to-refund", format!("the payment is {}", payment.status))
                }
                NotRefundable::TooMuch(left) => {
                    Error::Conflict("refund-too-large", format!("{left} {} are left", payment.currency))
                }
            })?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &Begun { id: refund.id }).await
        })
        .await?;
    let Begun { id: refund_id } = serde_json::from_str(begun.body())?;
    let payment = repository::find(&DATABASE, id).await?.ok_or(Error::not_found("payment"))?;
    let find = async || repository::find_refund(&DATABASE, refund_id).await?.ok_or(Error::not_found("refund"));
    let refund = find().await?;
    if !begun.is_replay() {
        send(&payment, &refund).await?;
    }
    begun.with_body(&RefundView::of(find().await?, payment.currency))
}

/// Writes down a refund that is about to be sent, if there is something to give back.
async fn promise(
    transaction: &Transaction,
    payment: &Payment,
    amount: Option<Money>,
    reason: Option<&str>,
) -> Result<Result<Refund, NotRefundable>> {
    let promised = repository::promised(transaction, payment.id).await?;
    let amount = match refundable(payment.status, payment.amount, promised, amount) {
        Ok(amount) => amount,
        Err(why) => return Ok(Err(why)),
    };
    let now = Timestamp::now();
    let key = Uuid::now_v7().to_string();
    let check_at = now.after(GRACE);
    Ok(Ok(repository::insert_refund(transaction, payment.id, amount, key, reason, check_at, now).await?))
}

/// Gives back all that is left of a payment whose order is over.
pub(crate) async fn give_back(transaction: &Transaction, payment: &Payment) -> Result<()> {
    let Ok(refund) = promise(transaction, payment, None, Some("the order is over")).await? else { return Ok(()) };
    let payment = payment.clone();
    web::after_commit(transaction, async move {
        if let Err(error) = send(&payment, &refund).await {
            // A tick finds it.
            eprintln!("error: refund {}: {error}", refund.id);
        }
    });
    Ok(())
}

async fn send(payment: &Payment, refund: &Refund) -> Result<()> {
    let amount = u64::try_from(refund.amount.minor());
    let outcome = provider::refund(RefundRequest {
        key: refund.refund_key.clone(),
        charge_key: payment.charge_key.clone(),
        amount: amount.map_err(|_| Error::Internal(format!("refund {}: negative amount", refund.id)))?,
        currency: payment.currency.to_string(),
    })
    .await;
    conclude(refund, outcome).await
}

/// Writes down how a refund ended. Only the first to know announces it.
async fn conclude(refund: &Refund, outcome: Outcome) -> Result<()> {
    let now = Timestamp::now();
    let (status, reference, reason) = match &outcome {
        Outcome::Approved(reference) => (PaymentStatus::Succeeded, Some(reference.as_str()), None),
        Outcome::Declined(reason) => (PaymentStatus::Failed, None, Some(reason.as_str())),
        Outcome::Unknown => {
            let again = now.after(ask_again_after(refund.attempts));
            return repository::look_again_refund(&DATABASE, refund.id, again).await;
        }
    };
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let settled = repository::settle_refund(transaction, refund.id, status, reference, reason, now).await?;
            match settled {
                Some(refund) if refund.status == PaymentStatus::Succeeded => announce(transaction, &refund, now).await,
                Some(refund) => {
                    eprintln!("refund {} was declined: {:?}", refund.id, refund.reason);
                    Ok(())
                }
                None => Ok(()),
            }
        })
        .await
}

async fn announce(transaction: &Transaction, refund: &Refund, now: Timestamp) -> Result<()> {
    let payment = repository::add_refunded(transaction, refund.payment_id, refund.amount, now).await?;
    let payment = payment.ok_or(Error::not_found("payment"))?;
    let event = PaymentRefunded {
        payment_id: payment.id,
        refund_id: refund.id,
        order_id: payment.order_id,
        amount: refund.amount,
        currency: payment.currency,
        full: payment.status == PaymentStatus::Refunded,
        request_id: None,
    };
    Ok(events::emit(transaction, Payments::NAME, &event).await?)
}

/// Finds out how refunds ended that nobody has heard of, and sends those again that never arrived.
pub(crate) async fn find_out_unknown() -> Result<()> {
    let now = Timestamp::now();
    for refund in repository::claim_refunds(&DATABASE, now, now.after(GRACE), UNKNOWN_PER_TICK).await? {
        match provider::look_up(refund.refund_key.clone()).await {
            Finding::Settled(outcome) => conclude(&refund, outcome).await?,
            Finding::Missing => {
                let payment = repository::find(&DATABASE, refund.payment_id).await?;
                send(&payment.ok_or(Error::not_found("payment"))?, &refund).await?;
            }
        }
    }
    Ok(())
}
