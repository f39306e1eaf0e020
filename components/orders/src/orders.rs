//! The use cases of orders: what happens in one transaction, and what is announced.

use std::{cell::Cell, time::Duration};

use http::StatusCode;
use model::{
    Currency, Money, OrderId, OrderStatus, Timestamp, UserId,
    event::{Event, OrderCancelled, OrderPlaced, OrderedItem},
};
use serde::Serialize;
use serde_json::value::RawValue;
use store::{Durability, Transaction};
use web::{Answer, Caller, Error, Once, Page, PageQuery, Result, Service, client, variable};

use crate::{
    DATABASE, Orders,
    order::{Draft, Offer, Step, Unplaceable},
    repository::{self, Entry, Order},
};

/// Orders whose time is up that one tick ends.
const EXPIRED_PER_TICK: u32 = 100;

/// An order as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderView {
    id: OrderId,
    user_id: UserId,
    status: OrderStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    items: Box<RawValue>,
    total: Money,
    currency: Currency,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// Until when it must be paid; absent once that is settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            id: order.id,
            user_id: order.user_id,
            status: order.status,
            reason: order.reason,
            items: order.lines,
            total: order.total,
            currency: order.currency,
            created_at: order.created_at,
            updated_at: order.updated_at,
            expires_at: (!order.status.is_final()).then_some(order.expires_at),
        }
    }
}

const NOT_FOUND: Error = Error::not_found("order");

thread_local! {
    static TIMEOUT: Cell<Duration> = const { Cell::new(Duration::from_secs(15 * 60)) };
}

/// Reads how long an order may stay unpaid.
pub(crate) async fn read_timeout() -> Result<()> {
    TIMEOUT.set(Duration::from_millis(variable::parsed("order_timeout_ms", 900_000).await?));
    Ok(())
}

/// Places an order: priced by the catalog, reserved by event, charged with `payment_token` once reserved, if given.
pub(crate) async fn place(
    caller: &Caller,
    once: &Once,
    items: &[OrderedItem],
    payment_token: Option<&str>,
) -> Result<Answer> {
    if let Some(answer) = once.answered(&DATABASE, Some(caller)).await? {
        return Ok(answer);
    }
    let draft = Draft::price(items, &offers(items).await?).map_err(|unplaceable| match unplaceable {
        Unplaceable::NoSuchProduct(position) => {
            Error::invalid(format!("items[{position}].productId"), "there is no such product")
        }
        Unplaceable::Empty => Error::invalid("items", "must not be empty"),
        Unplaceable::MixedCurrencies => Error::invalid("items", "have prices in different currencies"),
        Unplaceable::TooExpensive => Error::invalid("items", format!("cost more than {}", Money::MAX)),
    })?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let now = Timestamp::now();
            let expires_at = now.after(TIMEOUT.get());
            let order = repository::insert(transaction, caller.user_id, &draft, payment_token, now, expires_at).await?;
            let placed = OrderPlaced {
                order_id: order.id,
                user_id: order.user_id,
                items: draft.items(),
                total: order.total,
                currency: order.currency,
            };
            announce(transaction, &order, &placed).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &OrderView::from(order)).await
        })
        .await
}

/// What the catalog asks for the products, at this moment.
async fn offers(items: &[OrderedItem]) -> Result<Vec<Offer>> {
    let mut ids: Vec<_> = items.iter().map(|item| item.product_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let path = format!("/internal/products?ids={}", ids.join(","));
    client::get("catalog", &path).await?.ok_or(Error::Unavailable("catalog".into()))
}

/// Writes what just happened to `order` into its history and tells the other services.
pub(crate) async fn announce<E: Event>(transaction: &Transaction, order: &Order, event: &E) -> Result<()> {
    repository::note(transaction, order.id, E::TYPE, order.status, order.reason.as_deref(), order.updated_at).await?;
    Ok(events::emit(transaction, Orders::NAME, event).await?)
}

async fn visible(caller: &Caller, id: OrderId) -> Result<Order> {
    let order = repository::find(&DATABASE, id).await?;
    order.filter(|order| caller.may_see(order.user_id)).ok_or(NOT_FOUND)
}

pub(crate) async fn get(caller: &Caller, id: OrderId) -> Result<OrderView> {
    Ok(visible(caller, id).await?.into())
}

pub(crate) async fn list_own(caller: &Caller, query: &PageQuery) -> Result<Page<OrderView>> {
    let before = query.after::<i64>()?.unwrap_or(i64::MAX);
    let orders = repository::list(&DATABASE, caller.user_id, before, query.limit() + 1).await?;
    Page::new(orders.into_iter().map(OrderView::from).collect(), query.limit(), |order| order.id)
}

pub(crate) async fn history(caller: &Caller, id: OrderId) -> Result<Vec<Entry>> {
    visible(caller, id).await?;
    repository::history(&DATABASE, id).await
}

/// Calls an order off. What it holds is released, what was paid is refunded, by event. Again changes nothing.
pub(crate) async fn cancel(caller: &Caller, id: OrderId, reason: Option<&str>) -> Result<OrderView> {
    visible(caller, id).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let reason = reason.unwrap_or(if caller.role.administers() { "by the shop" } else { "by the customer" });
            match repository::advance(transaction, id, Step::Cancel, Some(reason), Timestamp::now()).await? {
                Some(order) => {
                    announce(transaction, &order, &cancelled(&order)).await?;
                    Ok(order.into())
                }
                None => {
                    let order = repository::find_in(transaction, id).await?.ok_or(NOT_FOUND)?;
                    if order.status == OrderStatus::Cancelled {
                        Ok(order.into())
                    } else {
                        Err(Error::Conflict("not-cancellable", format!("the order is {}", order.status)))
                    }
                }
            }
        })
        .await
}

fn cancelled(order: &Order) -> OrderCancelled {
    OrderCancelled {
        order_id: order.id,
        user_id: order.user_id,
        reason: order.reason.clone().unwrap_or_default(),
        cancelled_at: order.updated_at,
    }
}

/// Cancels orders that nobody paid in time, a bounded number of them.
pub(crate) async fn cancel_unpaid() -> Result<()> {
    let now = Timestamp::now();
    if !repository::any_expired(&DATABASE, now).await? {
        return Ok(());
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let reason = "not paid in time";
            let expired = repository::advance_expired(transaction, Step::Expire, reason, now, EXPIRED_PER_TICK).await?;
            for order in &expired {
                announce(transaction, order, &cancelled(order)).await?;
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
}

pub(crate) async fn summary(id: OrderId) -> Result<Summary> {
    let Order { id, user_id, status, total, currency, .. } = repository::find(&DATABASE, id).await?.ok_or(NOT_FOUND)?;
    Ok(Summary { id, user_id, status, total, currency })
}
