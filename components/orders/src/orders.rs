//! The use cases of orders: what happens in one transaction, and what is announced. Placing, fulfilling and refunding have
//! files of their own.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use model::{
    Address, Currency, Money, OrderId, OrderStatus, Timestamp, UserId,
    event::{DiscountReleased, Event, OrderCancelled},
};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use store::{Durability, Place, Transaction};
use utoipa::ToSchema;
use web::{Caller, Error, Page, PageQuery, Result, Service, Slice, audit, variable};

use crate::{
    DATABASE, Orders,
    order::{self, Line, Step},
    repository::{
        self, Entry, Order,
        list::{self, Filter},
    },
};

/// Orders whose time is up that one tick ends.
const EXPIRED_PER_TICK: u32 = 100;

/// An order as the API shows it, and as carts are told of it and tell of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order, example = json!({
    "id": 17, "number": "B-2026-000017", "userId": 3, "status": "paid",
    "items": [{
        "productId": 1, "name": "Mug", "sku": "MUG-1", "unitPrice": 19.99, "quantity": 2, "total": 39.98, "discount": 4
    }],
    "subtotal": 39.98, "discount": 4, "discountCode": "SPRING-10", "shipping": 4.9, "tax": 0, "total": 40.88,
    "refunded": 0, "currency": "EUR", "createdAt": "2026-11-23T08:00:00.000Z", "updatedAt": "2026-11-23T08:00:05.000Z",
    "paidAt": "2026-11-23T08:00:05.000Z"
}))]
pub(crate) struct OrderView {
    pub(crate) id: OrderId,
    /// What people read out.
    #[schema(example = "B-2026-000123")]
    pub(crate) number: String,
    pub(crate) user_id: UserId,
    pub(crate) status: OrderStatus,
    /// Why it is in this state, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) reason: Option<String>,
    #[schema(value_type = Vec<Line>)]
    pub(crate) items: Box<RawValue>,
    pub(crate) subtotal: Money,
    pub(crate) discount: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) discount_code: Option<String>,
    pub(crate) shipping: Money,
    pub(crate) tax: Money,
    pub(crate) total: Money,
    /// What has gone back to the customer.
    pub(crate) refunded: Money,
    pub(crate) currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Address>, nullable = false)]
    pub(crate) shipping_address: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Address>, nullable = false)]
    pub(crate) billing_address: Option<Box<RawValue>>,
    /// The carrier's number, or the page that shows where the parcel is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) tracking: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) paid_at: Option<Timestamp>,
    /// Until when it must be paid; absent once that is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) expires_at: Option<Timestamp>,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            id: order.id,
            number: order.number(),
            user_id: order.user_id,
            status: order.status,
            reason: order.reason,
            items: order.lines,
            subtotal: order.subtotal,
            discount: order.discount,
            discount_code: order.discount_code,
            shipping: order.shipping,
            tax: order.tax,
            total: order.total,
            refunded: order.refunded,
            currency: order.currency,
            shipping_address: order.shipping_address,
            billing_address: order.billing_address,
            tracking: order.tracking,
            created_at: order.created_at,
            updated_at: order.updated_at,
            paid_at: order.paid_at,
            expires_at: order.expires_at,
        }
    }
}

pub(crate) const NOT_FOUND: Error = Error::not_found("order");

thread_local! {
    static TIMEOUT: Cell<Duration> = const { Cell::new(Duration::from_secs(15 * 60)) };
}

/// Reads how long an order may stay unpaid.
pub(crate) async fn read_timeout() -> Result<()> {
    TIMEOUT.set(Duration::from_millis(variable::limit(Orders::NAME, "order_timeout_ms").await?));
    Ok(())
}

/// Until when an order that is placed at `now` must be paid.
pub(crate) fn deadline(now: Timestamp) -> Timestamp {
    now.after(TIMEOUT.get())
}

/// Writes what just happened to `order` into its history and tells the other services.
pub(crate) async fn announce<E: Event>(transaction: &Transaction, order: &Order, event: &E) -> Result<()> {
    repository::note(transaction, order.id, E::TYPE, order.status, order.reason.as_deref(), order.updated_at).await?;
    Ok(events::emit(transaction, Orders::NAME, event).await?)
}

