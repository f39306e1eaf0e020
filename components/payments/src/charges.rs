//! What the provider is asked about a payment, and what follows from its answer.
//!
//! A charge has a key that is on disk before the provider is asked. Whoever finds one whose ending is not known, this
//! instance after a silence or another one after a crash, looks it up by that key before asking again.

use model::{
    Money, PaymentId, PaymentOperation, PaymentStatus, Timestamp,
    event::{PaymentAuthorized, PaymentFailed, PaymentSucceeded},
};
use store::{Durability, Transaction};
use web::{Error, Result, Service};

use crate::{
    DATABASE, Payments, ledger,
    payment::{GRACE, ask_again_after, may_still_arrive},
    provider::{self, ChargeRequest, ChargeState, Outcome},
    refunds::{self, Source},
    repository::{self, Ending, Known, Payment},
};

/// Charges of unknown ending that one tick asks about.
const UNKNOWN_PER_TICK: u32 = 20;

/// Sends what a payment is waiting for to the provider, and writes down how it ended.
pub(crate) async fn send(payment: &Payment) -> Result<()> {
    let state = ask(payment).await?;
    conclude(payment, &state).await
}

/// Does that now that `transaction` is about to commit.
pub(crate) fn send_after(transaction: &Transaction, payment: Payment) {
    web::after_commit(transaction, async move {
        if let Err(error) = send(&payment).await {
            // A tick finds it.
            eprintln!("error: {} of payment {}: {error}", payment.operation, payment.id);
        }
    });
}

/// Asks the provider for what the payment is waiting for: where the money is then.
async fn ask(payment: &Payment) -> Result<ChargeState> {
    use PaymentOperation::{Authorize, Capture, Charge, Void};
    let (operation, key) = (payment.operation, || payment.charge_key.clone());
    let outcome = match (operation, payment.token.as_deref()) {
        // Nothing to pay: nobody needs to be asked.
        _ if payment.amount == Money::ZERO => Outcome::Approved(String::new()),
        (Charge, Some(token)) => provider::charge(request(payment, token)?).await,
        (Authorize, Some(token)) => provider::authorize(request(payment, token)?).await,
        // Its order has ended in this moment: it is looked up, and not sent any more.
        (Charge | Authorize, None) => Outcome::Unknown,
        (Capture, _) => provider::capture(key()).await,
        (Void, _) => provider::void(key()).await,
    };
    Ok(match (operation, outcome) {
        (Charge | Capture, Outcome::Approved(reference)) => ChargeState::Captured(reference),
        (Authorize, Outcome::Approved(reference)) => ChargeState::Authorized(reference),
        (Void, Outcome::Approved(_)) => ChargeState::Voided,
        (Charge | Authorize, Outcome::Declined(reason)) => ChargeState::Declined(reason),
        // It may have been captured, or let go, in another way: where the money is now, only a look says.
        (Capture | Void, Outcome::Declined(reason)) => {
            eprintln!("payment {}: its {operation} was declined: {reason}", payment.id);
            provider::look_up_charge(key()).await
        }
        (_, Outcome::Unknown) => ChargeState::Unknown,
    })
}

fn request(payment: &Payment, token: &str) -> Result<ChargeRequest> {
    let amount = u64::try_from(payment.amount.minor());
    Ok(ChargeRequest {
        key: payment.charge_key.clone(),
        token: token.to_owned(),
        amount: amount.map_err(|_| Error::Internal(format!("payment {}: negative amount", payment.id)))?,
        currency: payment.currency.to_string(),
        description: format!("order/{}", payment.order_id),
    })
}

/// Who is asked about a payment; `None` when it costs nothing.
fn asked(payment: &Payment) -> Option<String> {
    (payment.amount != Money::ZERO).then(provider::name)
}

/// The ending that follows from where the money is; `None` when nobody knows, or nothing has happened.
fn ending(state: &ChargeState) -> Option<Ending<'_>> {
    let ending = |status, reference, reason| Some(Ending { status, reference, reason });
    match state {
        ChargeState::Authorized(reference) => ending(PaymentStatus::Authorized, Some(reference.as_str()), None),
        ChargeState::Captured(reference) => ending(PaymentStatus::Succeeded, Some(reference.as_str()), None),
        ChargeState::Voided => ending(PaymentStatus::Voided, None, Some("voided")),
        ChargeState::Declined(reason) => ending(PaymentStatus::Failed, None, Some(reason.as_str())),
        ChargeState::Missing | ChargeState::Unknown => None,
    }
}

/// Writes down where the money is after what was asked for `payment`.
async fn conclude(payment: &Payment, state: &ChargeState) -> Result<()> {
    match (payment.operation, state, ending(state)) {
        (PaymentOperation::Capture, ChargeState::Authorized(_), _) => capture_declined(payment).await,
        // Nothing may be held for ever: it is asked for again.
        (PaymentOperation::Void, ChargeState::Authorized(_), _) | (_, _, None) => {
            let again = Timestamp::now().after(ask_again_after(payment.attempts));
            repository::look_again(&DATABASE, payment, again).await
        }
        (_, _, Some(ending)) => {
            DATABASE
                .transaction(Durability::Durable, async |transaction| {
                    settle(transaction, payment.id, &ending, asked(payment)).await
                })
                .await
        }
    }
}

/// The money is still held after a capture: the payment waits for another one, unless its order is over.
async fn capture_declined(payment: &Payment) -> Result<()> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let rests = repository::rest(transaction, payment.id, "capture-declined", Timestamp::now()).await?;
            if rests && is_over(transaction, payment).await? {
                let_go(transaction, payment.id).await?;
            }
            Ok(())
        })
        .await
}

