//! Refunds: the same care as for charges, in the other direction.

use http::StatusCode;
use model::{
    Currency, Money, PaymentId, PaymentStatus, RefundId, Timestamp,
    event::{PaymentRefunded, RefundFailed, RefundRequested},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Durability, Transaction};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, Service, audit};

use crate::{
    DATABASE, Payments, by_hand, charges, ledger,
    payment::{GRACE, NotRefundable, ask_again_after, give_back_again_after, refundable},
    payments::subject,
    provider::{self, Outcome, RefundRequest, RefundState},
    repository::{self, Ending, NewRefund, Payment, Refund},
};

/// Refunds of unknown ending that one tick asks about.
const UNKNOWN_PER_TICK: u32 = 20;

/// A refund as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PaymentRefund)]
pub(crate) struct RefundView {
    pub(crate) id: RefundId,
    pub(crate) payment_id: PaymentId,
    /// `pending`, `succeeded` or `failed`.
    pub(crate) status: PaymentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "broken")]
    pub(crate) reason: Option<String>,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
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
pub(crate) struct Begun {
    pub(crate) id: RefundId,
}

/// Gives back `amount` of a payment, or all that is left of it: the refund, beside the answer that is to have it.
pub(crate) async fn refund(
    caller: &Caller,
    once: &Once,
    id: PaymentId,
    amount: Option<Money>,
    reason: Option<&str>,
) -> Result<(Answer, RefundView)> {
    let begun = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let payment = repository::find_in(transaction, id).await?.ok_or(Error::not_found("payment"))?;
            let wanted = Wanted { amount, reason, ..Wanted::default() };
            let refund = promise(transaction, &payment, wanted).await?.map_err(|why| match why {
                NotRefundable::NothingLeft if payment.status == PaymentStatus::Succeeded => {
                    Error::Conflict("nothing-to-refund", "all that is left is on its way back".into())
                }
                NotRefundable::NothingLeft => {
                    Error::Conflict("nothing-to-refund", format!("the payment is {}", payment.status))
                }
                NotRefundable::TooMuch(left) => {
                    Error::Conflict("refund-too-large", format!("{left} {} are left", payment.currency))
                }
            })?;
            let details = json!({ "refundId": refund.id, "amount": refund.amount, "orderId": payment.order_id });
            audit::record(transaction, caller, "payment.refunded", subject(id), details).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &Begun { id: refund.id }).await
        })
        .await?;
    if !begun.is_replay() {
        let Begun { id: refund_id } = serde_json::from_str(begun.body())?;
        let payment = repository::find(&DATABASE, id).await?.ok_or(Error::not_found("payment"))?;
        let refund = repository::find_refund(&DATABASE, refund_id).await?.ok_or(Error::not_found("refund"))?;
        send(&payment, &refund).await?;
    }
    shown(begun, id).await
}

/// The refund as it is now, beside the answer that is to have it.
pub(crate) async fn shown(begun: Answer, id: PaymentId) -> Result<(Answer, RefundView)> {
    let Begun { id: refund_id } = serde_json::from_str(begun.body())?;
    let payment = repository::find(&DATABASE, id).await?.ok_or(Error::not_found("payment"))?;
    let refund = repository::find_refund(&DATABASE, refund_id).await?.ok_or(Error::not_found("refund"))?;
    Ok((begun, RefundView::of(refund, payment.currency)))
}

/// What is to go back.
#[derive(Default)]
struct Wanted<'a> {
    /// Orders' own name for it, when they asked for it.
    request_id: Option<Uuid>,
    /// All that is left, when absent.
    amount: Option<Money>,
    reason: Option<&'a str>,
    /// How many refunds of the same money the provider has declined before this one.
    declined: u32,
    /// When a tick sends it; the caller does, at once, when absent.
    not_before: Option<Timestamp>,
}

/// Writes down a refund that is about to be sent, if there is something to give back. Whoever wants it back, all are
/// counted here, in a transaction that holds the lock: together they are never more than was taken.
async fn promise(
    transaction: &Transaction,
    payment: &Payment,
    wanted: Wanted<'_>,
) -> Result<Result<Refund, NotRefundable>> {
    let promised = repository::promised(transaction, payment.id).await?;
    let amount = match refundable(payment.status, payment.amount, promised, wanted.amount) {
        Ok(amount) => amount,
        Err(why) => return Ok(Err(why)),
    };
    let now = Timestamp::now();
    let new = NewRefund {
        payment_id: payment.id,
        request_id: wanted.request_id,
        amount,
        refund_key: Uuid::now_v7().to_string(),
        reason: wanted.reason,
        declined: wanted.declined,
        check_at: wanted.not_before.unwrap_or(now.after(GRACE)),
    };
    Ok(Ok(repository::insert_refund(transaction, new, now).await?))
}

