//! Refunds: the same care as for charges, in the other direction.

use http::StatusCode;
use model::{
    Currency, Money, PaymentId, PaymentStatus, RefundId, Timestamp,
    event::{PaymentRefunded, RefundFailed, RefundRequested},
};
use serde::{Deserialize, Serialize};
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, Service};

use crate::{
    DATABASE, Payments, ledger,
    payment::{GRACE, NotRefundable, ask_again_after, refundable},
    provider::{self, Outcome, RefundRequest, RefundState},
    repository::{self, NewRefund, Payment, Refund},
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
            let refund = promise(transaction, &payment, None, amount, reason).await?.map_err(|why| match why {
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
    request_id: Option<Uuid>,
    amount: Option<Money>,
    reason: Option<&str>,
) -> Result<Result<Refund, NotRefundable>> {
    let promised = repository::promised(transaction, payment.id).await?;
    let amount = match refundable(payment.status, payment.amount, promised, amount) {
        Ok(amount) => amount,
        Err(why) => return Ok(Err(why)),
    };
    let now = Timestamp::now();
    let refund_key = Uuid::now_v7().to_string();
    let new = NewRefund { payment_id: payment.id, request_id, amount, refund_key, reason, check_at: now.after(GRACE) };
    Ok(Ok(repository::insert_refund(transaction, new, now).await?))
}

/// Gives back all that is left of a payment whose order is over.
pub(crate) async fn give_back(transaction: &Transaction, payment: &Payment) -> Result<()> {
    if let Ok(refund) = promise(transaction, payment, None, None, Some("the order is over")).await? {
        send_after(transaction, payment.clone(), refund);
    }
    Ok(())
}

/// Orders want money of a paid order to go back: it does, once for each name, or they are told why not.
pub(crate) async fn requested(transaction: &Transaction, request: &RefundRequested) -> Result<()> {
    let RefundRequested { order_id, request_id, amount, ref reason } = *request;
    if repository::is_requested(transaction, request_id).await? {
        return Ok(());
    }
    let payment = repository::find_by_order_in(transaction, order_id).await?;
    let promised = match &payment {
        Some(payment) if amount > Money::ZERO => {
            promise(transaction, payment, Some(request_id), Some(amount), Some(reason)).await?
        }
        _ => Err(NotRefundable::NothingLeft),
    };
    match (payment, promised) {
        (Some(payment), Ok(refund)) => send_after(transaction, payment, refund),
        (_, refused) => {
            let reason = match refused {
                Err(NotRefundable::TooMuch(left)) => format!("only {left} are left"),
                _ => "there is nothing to give back".into(),
            };
            events::emit(transaction, Payments::NAME, &RefundFailed { order_id, request_id, reason }).await?;
        }
    }
    Ok(())
}

/// Sends a refund to the provider now that `transaction` is about to commit.
fn send_after(transaction: &Transaction, payment: Payment, refund: Refund) {
    web::after_commit(transaction, async move {
        if let Err(error) = send(&payment, &refund).await {
            // A tick finds it.
            eprintln!("error: refund {}: {error}", refund.id);
        }
    });
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

/// Writes down how a refund ended.
async fn conclude(refund: &Refund, outcome: Outcome) -> Result<()> {
    if let Outcome::Unknown = outcome {
        let again = Timestamp::now().after(ask_again_after(refund.attempts));
        return repository::look_again_refund(&DATABASE, refund.id, again).await;
    }
    DATABASE.transaction(Durability::Durable, async |transaction| settle(transaction, refund.id, &outcome).await).await
}

/// Settles a refund. Only the first to know announces it.
async fn settle(transaction: &Transaction, id: RefundId, outcome: &Outcome) -> Result<()> {
    let now = Timestamp::now();
    let (status, reference, reason) = match outcome {
        Outcome::Approved(reference) => (PaymentStatus::Succeeded, Some(reference.as_str()), None),
        Outcome::Declined(reason) => (PaymentStatus::Failed, None, Some(reason.as_str())),
        Outcome::Unknown => return Ok(()),
    };
    match repository::settle_refund(transaction, id, status, reference, reason, now).await? {
        Some(refund) if refund.status == PaymentStatus::Succeeded => announce(transaction, &refund, now).await,
        Some(refund) => announce_failed(transaction, &refund).await,
        None => Ok(()),
    }
}

async fn announce(transaction: &Transaction, refund: &Refund, now: Timestamp) -> Result<()> {
    let payment = repository::add_refunded(transaction, refund.payment_id, refund.amount, now).await?;
    let payment = payment.ok_or(Error::not_found("payment"))?;
    ledger::refunded(transaction, &payment, refund, now).await?;
    let event = PaymentRefunded {
        payment_id: payment.id,
        refund_id: refund.id,
        order_id: payment.order_id,
        amount: refund.amount,
        currency: payment.currency,
        full: payment.status == PaymentStatus::Refunded,
        request_id: refund.request_id,
    };
    Ok(events::emit(transaction, Payments::NAME, &event).await?)
}

/// The provider keeps the money. Whoever has asked for the refund is told; an admin sees it at the payment.
async fn announce_failed(transaction: &Transaction, refund: &Refund) -> Result<()> {
    eprintln!("refund {} was declined: {:?}", refund.id, refund.reason);
    let Some(request_id) = refund.request_id else { return Ok(()) };
    let payment = repository::find_in(transaction, refund.payment_id).await?.ok_or(Error::not_found("payment"))?;
    let reason = refund.reason.clone().unwrap_or_default();
    let event = RefundFailed { order_id: payment.order_id, request_id, reason };
    Ok(events::emit(transaction, Payments::NAME, &event).await?)
}

/// Finds out how refunds ended that nobody has heard of, and sends those again that never arrived.
pub(crate) async fn find_out_unknown() -> Result<()> {
    let now = Timestamp::now();
    for refund in repository::claim_refunds(&DATABASE, now, now.after(GRACE), UNKNOWN_PER_TICK).await? {
        if let Err(error) = find_out(&refund).await {
            // A later tick finds it again; the others are not to wait for that.
            eprintln!("error: refund {}: {error}", refund.id);
        }
    }
    Ok(())
}

async fn find_out(refund: &Refund) -> Result<()> {
    match provider::look_up_refund(refund.refund_key.clone()).await {
        RefundState::Settled(outcome) => conclude(refund, outcome).await,
        RefundState::Missing => {
            let payment = repository::find(&DATABASE, refund.payment_id).await?;
            send(&payment.ok_or(Error::not_found("payment"))?, refund).await
        }
    }
}

/// The provider says that something has happened to a refund: it is asked what, and that is written down together with
/// `message`, which names what it said. 503 when it does not answer.
pub(crate) async fn hear(refund: &Refund, message: &str) -> Result<()> {
    let state = provider::look_up_refund(refund.refund_key.clone()).await;
    if matches!(state, RefundState::Settled(Outcome::Unknown)) {
        return Err(Error::Unavailable("the payment provider".into()));
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| match state {
            RefundState::Settled(outcome) if events::write_down_foreign(transaction, message).await? => {
                settle(transaction, refund.id, &outcome).await
            }
            _ => Ok(()),
        })
        .await
}