/// The same for an order that has just ended. A code that it used without ever being paid is free again.
pub(crate) async fn announce_end<E: Event>(transaction: &Transaction, order: &Order, event: &E) -> Result<()> {
    announce(transaction, order, event).await?;
    match (&order.discount_code, order.placement_key) {
        (Some(_), Some(key)) if order.ended_unpaid() => {
            let released = DiscountReleased { order_id: order.id, key };
            Ok(events::emit(transaction, Orders::NAME, &released).await?)
        }
        _ => Ok(()),
    }
}

pub(crate) async fn visible(caller: &Caller, id: OrderId) -> Result<Order> {
    let order = repository::find(&DATABASE, id).await?;
    let shown = |order: &Order| caller.may_see(order.user_id) && (!order.hidden || caller.role.administers());
    order.filter(shown).ok_or(NOT_FOUND)
}

pub(crate) async fn get(caller: &Caller, id: OrderId) -> Result<OrderView> {
    Ok(visible(caller, id).await?.into())
}

/// Everybody's orders for admins, their own for others; the newest first.
pub(crate) async fn list(caller: &Caller, mut filter: Filter, query: &PageQuery) -> Result<Page<OrderView>> {
    if !caller.role.administers() && *filter.user_id.get_or_insert(caller.user_id) != caller.user_id {
        return Err(Error::Forbidden("only admins see the orders of others"));
    }
    let (orders, looked_until) = list::list(&DATABASE, &filter, query.after()?, query.limit() + 1).await?;
    Ok(Page::looked(orders, query.limit(), looked_until, |order| Place(order.created_at.0, order.id.0))?
        .map(OrderView::from))
}

pub(crate) async fn list_of_user(
    caller: &Caller,
    user_id: UserId,
    filter: Filter,
    query: &PageQuery,
) -> Result<Page<OrderView>> {
    if !caller.may_see(user_id) {
        return Err(Error::not_found("user"));
    }
    list(caller, Filter { user_id: Some(user_id), ..filter }, query).await
}

/// A part of a list of orders, the newest first: of one user, for that user and for admins; everybody's for admins.
pub(crate) async fn slice(caller: &Caller, user_id: Option<UserId>, slice: &Slice) -> Result<Vec<OrderView>> {
    match user_id {
        Some(user_id) if !caller.may_see(user_id) => return Err(Error::not_found("user")),
        Some(_) => {}
        None => caller.must_administer()?,
    }
    let orders = list::slice(&DATABASE, user_id, slice.offset(), slice.limit()).await?;
    Ok(orders.into_iter().map(OrderView::from).collect())
}

pub(crate) async fn get_by_number(caller: &Caller, number: &str) -> Result<OrderView> {
    let id = order::id_of_number(number).ok_or(NOT_FOUND)?;
    let order = visible(caller, id).await?;
    if order.number().eq_ignore_ascii_case(number) { Ok(order.into()) } else { Err(NOT_FOUND) }
}

pub(crate) async fn history(caller: &Caller, id: OrderId) -> Result<Vec<Entry>> {
    visible(caller, id).await?;
    repository::history(&DATABASE, id).await
}

/// Writes down, if an admin does it, that an order has come to its present state.
pub(crate) async fn record_status(transaction: &Transaction, caller: &Caller, order: &Order) -> Result<()> {
    let details = json!({ "userId": order.user_id });
    audit::record(transaction, caller, &format!("order.{}", order.status), subject(order.id), details).await
}

/// What an order is called in the audit log.
pub(crate) fn subject(id: OrderId) -> String {
    format!("order/{id}")
}

/// Calls an order off. What it holds is released, what was paid is refunded, by event. Again changes nothing.
pub(crate) async fn cancel(caller: &Caller, id: OrderId, reason: Option<&str>) -> Result<OrderView> {
    end(caller, id, reason, Step::Cancel).await
}

/// The same, but only while it is not paid.
pub(crate) async fn cancel_unpaid(caller: &Caller, id: OrderId) -> Result<OrderView> {
    end(caller, id, None, Step::Expire).await
}

async fn end(caller: &Caller, id: OrderId, reason: Option<&str>, step: Step) -> Result<OrderView> {
    visible(caller, id).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            Ok(end_in(transaction, caller, id, reason, step).await?.into())
        })
        .await
}

