//! SQL of orders.

use model::{Currency, Money, OrderId, OrderStatus, Timestamp, UserId};
use serde_json::value::RawValue;
use store::{Database, Row, Transaction, params};
use web::{Error, Result};

use crate::order::{Draft, Step};

/// An order. Its lines are kept as the JSON they are shown as.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) status: OrderStatus,
    pub(crate) reason: Option<String>,
    pub(crate) lines: Box<RawValue>,
    pub(crate) total: Money,
    pub(crate) currency: Currency,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) payment_token: Option<String>,
}

const ORDER: &str =
    "id, user_id, status, reason, lines, total, currency, created_at, updated_at, expires_at, payment_token";

impl Order {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: OrderId(row.next()?),
            user_id: UserId(row.next()?),
            status: parsed(&row.next::<String>()?)?,
            reason: row.next()?,
            lines: RawValue::from_string(row.next()?)?,
            total: Money::from_minor(row.next()?),
            currency: parsed(&row.next::<String>()?)?,
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
            expires_at: Timestamp(row.next()?),
            payment_token: row.next()?,
        })
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("orders: {error}")))
}

pub(crate) async fn insert(
    transaction: &Transaction,
    user_id: UserId,
    draft: &Draft,
    payment_token: Option<&str>,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<Order> {
    let insert = format!(
        "INSERT INTO orders (user_id, status, lines, total, currency, payment_token, created_at, updated_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {ORDER}"
    );
    let lines = serde_json::to_string(&draft.lines)?;
    let values = params![
        user_id.0,
        OrderStatus::Pending.as_str(),
        lines,
        draft.total.minor(),
        draft.currency.as_str(),
        payment_token,
        now.0,
        now.0,
        expires_at.0
    ];
    let row = transaction.query_one(&insert, values).await?;
    Order::read(row.ok_or_else(|| Error::Internal("orders: INSERT returned no row".into()))?)
}

pub(crate) async fn find(database: &Database, id: OrderId) -> Result<Option<Order>> {
    let row = database.query_one(&format!("SELECT {ORDER} FROM orders WHERE id = $1"), params![id.0]).await?;
    row.map(Order::read).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, id: OrderId) -> Result<Option<Order>> {
    let row = transaction.query_one(&format!("SELECT {ORDER} FROM orders WHERE id = $1"), params![id.0]).await?;
    row.map(Order::read).transpose()
}

/// A user's orders, newest first, before the order `before`.
pub(crate) async fn list(database: &Database, user_id: UserId, before: i64, limit: u32) -> Result<Vec<Order>> {
    let list = format!("SELECT {ORDER} FROM orders WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    database.query(&list, params![user_id.0, before, limit]).await?.into_iter().map(Order::read).collect()
}

fn allowed(step: Step) -> String {
    let states: Vec<_> = step.from().iter().map(|status| format!("'{status}'")).collect();
    states.join(", ")
}

/// Takes `step` if the order's state allows it; `None` when it does not, or when there is no such order. The payment
/// token is returned for the last time when the order leaves `pending`.
pub(crate) async fn advance(
    transaction: &Transaction,
    id: OrderId,
    step: Step,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<Order>> {
    let update = format!(
        "UPDATE orders SET status = $1, reason = $2, updated_at = $3 WHERE id = $4 AND status IN ({}) RETURNING {ORDER}",
        allowed(step)
    );
    let row = transaction.query_one(&update, params![step.to().as_str(), reason, now.0, id.0]).await?;
    row.map(Order::read).transpose()
}

/// Takes `step` for up to `limit` orders whose time is up.
pub(crate) async fn advance_expired(
    transaction: &Transaction,
    step: Step,
    reason: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Order>> {
    let update = format!(
        "UPDATE orders SET status = $1, reason = $2, updated_at = $3 WHERE id IN (SELECT id FROM orders \
         WHERE status IN ({}) AND expires_at <= $3 ORDER BY expires_at LIMIT {limit}) RETURNING {ORDER}",
        allowed(step)
    );
    let rows = transaction.query(&update, params![step.to().as_str(), reason, now.0]).await?;
    rows.into_iter().map(Order::read).collect()
}

/// True when the time of some order is up.
pub(crate) async fn any_expired(database: &Database, now: Timestamp) -> Result<bool> {
    let query =
        format!("SELECT 1 FROM orders WHERE status IN ({}) AND expires_at <= $1 LIMIT 1", allowed(Step::Expire));
    Ok(database.query_one(&query, params![now.0]).await?.is_some())
}

/// One entry of an order's history.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Entry {
    id: i64,
    r#type: String,
    status: OrderStatus,
    reason: Option<String>,
    at: Timestamp,
}

/// Writes down what happened to an order that now has `status`.
pub(crate) async fn note(
    transaction: &Transaction,
    id: OrderId,
    what: &str,
    status: OrderStatus,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let insert = "INSERT INTO order_history (order_id, type, status, reason, at) VALUES ($1, $2, $3, $4, $5)";
    Ok(transaction.execute(insert, params![id.0, what, status.as_str(), reason, now.0]).await?)
}

/// What happened to an order, oldest first. An order has few entries: each of its states is entered once.
pub(crate) async fn history(database: &Database, id: OrderId) -> Result<Vec<Entry>> {
    let query = "SELECT id, type, status, reason, at FROM order_history WHERE order_id = $1 ORDER BY id LIMIT 1000";
    let read = |mut row: Row| {
        Ok(Entry {
            id: row.next()?,
            r#type: row.next()?,
            status: parsed(&row.next::<String>()?)?,
            reason: row.next()?,
            at: Timestamp(row.next()?),
        })
    };
    database.query(query, params![id.0]).await?.into_iter().map(read).collect()
}
