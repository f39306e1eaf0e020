//! SQL of refunds. What an order has promised and given back stands in its own row; both change only here.

use model::{Money, OrderId, RefundId, Timestamp, event::OrderedItem};
use store::{Database, Row, Transaction, params};
use web::Result;

use super::{ORDER, Order, allowed};
use crate::order::REFUNDABLE;

/// Payments have been asked.
pub(crate) const PENDING: &str = "pending";
/// The money has gone back.
pub(crate) const SUCCEEDED: &str = "succeeded";
/// It has not, or it has come back to the shop. It will not go any more.
pub(crate) const FAILED: &str = "failed";

/// Money of an order that goes back, or was to go back.
#[derive(Debug)]
pub(crate) struct Refund {
    pub(crate) id: RefundId,
    pub(crate) order_id: OrderId,
    /// [`PENDING`], [`SUCCEEDED`] or [`FAILED`].
    pub(crate) status: String,
    pub(crate) amount: Money,
    pub(crate) reason: Option<String>,
    pub(crate) failure: Option<String>,
    pub(crate) items: Vec<OrderedItem>,
    pub(crate) restock: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

const REFUND: &str = "id, order_id, status, amount, reason, failure, items, restock, created_at, updated_at";

fn refund(mut row: Row) -> Result<Refund> {
    Ok(Refund {
        id: RefundId(row.next()?),
        order_id: OrderId(row.next()?),
        status: row.next()?,
        amount: Money::from_minor(row.next()?),
        reason: row.next()?,
        failure: row.next()?,
        items: serde_json::from_str(&row.next::<String>()?)?,
        restock: row.next()?,
        created_at: Timestamp(row.next()?),
        updated_at: Timestamp(row.next()?),
    })
}

/// A refund that is about to be written down.
#[derive(Debug)]
pub(crate) struct NewRefund<'a> {
    pub(crate) order_id: OrderId,
    /// Orders' own name for it, or payments'.
    pub(crate) name: &'a str,
    pub(crate) status: &'a str,
    pub(crate) amount: Money,
    pub(crate) reason: Option<&'a str>,
    pub(crate) failure: Option<&'a str>,
    pub(crate) items: &'a [OrderedItem],
    pub(crate) restock: bool,
}

/// Writes a refund down; `None` when there is one of this name.
pub(crate) async fn insert(transaction: &Transaction, new: &NewRefund<'_>, now: Timestamp) -> Result<Option<Refund>> {
    let insert = format!(
        "INSERT INTO refunds (name, order_id, status, amount, reason, failure, items, restock, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (name) DO NOTHING RETURNING {REFUND}"
    );
    let values = params![
        new.name,
        new.order_id.0,
        new.status,
        new.amount.minor(),
        new.reason,
        new.failure,
        serde_json::to_string(new.items)?,
        new.restock,
        now.0,
        now.0
    ];
    transaction.query_one(&insert, values).await?.map(refund).transpose()
}

/// The refunds of an order, oldest first. Each gives back at least the smallest coin, and people ask for them.
const OF_ORDER: &str = "WHERE order_id = $1 ORDER BY id LIMIT 1000";

pub(crate) async fn list(database: &Database, id: OrderId) -> Result<Vec<Refund>> {
    let query = format!("SELECT {REFUND} FROM refunds {OF_ORDER}");
    database.query(&query, params![id.0]).await?.into_iter().map(refund).collect()
}

pub(crate) async fn list_in(transaction: &Transaction, id: OrderId) -> Result<Vec<Refund>> {
    let query = format!("SELECT {REFUND} FROM refunds {OF_ORDER}");
    transaction.query(&query, params![id.0]).await?.into_iter().map(refund).collect()
}

/// Notes what became of a refund whose status is `from`; `None` when it is another one by now, or nothing is known of it.
pub(crate) async fn settle(
    transaction: &Transaction,
    name: &str,
    from: &str,
    status: &str,
    failure: Option<&str>,
    now: Timestamp,
) -> Result<Option<Refund>> {
    let update = format!(
        "UPDATE refunds SET status = $1, failure = $2, updated_at = $3 WHERE name = $4 AND status = $5 RETURNING {REFUND}"
    );
    let values = params![status, failure, now.0, name, from];
    transaction.query_one(&update, values).await?.map(refund).transpose()
}

/// Takes the lock of an order before anybody looks at its refunds.
pub(crate) async fn lock(transaction: &Transaction, id: OrderId) -> Result<Option<Order>> {
    let update = format!("UPDATE orders SET promised = promised WHERE id = $1 RETURNING {ORDER}");
    transaction.query_one(&update, params![id.0]).await?.map(Order::read).transpose()
}

/// Promises money of an order; `None` when it has not that much, or is in a state in which none goes back.
pub(crate) async fn promise(
    transaction: &Transaction,
    id: OrderId,
    amount: Money,
    now: Timestamp,
) -> Result<Option<Order>> {
    let update = format!(
        "UPDATE orders SET promised = promised + $1, updated_at = $2 WHERE id = $3 AND status IN ({}) \
         AND promised + refunded + $1 <= total RETURNING {ORDER}",
        allowed(REFUNDABLE)
    );
    transaction.query_one(&update, params![amount.minor(), now.0, id.0]).await?.map(Order::read).transpose()
}

/// Ends a promise: `promised` is no longer on its way, `refunded` has arrived, or, below zero, has come back.
pub(crate) async fn end_promise(
    transaction: &Transaction,
    id: OrderId,
    promised: Money,
    refunded: Money,
    now: Timestamp,
) -> Result<Option<Order>> {
    let update = format!(
        "UPDATE orders SET promised = promised - $1, refunded = refunded + $2, updated_at = $3 WHERE id = $4 \
         RETURNING {ORDER}"
    );
    let values = params![promised.minor(), refunded.minor(), now.0, id.0];
    transaction.query_one(&update, values).await?.map(Order::read).transpose()
}