const ORDER_OVER: &str = "the order is over";

/// Gives back all that is left of a payment whose order is over.
pub(crate) async fn give_back(transaction: &Transaction, payment: &Payment) -> Result<()> {
    if let Some(refund) = promise_rest(transaction, payment).await? {
        send_after(transaction, payment.clone(), refund);
    }
    Ok(())
}

/// Writes down that all that is left of a payment whose order is over is about to be sent. `None` when nothing is.
pub(crate) async fn promise_rest(transaction: &Transaction, payment: &Payment) -> Result<Option<Refund>> {
    let wanted = Wanted { reason: Some(ORDER_OVER), ..Wanted::default() };
    Ok(promise(transaction, payment, wanted).await?.ok())
}

/// The order is over, and a refund has failed: all that is left goes back in another one, later. The provider has
/// declined this one for ever, so that one has a key of its own.
async fn give_back_again(transaction: &Transaction, payment: &Payment, failed: &Refund, now: Timestamp) -> Result<()> {
    match give_back_again_after(failed.declined) {
        Some(wait) => {
            let (declined, not_before) = (failed.declined + 1, Some(now.after(wait)));
            let wanted = Wanted { reason: Some(ORDER_OVER), declined, not_before, ..Wanted::default() };
            // Nothing is left when the rest is on its way back in other refunds.
            _ = promise(transaction, payment, wanted).await?;
        }
        None => eprintln!(
            "error: payment {} of order {}, which is over: {} {} did not go back, and are not sent again: a person must \
             look at it, and can make a refund by hand",
            payment.id, payment.order_id, failed.amount, payment.currency
        ),
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
            let (request_id, amount, reason) = (Some(request_id), Some(amount), Some(reason.as_str()));
            promise(transaction, payment, Wanted { request_id, amount, reason, ..Wanted::default() }).await?
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
            let event = RefundFailed { order_id, refund_id: None, request_id: Some(request_id), amount, reason };
            events::emit(transaction, Payments::NAME, &event).await?;
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

/// Sends a refund to the provider, and writes down how it ended.
pub(crate) async fn send(payment: &Payment, refund: &Refund) -> Result<()> {
    if by_hand::holds(payment) {
        return conclude(refund, Outcome::Approved(String::new()), Source::Answer).await;
    }
    let amount = u64::try_from(refund.amount.minor());
    let outcome = provider::refund(RefundRequest {
        key: refund.refund_key.clone(),
        charge_key: payment.charge_key.clone(),
        amount: amount.map_err(|_| Error::Internal(format!("refund {}: negative amount", refund.id)))?,
        currency: payment.currency.to_string(),
    })
    .await;
    conclude(refund, outcome, Source::Answer).await
}

/// How the shop has learnt what became of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// By the answer to its request, which may be late.
    Answer,
    /// By asking how it stands.
    LookUp,
}

/// Writes down how a refund ended.
async fn conclude(refund: &Refund, outcome: Outcome, source: Source) -> Result<()> {
    if let Outcome::Unknown = outcome {
        let again = Timestamp::now().after(ask_again_after(refund.attempts));
        return repository::look_again_refund(&DATABASE, refund.id, again).await;
    }
    let settling = async |transaction: &Transaction| settle(transaction, refund.id, &outcome, source).await;
    DATABASE.transaction(Durability::Durable, settling).await
}

/// Settles a refund. Only the first to know announces it. One that has succeeded may come back, once: that has failed
/// then for ever.
pub(crate) async fn settle(transaction: &Transaction, id: RefundId, outcome: &Outcome, source: Source) -> Result<()> {
    use PaymentStatus::{Failed, Pending, Succeeded};
    let now = Timestamp::now();
    let ending = match outcome {
        Outcome::Approved(reference) => Ending { status: Succeeded, reference: Some(reference), reason: None },
        Outcome::Declined(reason) => Ending { status: Failed, reference: None, reason: Some(reason) },
        Outcome::Unknown => return Ok(()),
    };
    if let Some(refund) = repository::settle_refund(transaction, id, Pending, &ending, now).await? {
        return match ending.status {
            Succeeded => announce(transaction, &refund, now).await,
            _ => {
                let payment = repository::find_in(transaction, refund.payment_id).await?;
                failed(transaction, &payment.ok_or(Error::not_found("payment"))?, &refund, now).await
            }
        };
    }
    if ending.status == Failed
        && source == Source::LookUp
        && let Some(refund) = repository::settle_refund(transaction, id, Succeeded, &ending, now).await?
    {
        return reversed(transaction, &refund, now).await;
    }
    Ok(())
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

/// What went back has come back to the provider.
async fn reversed(transaction: &Transaction, refund: &Refund, now: Timestamp) -> Result<()> {
    let came_back = Money::from_minor(-refund.amount.minor());
    let payment = repository::add_refunded(transaction, refund.payment_id, came_back, now).await?;
    let payment = payment.ok_or(Error::not_found("payment"))?;
    ledger::reversed(transaction, &payment, refund, now).await?;
    failed(transaction, &payment, refund, now).await
}

/// The provider has the money. Orders are told, and an admin sees it at the payment. If the order is over, it goes back in
/// another refund.
async fn failed(transaction: &Transaction, payment: &Payment, refund: &Refund, now: Timestamp) -> Result<()> {
    let reason = refund.reason.clone().unwrap_or_default();
    eprintln!("refund {} of payment {} has failed: {reason}", refund.id, payment.id);
    let event = RefundFailed {
        order_id: payment.order_id,
        refund_id: Some(refund.id),
        request_id: refund.request_id,
        amount: refund.amount,
        reason,
    };
    events::emit(transaction, Payments::NAME, &event).await?;
    if charges::is_over(transaction, payment).await? {
        give_back_again(transaction, payment, refund, now).await?;
    }
    Ok(())
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
    let payment = repository::find(&DATABASE, refund.payment_id).await?.ok_or(Error::not_found("payment"))?;
    if by_hand::holds(&payment) {
        return send(&payment, refund).await;
    }
    match provider::look_up_refund(refund.refund_key.clone()).await {
        RefundState::Settled(outcome) => conclude(refund, outcome, Source::LookUp).await,
        RefundState::Missing => send(&payment, refund).await,
    }
}

/// The provider says that something has happened to a refund: it is asked what, and that is written down together with
/// `message`, which names what it said. 503 when it does not answer.
pub(crate) async fn hear(refund: &Refund, message: &str) -> Result<()> {
    let state = provider::look_up_refund(refund.refund_key.clone()).await;
    match state {
        RefundState::Settled(Outcome::Unknown) => return Err(Error::Unavailable("the payment provider".into())),
        RefundState::Missing => known(refund)?,
        RefundState::Settled(_) => {}
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| match state {
            RefundState::Settled(outcome) if events::write_down_foreign(transaction, message).await? => {
                settle(transaction, refund.id, &outcome, Source::LookUp).await
            }
            _ => Ok(()),
        })
        .await
}

/// The provider has never heard of a refund. One that is pending is sent again by ticks; of one that has succeeded, the
/// provider has lost its books: 503, so that what it wanted to say is not taken for heard.
fn known(refund: &Refund) -> Result<()> {
    if refund.status == PaymentStatus::Succeeded {
        eprintln!("error: refund {} has succeeded, but the payment provider does not know it any more", refund.id);
        return Err(Error::Unavailable("the payment provider".into()));
    }
    Ok(())
}

/// How those refunds of a payment stand of which there may be news. 503 when the provider does not answer.
pub(crate) async fn look_up_all(id: PaymentId) -> Result<Vec<(RefundId, Outcome)>> {
    let mut outcomes = Vec::new();
    for refund in repository::open_refunds_of(&DATABASE, id).await? {
        match provider::look_up_refund(refund.refund_key.clone()).await {
            // A pending one may not have an ending yet, and is looked up again by ticks.
            RefundState::Settled(Outcome::Unknown) if refund.status == PaymentStatus::Succeeded => {
                return Err(Error::Unavailable("the payment provider".into()));
            }
            RefundState::Settled(outcome) => outcomes.push((refund.id, outcome)),
            RefundState::Missing => known(&refund)?,
        }
    }
    Ok(outcomes)
}