async fn end_in(
    transaction: &Transaction,
    caller: &Caller,
    id: OrderId,
    reason: Option<&str>,
    step: Step,
) -> Result<Order> {
    let reason = reason.unwrap_or(if caller.role.administers() { "by the shop" } else { "by the customer" });
    match repository::advance(transaction, id, step, Some(reason), Timestamp::now()).await? {
        Some(order) => {
            announce_cancelled(transaction, &order).await?;
            record_status(transaction, caller, &order).await?;
            Ok(order)
        }
        None => unchanged(transaction, id, OrderStatus::Cancelled, "not-cancellable").await,
    }
}

/// Takes an order out of its customer's sight: called off first when it can be, gone from every list, kept in the books.
pub(crate) async fn delete(caller: &Caller, id: OrderId) -> Result<()> {
    visible(caller, id).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            match end_in(transaction, caller, id, None, Step::Cancel).await {
                Ok(_) | Err(Error::Conflict(..)) => repository::hide(transaction, id).await,
                Err(error) => Err(error),
            }
        })
        .await
}

/// Calls an order off for its customer, as another service of the shop was asked to.
pub(crate) async fn cancel_for(id: OrderId, reason: &str) -> Result<Summary> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            match repository::advance(transaction, id, Step::Cancel, Some(reason), Timestamp::now()).await? {
                Some(order) => announce_cancelled(transaction, &order).await,
                None => unchanged(transaction, id, OrderStatus::Cancelled, "not-cancellable").await.map(drop),
            }
        })
        .await?;
    summary(id).await
}

/// Announces that an order has been called off.
async fn announce_cancelled(transaction: &Transaction, order: &Order) -> Result<()> {
    announce_end(transaction, order, &cancelled(order)).await
}

/// How long a request waits for news of an order's stock.
const WAIT_FOR_STOCK: Duration = Duration::from_secs(3);

/// The order once its stock is judged, which takes a moment after it was placed.
pub(crate) async fn judged(id: OrderId) -> Result<Order> {
    let deadline = Instant::now() + WAIT_FOR_STOCK;
    loop {
        let order = repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?;
        if order.status != OrderStatus::Pending || Instant::now() >= deadline {
            return Ok(order);
        }
        spin_sdk::time::sleep(Duration::from_millis(25)).await;
    }
}

/// The order, if it has this status already: what is asked for twice is done once. 409 otherwise.
pub(crate) async fn unchanged(
    transaction: &Transaction,
    id: OrderId,
    status: OrderStatus,
    refusal: &'static str,
) -> Result<Order> {
    let order = repository::find_in(transaction, id).await?.ok_or(NOT_FOUND)?;
    if order.status == status {
        Ok(order)
    } else {
        Err(Error::Conflict(refusal, format!("the order is {}", order.status)))
    }
}

/// The news that an order has been called off.
pub(crate) fn cancelled(order: &Order) -> OrderCancelled {
    OrderCancelled {
        order_id: order.id,
        number: order.number(),
        user_id: order.user_id,
        reason: order.reason.clone().unwrap_or_default(),
        cancelled_at: order.updated_at,
        paid: order.paid_at.is_some(),
    }
}

/// Cancels orders that nobody paid in time, a bounded number of them.
pub(crate) async fn cancel_expired() -> Result<()> {
    let now = Timestamp::now();
    if !repository::any_expired(&DATABASE, now).await? {
        return Ok(());
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let reason = "not paid in time";
            let expired = repository::advance_expired(transaction, Step::Expire, reason, now, EXPIRED_PER_TICK).await?;
            for order in &expired {
                announce_cancelled(transaction, order).await?;
            }
            Ok(())
        })
        .await
}

/// What other services may know of an order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    id: OrderId,
    user_id: UserId,
    status: OrderStatus,
    total: Money,
    currency: Currency,
    /// How often it was changed.
    revision: i64,
}

pub(crate) async fn summary(id: OrderId) -> Result<Summary> {
    let order = repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?;
    let Order { id, user_id, status, total, currency, revision, .. } = order;
    Ok(Summary { id, user_id, status, total, currency, revision })
}
