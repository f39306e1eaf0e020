//! The use cases of payments: what happens in one transaction, and which events it emits.
//!
//! A charge has a key that is on disk before the provider is asked. Whoever finds a charge whose ending is not known,
//! this instance after a silence or another one after a crash, looks it up by that key before asking again.

use std::time::Duration;

use http::StatusCode;
use model::{
    Currency, Money, OrderId, OrderStatus, PaymentId, PaymentStatus, Timestamp, UserId,
    event::{PaymentFailed, PaymentSucceeded},
};
use serde::{Deserialize, Serialize};
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, Service, client};

use crate::{
    DATABASE, Payments,
    payment::{GRACE, ask_again_after, may_still_arrive},
    provider::{self, ChargeRequest, Finding, Outcome},
    refunds::{self, RefundView},
    repository::{self, NewPayment, PayableOrder, Payment},
};

/// Charges of unknown ending that one tick asks about.
const UNKNOWN_PER_TICK: u32 = 20;
/// How long a repeated request waits for the first one to end.
const WAIT_FOR_TWIN: Duration = Duration::from_secs(3);

/// A payment as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PaymentView {
    id: PaymentId,
    order_id: OrderId,
    user_id: UserId,
    status: PaymentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    amount: Money,
    currency: Currency,
    refunded_amount: Money,
    refunds: Vec<RefundView>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

const NOT_FOUND: Error = Error::not_found("payment");

async fn view(payment: Payment) -> Result<PaymentView> {
    let refunds = repository::refunds_of(&DATABASE, payment.id).await?;
    Ok(PaymentView {
        id: payment.id,
        order_id: payment.order_id,
        user_id: payment.user_id,
        status: payment.status,
        reason: payment.reason,
        amount: payment.amount,
        currency: payment.currency,
        refunded_amount: payment.refunded,
        refunds: refunds.into_iter().map(|refund| RefundView::of(refund, payment.currency)).collect(),
        created_at: payment.created_at,
        updated_at: payment.updated_at,
    })
}

pub(crate) async fn get(caller: &Caller, id: PaymentId) -> Result<PaymentView> {
    let payment = repository::find(&DATABASE, id).await?.filter(|payment| caller.may_see(payment.user_id));
    view(payment.ok_or(NOT_FOUND)?).await
}

pub(crate) async fn get_by_order(caller: &Caller, order_id: OrderId) -> Result<PaymentView> {
    let payment = repository::find_by_order(&DATABASE, order_id).await?;
    view(payment.filter(|payment| caller.may_see(payment.user_id)).ok_or(NOT_FOUND)?).await
}

/// What orders answer when asked about one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderSummary {
    user_id: UserId,
    status: OrderStatus,
    total: Money,
    currency: Currency,
}

/// What a request to pay leaves behind for its repetitions.
#[derive(Serialize, Deserialize)]
struct Begun {
    id: PaymentId,
}

/// Pays an order: at once when its stock is reserved, otherwise as soon as it is. A declined card is a payment that
/// failed, not an error.
pub(crate) async fn pay(caller: &Caller, once: &Once, order_id: OrderId, token: &str) -> Result<Answer> {
    let begun = match once.answered(&DATABASE, Some(caller)).await? {
        Some(answer) => answer,
        None => {
            let summary: Option<OrderSummary> = client::get("orders", &format!("/internal/orders/{order_id}")).await?;
            let order = summary.filter(|order| caller.may_see(order.user_id)).ok_or(Error::not_found("order"))?;
            DATABASE
                .transaction(Durability::Durable, async |transaction| {
                    match once.answered_in(transaction, Some(caller)).await? {
                        Some(answer) => Ok(answer),
                        None => {
                            let id = begin(transaction, order_id, &order, token).await?;
                            once.answer(transaction, Some(caller), StatusCode::CREATED, &Begun { id }).await
                        }
                    }
                })
                .await?
        }
    };
    let Begun { id } = serde_json::from_str(begun.body())?;
    let payment = repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?;
    if begun.is_replay() {
        wait_for_twin(id).await?;
    } else if payment.check_at.is_some() {
        charge(&payment).await?;
    }
    let settled = repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?;
    begun.with_body(&view(settled).await?)
}

