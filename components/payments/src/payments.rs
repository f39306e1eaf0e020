//! The use cases of payments: what happens in one transaction, and what is sent to the provider after it.

use std::time::Duration;

use http::StatusCode;
use model::{Currency, Money, OrderId, OrderStatus, PaymentId, PaymentOperation, PaymentStatus, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Durability, Place, Transaction};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Page, PageQuery, Result, Slice, audit, client};

use crate::{
    DATABASE, by_hand, charges,
    method::Method,
    payment::{GRACE, Wish, wish},
    refunds::{self, RefundView},
    repository::{
        self, Known, NewPayment, PayableOrder, Payment,
        list::{self, Filter},
    },
};

/// How long a repeated request waits for the first one to end.
pub(crate) const WAIT_FOR_TWIN: Duration = Duration::from_secs(3);

/// A payment as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Payment, example = json!({
    "id": 5, "orderId": 17, "userId": 3, "status": "succeeded", "amount": 40.88, "currency": "EUR", "provider": "stripe", "refundedAmount": 0,
    "refunds": [], "createdAt": "2026-11-23T08:00:04.000Z", "updatedAt": "2026-11-23T08:00:05.000Z"
}))]
pub(crate) struct PaymentView {
    pub(crate) id: PaymentId,
    pub(crate) order_id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) status: PaymentStatus,
    /// Why it is in this state, as the provider says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reason: Option<String>,
    /// `capture` or `void`, while the provider has not answered that yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) pending_operation: Option<PaymentOperation>,
    /// Who took the money, holds it or has declined it; absent while no provider has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) provider: Option<String>,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) refunded_amount: Money,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refunds: Option<Vec<RefundView>>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

pub(crate) const NOT_FOUND: Error = Error::not_found("payment");

/// What a payment is called in the audit log.
pub(crate) fn subject(id: PaymentId) -> String {
    format!("payment/{id}")
}

/// What the provider is being asked about a payment.
fn out(payment: &Payment) -> Option<PaymentOperation> {
    payment.check_at.map(|_| payment.operation)
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        let pending_operation = out(&payment).filter(|_| payment.status == PaymentStatus::Authorized);
        Self {
            id: payment.id,
            order_id: payment.order_id,
            user_id: payment.user_id,
            status: payment.status,
            reason: payment.reason,
            pending_operation,
            provider: payment.provider,
            amount: payment.amount,
            currency: payment.currency,
            refunded_amount: payment.refunded,
            refunds: None,
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}

async fn view(payment: Payment) -> Result<PaymentView> {
    let refunds = repository::refunds_of(&DATABASE, payment.id).await?;
    let currency = payment.currency;
    let refunds = refunds.into_iter().map(|refund| RefundView::of(refund, currency)).collect();
    Ok(PaymentView { refunds: Some(refunds), ..payment.into() })
}

/// Everybody's payments for admins, their own for others; the newest first.
pub(crate) async fn list(caller: &Caller, mut filter: Filter, query: &PageQuery) -> Result<Page<PaymentView>> {
    if !caller.role.administers() && *filter.user_id.get_or_insert(caller.user_id) != caller.user_id {
        return Err(Error::Forbidden("only admins see the payments of others"));
    }
    let (payments, looked_until) = list::list(&DATABASE, &filter, query.after()?, query.limit() + 1).await?;
    Ok(Page::looked(payments, query.limit(), looked_until, |payment| Place(payment.created_at.0, payment.id.0))?
        .map(PaymentView::from))
}

pub(crate) async fn get(caller: &Caller, id: PaymentId) -> Result<PaymentView> {
    let payment = repository::find(&DATABASE, id).await?.filter(|payment| caller.may_see(payment.user_id));
    view(payment.ok_or(NOT_FOUND)?).await
}

pub(crate) async fn get_by_order(caller: &Caller, order_id: OrderId) -> Result<PaymentView> {
    let payment = repository::find_by_order(&DATABASE, order_id).await?;
    view(payment.filter(|payment| caller.may_see(payment.user_id)).ok_or(NOT_FOUND)?).await
}

/// The payment of an order, for other services.
pub(crate) async fn booked(order_id: OrderId) -> Result<by_hand::Booked> {
    Ok(repository::find_by_order(&DATABASE, order_id).await?.ok_or(NOT_FOUND)?.into())
}

/// What orders answer when asked about one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderSummary {
    pub(crate) user_id: UserId,
    pub(crate) status: OrderStatus,
    pub(crate) total: Money,
    pub(crate) currency: Currency,
    pub(crate) revision: i64,
}

/// What a request to pay leaves behind for its repetitions.
#[derive(Serialize, Deserialize)]
struct Begun {
    id: PaymentId,
}