/// Whether the order of a payment is over, so that no money may be kept for it.
pub(crate) async fn is_over(transaction: &Transaction, payment: &Payment) -> Result<bool> {
    Ok(repository::order_in(transaction, payment.order_id).await?.is_some_and(|order| matches!(order, Known::Over)))
}

/// Writes down how a payment ended. Only the first to know announces it.
pub(crate) async fn settle(
    transaction: &Transaction,
    id: PaymentId,
    ending: &Ending<'_>,
    provider: Option<String>,
) -> Result<()> {
    let now = Timestamp::now();
    match repository::settle(transaction, id, ending, provider, now).await? {
        Some((payment, over)) => announce(transaction, &payment, over, now).await,
        None => Ok(()),
    }
}

/// Tells the books and the shop where a payment has got to. Money for an order that is over goes back.
async fn announce(transaction: &Transaction, payment: &Payment, over: bool, now: Timestamp) -> Result<()> {
    let Payment { id: payment_id, order_id, amount, currency, .. } = *payment;
    match payment.status {
        PaymentStatus::Succeeded => {
            ledger::captured(transaction, payment, now).await?;
            let event = PaymentSucceeded { payment_id, order_id, amount, currency };
            events::emit(transaction, Payments::NAME, &event).await?;
            if over { refunds::give_back(transaction, payment).await } else { Ok(()) }
        }
        PaymentStatus::Authorized if over => let_go(transaction, payment_id).await,
        PaymentStatus::Authorized => {
            let event = PaymentAuthorized { payment_id, order_id, amount, currency };
            Ok(events::emit(transaction, Payments::NAME, &event).await?)
        }
        _ => {
            let reason = payment.reason.clone().unwrap_or_default();
            Ok(events::emit(transaction, Payments::NAME, &PaymentFailed { payment_id, order_id, reason }).await?)
        }
    }
}

/// Lets go what is held for an order that is over. A capture that is under way is given back when it has ended.
pub(crate) async fn let_go(transaction: &Transaction, id: PaymentId) -> Result<()> {
    let now = Timestamp::now();
    let void = PaymentOperation::Void;
    if let Some(payment) = repository::operate(transaction, id, void, now.after(GRACE), now).await? {
        send_after(transaction, payment);
    }
    Ok(())
}

/// Ends a payment that has taken nothing and never will.
pub(crate) async fn give_up(transaction: &Transaction, id: PaymentId, reason: &str) -> Result<()> {
    let ending = Ending { status: PaymentStatus::Failed, reference: None, reason: Some(reason) };
    settle(transaction, id, &ending, None).await
}

/// Finds out what became of what nobody has heard of: the provider was silent, or the instance died.
pub(crate) async fn find_out_unknown() -> Result<()> {
    let now = Timestamp::now();
    for payment in repository::claim(&DATABASE, now, now.after(GRACE), UNKNOWN_PER_TICK).await? {
        if let Err(error) = find_out(&payment).await {
            // A later tick finds it again; the others are not to wait for that.
            eprintln!("error: {} of payment {}: {error}", payment.operation, payment.id);
        }
    }
    Ok(())
}

async fn find_out(payment: &Payment) -> Result<()> {
    let state = provider::look_up_charge(payment.charge_key.clone()).await;
    match (payment.operation, &state) {
        (PaymentOperation::Charge | PaymentOperation::Authorize, ChargeState::Missing) => send_again(payment).await,
        // Not captured or let go yet. Nor does the provider know of what costs nothing.
        (PaymentOperation::Capture | PaymentOperation::Void, ChargeState::Authorized(_)) => send(payment).await,
        (_, ChargeState::Missing) if payment.amount == Money::ZERO => send(payment).await,
        _ => conclude(payment, &state).await,
    }
}

/// The provider has never heard of the charge: it is sent again under its key, unless the order is over. Then it is given
/// up, but only when the first one cannot be on its way any more: that would be money that nobody gives back.
async fn send_again(payment: &Payment) -> Result<()> {
    let now = Timestamp::now();
    let may_arrive = may_still_arrive(payment.updated_at, now);
    let over = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let over = is_over(transaction, payment).await?;
            if !over {
                repository::sent_again(transaction, payment.id, now).await?;
            } else if !may_arrive {
                give_up(transaction, payment.id, "the order is over").await?;
            }
            Ok::<_, Error>(over)
        })
        .await?;
    if !over {
        send(payment).await
    } else if may_arrive {
        repository::look_again(&DATABASE, payment, now.after(ask_again_after(payment.attempts))).await
    } else {
        Ok(())
    }
}

/// The provider says that something has happened to a payment: it is asked what, also about the refunds, and that is
/// written down together with `message`, which names what it said. 503 when it does not answer.
pub(crate) async fn hear(payment: &Payment, message: &str) -> Result<()> {
    let state = provider::look_up_charge(payment.charge_key.clone()).await;
    if matches!(state, ChargeState::Unknown) {
        return Err(Error::Unavailable("the payment provider".into()));
    }
    let refunds = refunds::look_up_all(payment.id).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if !events::write_down_foreign(transaction, message).await? {
                return Ok(());
            }
            if let Some(ending) = ending(&state) {
                settle(transaction, payment.id, &ending, asked(payment)).await?;
            }
            for (id, outcome) in &refunds {
                refunds::settle(transaction, *id, outcome, Source::LookUp).await?;
            }
            Ok(())
        })
        .await
}