/// Writes down a payment that is about to be sent, or that waits for the order's stock.
async fn begin(transaction: &Transaction, order_id: OrderId, summary: &OrderSummary, token: &str) -> Result<PaymentId> {
    let now = Timestamp::now();
    let known = repository::order_in(transaction, order_id).await?;
    let waiting = matches!(summary.status, OrderStatus::Pending | OrderStatus::Reserved);
    let (order, check_at) = match known {
        Some(order) if !order.closed => (order, Some(now.after(GRACE))),
        // Sent when the news arrives that the stock is reserved.
        None if waiting => {
            let OrderSummary { user_id, total: amount, currency, .. } = *summary;
            (PayableOrder { order_id, user_id, amount, currency, closed: false }, None)
        }
        _ => return Err(Error::Conflict("not-payable", format!("the order is {}", summary.status))),
    };
    let new = NewPayment { order: &order, token, charge_key: Uuid::now_v7().to_string(), check_at };
    match repository::insert(transaction, new, now).await? {
        Some(payment) => Ok(payment.id),
        None => Err(Error::Conflict("payment-exists", "the order has a payment".into())),
    }
}

/// Waits a little while another request is charging the payment.
async fn wait_for_twin(id: PaymentId) -> Result<()> {
    let deadline = std::time::Instant::now() + WAIT_FOR_TWIN;
    while std::time::Instant::now() < deadline {
        let payment = repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?;
        if payment.check_at.is_none() {
            return Ok(());
        }
        spin_sdk::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(())
}

/// Starts what must be sent to the provider now that `transaction` is about to commit.
pub(crate) fn charge_after(transaction: &Transaction, payment: Payment) {
    web::after_commit(transaction, async move {
        if let Err(error) = charge(&payment).await {
            // A tick finds it.
            eprintln!("error: charge of payment {}: {error}", payment.id);
        }
    });
}

/// Sends a charge and writes down how it ended.
async fn charge(payment: &Payment) -> Result<()> {
    let outcome = match u64::try_from(payment.amount.minor()) {
        // Nothing to pay: nobody needs to be asked.
        Ok(0) => Outcome::Approved(String::new()),
        Ok(amount) => {
            provider::charge(ChargeRequest {
                key: payment.charge_key.clone(),
                token: payment.token.clone(),
                amount,
                currency: payment.currency.to_string(),
                description: format!("order/{}", payment.order_id),
            })
            .await
        }
        Err(_) => return Err(Error::Internal(format!("payment {}: negative amount", payment.id))),
    };
    conclude(payment, outcome).await
}

/// Writes down how a charge ended. Only the first to know announces it.
async fn conclude(payment: &Payment, outcome: Outcome) -> Result<()> {
    let now = Timestamp::now();
    let (status, reference, reason) = match &outcome {
        Outcome::Approved(reference) => (PaymentStatus::Succeeded, Some(reference.as_str()), None),
        Outcome::Declined(reason) => (PaymentStatus::Failed, None, Some(reason.as_str())),
        Outcome::Unknown => {
            let again = now.after(ask_again_after(payment.attempts));
            return repository::look_again(&DATABASE, payment.id, again).await;
        }
    };
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let settled = match repository::settle(transaction, payment.id, status, reference, reason, now).await? {
                Some(settled) => Some(settled),
                // Somebody else was first, or had given it up: money that was taken all the same must not be forgotten.
                None => match reference {
                    Some(reference) => repository::settle_late(transaction, payment.id, reference, now).await?,
                    None => None,
                },
            };
            match settled {
                Some(settled) => announce(transaction, &settled).await,
                None => Ok(()),
            }
        })
        .await
}