/// What somebody wants to be paid.
pub(crate) struct Wanted<'a> {
    pub(crate) order_id: OrderId,
    pub(crate) method: &'a Method,
    /// What the order costs, where that is known to who pays.
    pub(crate) amount: Option<Money>,
    /// To charge, or only to authorize.
    pub(crate) operation: PaymentOperation,
}

/// Pays an order, or has the money held for it: at once when its stock is reserved, otherwise as soon as it is. A
/// declined card is a payment that failed, not an error. Returns the payment beside the answer that is to have it.
pub(crate) async fn pay(caller: &Caller, once: &Once, wanted: &Wanted<'_>) -> Result<(Answer, PaymentView)> {
    let order_id = wanted.order_id;
    let begun = match once.answered(&DATABASE, Some(caller)).await? {
        Some(answer) => answer,
        None => {
            let summary: Option<OrderSummary> = client::get("orders", &format!("/internal/orders/{order_id}")).await?;
            let order = summary.filter(|order| caller.may_see(order.user_id)).ok_or(Error::not_found("order"))?;
            // Payments may not have heard of it yet.
            if matches!(order.status, OrderStatus::Cancelled | OrderStatus::Failed) {
                return Err(Error::Conflict("not-payable", format!("the order is {}", order.status)));
            }
            let token = wanted.method.token(order.user_id).await?;
            DATABASE
                .transaction(Durability::Durable, async |transaction| {
                    match once.answered_in(transaction, Some(caller)).await? {
                        Some(answer) => Ok(answer),
                        None => {
                            let id = begin(transaction, wanted, &order, &token).await?;
                            if order.user_id != caller.user_id {
                                let details = json!({ "orderId": order_id, "userId": order.user_id });
                                audit::record(transaction, caller, "payment.created", subject(id), details).await?;
                            }
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
        charges::send(&payment).await?;
    }
    let settled = repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?;
    Ok((begun, view(settled).await?))
}

/// Writes down a payment that is about to be sent, or that waits for the order's stock.
async fn begin(
    transaction: &Transaction,
    wanted: &Wanted<'_>,
    summary: &OrderSummary,
    token: &str,
) -> Result<PaymentId> {
    let &Wanted { order_id, operation, amount: told, .. } = wanted;
    let now = Timestamp::now();
    let known = repository::order_in(transaction, order_id).await?;
    let waiting = matches!(summary.status, OrderStatus::Pending | OrderStatus::Reserved);
    let (order, check_at) = match known {
        Some(Known::Payable(order)) if order.revision >= summary.revision => (order, Some(now.after(GRACE))),
        // Sent when the news arrives that the stock is reserved, of what it asks for now.
        Some(Known::Payable(_)) | None if waiting => {
            let OrderSummary { user_id, total: amount, currency, revision, .. } = *summary;
            (PayableOrder { order_id, user_id, amount, currency, revision }, None)
        }
        _ => return Err(Error::Conflict("not-payable", format!("the order is {}", summary.status))),
    };
    if told.is_some_and(|told| told != order.amount) {
        let detail = format!("the order costs {} {}", order.amount, order.currency);
        return Err(Error::Conflict("amount-differs", detail));
    }
    let new = NewPayment { order: &order, token, charge_key: Uuid::now_v7().to_string(), operation, check_at };
    match repository::insert(transaction, new, now).await? {
        Some(payment) => Ok(payment.id),
        None => Err(Error::Conflict("payment-exists", "the order has a payment".into())),
    }
}

/// Waits a little while another request has the provider asked about the payment.
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

/// The payment when there is a first word on it, for those who want to know at once: waits a little while the stock of its
/// order is being reserved, or another request has the provider asked.
pub(crate) async fn heard_of(payment: PaymentView) -> Result<PaymentView> {
    if payment.status != PaymentStatus::Pending {
        return Ok(payment);
    }
    let deadline = std::time::Instant::now() + WAIT_FOR_TWIN;
    loop {
        let now = repository::find(&DATABASE, payment.id).await?.ok_or(NOT_FOUND)?;
        if now.status != PaymentStatus::Pending || now.attempts > 0 || std::time::Instant::now() >= deadline {
            return view(now).await;
        }
        spin_sdk::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Has a payment made in another way, as long as nothing has been sent to the provider.
pub(crate) async fn change_method(caller: &Caller, id: PaymentId, method: &Method) -> Result<PaymentView> {
    let payment = repository::find(&DATABASE, id).await?.filter(|payment| caller.may_see(payment.user_id));
    let user_id = payment.ok_or(NOT_FOUND)?.user_id;
    let token = method.token(user_id).await?;
    let changed = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let changed = repository::set_token(transaction, id, &token, Timestamp::now()).await?;
            let payment = changed.ok_or_else(|| {
                let detail = "the payment has been sent: its method cannot be changed any more".to_owned();
                Error::Conflict("payment-sent", detail)
            })?;
            if user_id != caller.user_id {
                let details = json!({ "orderId": payment.order_id, "userId": user_id });
                audit::record(transaction, caller, "payment.method-changed", subject(id), details).await?;
            }
            Ok::<_, Error>(payment)
        })
        .await?;
    view(changed).await
}

/// One's own payments, as lists of older shops have them: so many of them, from a place on, the newest first.
pub(crate) async fn own(caller: &Caller, slice: Slice) -> Result<Vec<PaymentView>> {
    let payments = list::slice(&DATABASE, caller.user_id, slice.offset(), slice.limit()).await?;
    Ok(payments.into_iter().map(PaymentView::from).collect())
}

/// Takes the money that is held. Again changes nothing.
pub(crate) async fn capture(caller: &Caller, id: PaymentId) -> Result<PaymentView> {
    operate(caller, id, PaymentOperation::Capture, "not-capturable").await
}

/// Lets go the money that is held: its order fails. Again changes nothing.
pub(crate) async fn void(caller: &Caller, id: PaymentId) -> Result<PaymentView> {
    operate(caller, id, PaymentOperation::Void, "not-voidable").await
}

/// Captures or voids, once: of requests that come at the same time one asks the provider, and the others wait for it.
async fn operate(
    caller: &Caller,
    id: PaymentId,
    operation: PaymentOperation,
    refused: &'static str,
) -> Result<PaymentView> {
    caller.must_administer()?;
    let begun = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let payment = repository::find_in(transaction, id).await?.ok_or(NOT_FOUND)?;
            let out = out(&payment);
            let wish = wish(operation, payment.status, out);
            if wish == Wish::Refused {
                let why = match out {
                    Some(out) if payment.status == PaymentStatus::Authorized => format!("its {out} is under way"),
                    _ => format!("the payment is {}", payment.status),
                };
                return Err(Error::Conflict(refused, why));
            }
            let now = Timestamp::now();
            let ours = match wish {
                Wish::New => repository::operate(transaction, id, operation, now.after(GRACE), now).await?,
                _ => None,
            };
            if ours.is_some() {
                let details = json!({ "orderId": payment.order_id, "amount": payment.amount });
                audit::record(transaction, caller, &format!("payment.{operation}"), subject(id), details).await?;
            }
            Ok((wish, ours))
        })
        .await?;
    match begun {
        (_, Some(payment)) => charges::send(&payment).await?,
        (Wish::UnderWay, None) => wait_for_twin(id).await?,
        _ => {}
    }
    view(repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?).await
}

/// An order may be paid: charges the token that came with it, or the payment that was waiting for it.
pub(crate) async fn order_reserved(transaction: &Transaction, order: &PayableOrder, token: Option<&str>) -> Result<()> {
    let Known::Payable(order) = repository::open_order(transaction, order).await? else { return Ok(()) };
    let now = Timestamp::now();
    let check_at = now.after(GRACE);
    let payment = match repository::send_waiting(transaction, &order, check_at, now).await? {
        Some(payment) => Some(payment),
        // What costs nothing needs no token to be paid.
        None => match token.or((order.amount == Money::ZERO).then_some("")) {
            Some(token) => {
                let charge_key = Uuid::now_v7().to_string();
                let operation = PaymentOperation::Charge;
                let new = NewPayment { order: &order, token, charge_key, operation, check_at: Some(check_at) };
                repository::insert(transaction, new, now).await?
            }
            None => None,
        },
    };
    if let Some(payment) = payment {
        charges::send_after(transaction, payment);
    }
    Ok(())
}

/// An order is over: no money may be kept or held for it. What the provider is being asked right now goes back when it
/// turns out to have moved money.
pub(crate) async fn order_ended(
    transaction: &Transaction,
    order_id: OrderId,
    user_id: UserId,
    reason: &str,
) -> Result<()> {
    repository::close_order(transaction, order_id, user_id).await?;
    let Some(payment) = repository::find_by_order_in(transaction, order_id).await? else { return Ok(()) };
    match payment.status {
        PaymentStatus::Succeeded => refunds::give_back(transaction, &payment).await,
        PaymentStatus::Authorized => charges::let_go(transaction, payment.id).await,
        PaymentStatus::Pending if payment.check_at.is_none() => charges::give_up(transaction, payment.id, reason).await,
        // It is looked up until its ending is known, and not sent again.
        PaymentStatus::Pending => repository::forget_token(transaction, payment.id).await,
        _ => Ok(()),
    }
}