/// Tells the shop how a payment ended. Money that came for an order that is over goes back.
async fn announce(transaction: &Transaction, payment: &Payment) -> Result<()> {
    let Payment { id: payment_id, order_id, amount, currency, .. } = *payment;
    if payment.status == PaymentStatus::Succeeded {
        let event = PaymentSucceeded { payment_id, order_id, amount, currency };
        events::emit(transaction, Payments::NAME, &event).await?;
        if repository::order_in(transaction, order_id).await?.is_some_and(|order| order.closed) {
            refunds::give_back(transaction, payment).await?;
        }
        Ok(())
    } else {
        let reason = payment.reason.clone().unwrap_or_default();
        Ok(events::emit(transaction, Payments::NAME, &PaymentFailed { payment_id, order_id, reason }).await?)
    }
}

/// An order may be paid: charges the token that came with it, or the payment that was waiting for it.
pub(crate) async fn order_reserved(transaction: &Transaction, order: &PayableOrder, token: Option<&str>) -> Result<()> {
    let order = repository::open_order(transaction, order).await?;
    if order.closed {
        return Ok(());
    }
    let now = Timestamp::now();
    let check_at = now.after(GRACE);
    let payment = match repository::send_waiting(transaction, order.order_id, check_at, now).await? {
        Some(payment) => Some(payment),
        None => match token {
            Some(token) => {
                let charge_key = Uuid::now_v7().to_string();
                let new = NewPayment { order: &order, token, charge_key, check_at: Some(check_at) };
                repository::insert(transaction, new, now).await?
            }
            None => None,
        },
    };
    if let Some(payment) = payment {
        charge_after(transaction, payment);
    }
    Ok(())
}

/// An order is over: no money may be kept for it. A charge that is out right now goes back when it turns out to have
/// taken money.
pub(crate) async fn order_ended(
    transaction: &Transaction,
    order_id: OrderId,
    user_id: UserId,
    reason: &str,
) -> Result<()> {
    repository::close_order(transaction, order_id, user_id).await?;
    match repository::find_by_order_in(transaction, order_id).await? {
        Some(payment) if payment.status == PaymentStatus::Succeeded => refunds::give_back(transaction, &payment).await,
        Some(payment) if payment.status == PaymentStatus::Pending && payment.check_at.is_none() => {
            give_up(transaction, payment.id, reason).await
        }
        _ => Ok(()),
    }
}

/// Ends a payment that has taken nothing and never will.
async fn give_up(transaction: &Transaction, id: PaymentId, reason: &str) -> Result<()> {
    let settled =
        repository::settle(transaction, id, PaymentStatus::Failed, None, Some(reason), Timestamp::now()).await?;
    match settled {
        Some(payment) => announce(transaction, &payment).await,
        None => Ok(()),
    }
}

/// Finds out how charges ended that nobody has heard of: the provider was silent, or the instance died.
pub(crate) async fn find_out_unknown() -> Result<()> {
    let now = Timestamp::now();
    for payment in repository::claim(&DATABASE, now, now.after(GRACE), UNKNOWN_PER_TICK).await? {
        match provider::look_up(payment.charge_key.clone()).await {
            Finding::Settled(outcome) => conclude(&payment, outcome).await?,
            Finding::Missing => send_again(&payment).await?,
        }
    }
    Ok(())
}

/// The provider has never heard of the charge: it is sent again under its key, unless the order is over. Then it is given
/// up, but only when the first one cannot be on its way any more: that would be money that nobody gives back.
async fn send_again(payment: &Payment) -> Result<()> {
    let now = Timestamp::now();
    let may_arrive = may_still_arrive(payment.updated_at, now);
    let over = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let over = repository::order_in(transaction, payment.order_id).await?.is_some_and(|order| order.closed);
            if !over {
                repository::sent_again(transaction, payment.id, now).await?;
            } else if !may_arrive {
                give_up(transaction, payment.id, "the order is over").await?;
            }
            Ok::<_, Error>(over)
        })
        .await?;
    if !over {
        charge(payment).await
    } else if may_arrive {
        repository::look_again(&DATABASE, payment.id, now.after(ask_again_after(payment.attempts))).await
    } else {
        Ok(())
    }
}
