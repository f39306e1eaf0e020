//! SQL of orders.

pub(crate) mod erasures;
pub(crate) mod list;
pub(crate) mod placements;
pub(crate) mod refunds;
pub(crate) mod users;

use model::{Address, Currency, Money, OrderId, OrderStatus, Timestamp, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use store::{Database, Row, Transaction, params};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Error, Result};

use crate::order::{self, Line, Priced, Step};

/// An order. Lines and addresses are kept as the JSON they are shown as.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) status: OrderStatus,
    pub(crate) reason: Option<String>,
    pub(crate) lines: Box<RawValue>,
    /// How often the customer has changed it.
    pub(crate) revision: i64,
    /// Whether the customer does not want to see it any more.
    pub(crate) hidden: bool,
    pub(crate) subtotal: Money,
    pub(crate) discount: Money,
    pub(crate) shipping: Money,
    pub(crate) tax: Money,
    pub(crate) total: Money,
    pub(crate) currency: Currency,
    pub(crate) discount_code: Option<String>,
    /// Under which whoever had it placed knows it: carts, who also count the use of its code under it.
    pub(crate) placement_key: Option<Uuid>,
    pub(crate) shipping_address: Option<Box<RawValue>>,
    pub(crate) billing_address: Option<Box<RawValue>>,
    pub(crate) payment_token: Option<String>,
    pub(crate) tracking: Option<String>,
    /// On its way back to the customer.
    pub(crate) promised: Money,
    /// Back with the customer.
    pub(crate) refunded: Money,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// Until when it must be paid; `None` once that is settled.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) paid_at: Option<Timestamp>,
}

const ORDER: &str = "id, user_id, status, reason, lines, revision, hidden, subtotal, discount, shipping, tax, total, currency, \
     discount_code, placement_key, shipping_address, billing_address, payment_token, tracking, promised, refunded, \
     created_at, updated_at, expires_at, paid_at";

impl Order {
    fn read(mut row: Row) -> Result<Self> {
        Self::read_from(&mut row)
    }

    fn read_from(row: &mut Row) -> Result<Self> {
        let raw = |json: Option<String>| json.map(RawValue::from_string).transpose();
        Ok(Self {
            id: OrderId(row.next()?),
            user_id: UserId(row.next()?),
            status: parsed(&row.next::<String>()?)?,
            reason: row.next()?,
            lines: RawValue::from_string(row.next()?)?,
            revision: row.next()?,
            hidden: row.next()?,
            subtotal: Money::from_minor(row.next()?),
            discount: Money::from_minor(row.next()?),
            shipping: Money::from_minor(row.next()?),
            tax: Money::from_minor(row.next()?),
            total: Money::from_minor(row.next()?),
            currency: parsed(&row.next::<String>()?)?,
            discount_code: row.next()?,
            placement_key: row.next::<Option<String>>()?.map(|key| parsed(&key)).transpose()?,
            shipping_address: raw(row.next()?)?,
            billing_address: raw(row.next()?)?,
            payment_token: row.next()?,
            tracking: row.next()?,
            promised: Money::from_minor(row.next()?),
            refunded: Money::from_minor(row.next()?),
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
            expires_at: row.next::<Option<i64>>()?.map(Timestamp),
            paid_at: row.next::<Option<i64>>()?.map(Timestamp),
        })
    }

    /// Whether it ended before it was paid: what was counted for it counts no more.
    pub(crate) const fn ended_unpaid(&self) -> bool {
        self.paid_at.is_none() && self.status.is_final()
    }

    /// What people read out.
    pub(crate) fn number(&self) -> String {
        order::number(self.id, self.created_at)
    }

    /// What was ordered.
    pub(crate) fn lines(&self) -> Result<Vec<Line>> {
        Ok(serde_json::from_str(self.lines.get())?)
    }
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("orders: {error}")))
}

/// An order that is about to be placed.
#[derive(Debug)]
pub(crate) struct NewOrder<'a> {
    pub(crate) user_id: UserId,
    pub(crate) priced: &'a Priced,
    pub(crate) discount_code: Option<&'a str>,
    pub(crate) placement_key: Option<Uuid>,
    pub(crate) shipping_address: Option<&'a Address>,
    pub(crate) billing_address: Option<&'a Address>,
    pub(crate) payment_token: Option<&'a str>,
    pub(crate) expires_at: Timestamp,
}

/// Adds an order, and says of its customer what the projection of accounts does, if it knows the account yet.
pub(crate) async fn insert(
    transaction: &Transaction,
    new: &NewOrder<'_>,
    now: Timestamp,
) -> Result<(Order, Option<String>)> {
    let insert = format!(
        "INSERT INTO orders (user_id, status, lines, subtotal, discount, shipping, tax, total, currency, discount_code, \
         placement_key, shipping_address, billing_address, payment_token, created_at, updated_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) RETURNING {ORDER}, (SELECT u.status FROM users u WHERE u.id = orders.user_id)"
    );
    let NewOrder { user_id, priced, .. } = new;
    let values = params![
        user_id.0,
        OrderStatus::Pending.as_str(),
        serde_json::to_string(&priced.lines)?,
        priced.subtotal.minor(),
        priced.discount.minor(),
        priced.shipping.minor(),
        priced.tax.minor(),
        priced.total.minor(),
        priced.currency.as_str(),
        new.discount_code,
        new.placement_key.map(|key| key.to_string()),
        json(new.shipping_address)?,
        json(new.billing_address)?,
        new.payment_token,
        now.0,
        now.0,
        new.expires_at.0
    ];
    let row = transaction.query_one(&insert, values).await?;
    let mut row = row.ok_or_else(|| Error::Internal("orders: INSERT returned no row".into()))?;
    Ok((Order::read_from(&mut row)?, row.next()?))
}

fn json<T: Serialize>(value: Option<&T>) -> Result<Option<String>> {
    Ok(value.map(serde_json::to_string).transpose()?)
}

pub(crate) async fn find(database: &Database, id: OrderId) -> Result<Option<Order>> {
    let row = database.query_one(&format!("SELECT {ORDER} FROM orders WHERE id = $1"), params![id.0]).await?;
    row.map(Order::read).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, id: OrderId) -> Result<Option<Order>> {
    let row = transaction.query_one(&format!("SELECT {ORDER} FROM orders WHERE id = $1"), params![id.0]).await?;
    row.map(Order::read).transpose()
}

fn allowed(states: &[OrderStatus]) -> String {
    let states: Vec<_> = states.iter().map(|status| format!("'{status}'")).collect();
    states.join(", ")
}

/// Takes `step` if the order's state allows it; `None` when it does not, or when there is no such order. The payment
/// token is kept until its stock is held.
pub(crate) async fn advance(
    transaction: &Transaction,
    id: OrderId,
    step: Step,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<Order>> {
    advance_if(transaction, id, step, reason, now, None).await
}

/// Takes [`Step::Pay`] if the order's state allows it, and it costs that.
pub(crate) async fn pay(
    transaction: &Transaction,
    id: OrderId,
    amount: Money,
    now: Timestamp,
) -> Result<Option<Order>> {
    advance_if(transaction, id, Step::Pay, None, now, Some(amount)).await
}

async fn advance_if(
    transaction: &Transaction,
    id: OrderId,
    step: Step,
    reason: Option<&str>,
    now: Timestamp,
    total: Option<Money>,
) -> Result<Option<Order>> {
    let also = match step {
        Step::Reserve => "",
        Step::Pay => ", payment_token = NULL, expires_at = NULL, paid_at = $3",
        _ => ", payment_token = NULL, expires_at = NULL",
    };
    let update = format!(
        "UPDATE orders SET status = $1, reason = $2, updated_at = $3{also} WHERE id = $4 AND status IN ({}){} \
         RETURNING {ORDER}",
        allowed(step.from()),
        if total.is_some() { " AND total = $5" } else { "" }
    );
    let mut values = params![step.to().as_str(), reason, now.0, id.0];
    values.extend(total.map(|total| total.minor().into()));
    transaction.query_one(&update, values).await?.map(Order::read).transpose()
}

/// What an order is changed to.
pub(crate) struct Change<'a> {
    pub(crate) priced: &'a Priced,
    pub(crate) shipping_address: Option<&'a Address>,
    pub(crate) billing_address: Option<&'a Address>,
}

/// Changes an order that holds its stock, and lets it wait for that again. An address that is not given stays. `None` when
/// it is not so any more, or was changed since `revision`.
pub(crate) async fn change(
    transaction: &Transaction,
    id: OrderId,
    revision: i64,
    change: &Change<'_>,
    now: Timestamp,
) -> Result<Option<Order>> {
    let step = Step::Change;
    let update = format!(
        "UPDATE orders SET status = $1, reason = NULL, updated_at = $2, revision = revision + 1, lines = $3, subtotal = $4, \
         discount = $5, shipping = $6, tax = $7, total = $8, currency = $9, \
         shipping_address = COALESCE($10, shipping_address), billing_address = COALESCE($11, billing_address) \
         WHERE id = $12 AND revision = $13 AND status IN ({}) RETURNING {ORDER}",
        allowed(step.from())
    );
    let Change { priced, shipping_address, billing_address } = change;
    let values = params![
        step.to().as_str(),
        now.0,
        serde_json::to_string(&priced.lines)?,
        priced.subtotal.minor(),
        priced.discount.minor(),
        priced.shipping.minor(),
        priced.tax.minor(),
        priced.total.minor(),
        priced.currency.as_str(),
        json(*shipping_address)?,
        json(*billing_address)?,
        id.0,
        revision
    ];
    transaction.query_one(&update, values).await?.map(Order::read).transpose()
}

/// Takes an order out of every list.
pub(crate) async fn hide(transaction: &Transaction, id: OrderId) -> Result<()> {
    Ok(transaction.execute("UPDATE orders SET hidden = TRUE WHERE id = $1", params![id.0]).await?)
}

/// Where an order that is on its way can be followed.
pub(crate) async fn set_tracking(transaction: &Transaction, id: OrderId, tracking: &str) -> Result<()> {
    let update = "UPDATE orders SET tracking = $1 WHERE id = $2";
    Ok(transaction.execute(update, params![tracking, id.0]).await?)
}

const ANY_EXPIRED: &str = "SELECT 1 FROM orders WHERE expires_at <= $1 LIMIT 1";

/// A deadline is there while an order may still expire, and no longer: asked for the status, too, SQLite would look
/// through all that are unpaid.
fn expire_statement(limit: u32) -> String {
    format!(
        "UPDATE orders SET status = $1, reason = $2, updated_at = $3, payment_token = NULL, expires_at = NULL \
         WHERE id IN (SELECT id FROM orders WHERE expires_at <= $3 ORDER BY expires_at LIMIT {limit}) \
         RETURNING {ORDER}"
    )
}

/// Takes `step` for up to `limit` orders whose time is up.
pub(crate) async fn advance_expired(
    transaction: &Transaction,
    step: Step,
    reason: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Order>> {
    let rows = transaction.query(&expire_statement(limit), params![step.to().as_str(), reason, now.0]).await?;
    rows.into_iter().map(Order::read).collect()
}

/// True when the time of some order is up.
pub(crate) async fn any_expired(database: &Database, now: Timestamp) -> Result<bool> {
    Ok(database.query_one(ANY_EXPIRED, params![now.0]).await?.is_some())
}

/// One entry of an order's history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderEvent)]
pub(crate) struct Entry {
    #[schema(minimum = 1)]
    id: i64,
    /// `ORDER_PLACED` and so on.
    #[schema(example = "ORDER_PLACED")]
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

/// How many orders have each status, as the database has counted them itself: see `0002_counts.sql`.
pub(crate) async fn counts(database: &Database) -> Result<Vec<(String, i64)>> {
    let query = "SELECT status, CAST(SUM(orders) AS BIGINT) FROM order_counts WHERE status >= '' GROUP BY status";
    let rows = database.query(query, params![]).await?;
    rows.into_iter().map(|mut row| Ok((row.next()?, row.next()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_whose_time_is_up_are_found_along_an_index() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        database.execute_batch(crate::FILES.get_file("0001_orders.sql").unwrap().contents_utf8().unwrap()).unwrap();
        for sql in [ANY_EXPIRED, &expire_statement(100)] {
            let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            // Only the statement matters, not what its parameters are.
            let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
            while let Some(row) = rows.next().unwrap() {
                steps.push(row.get::<_, String>(3).unwrap());
            }
            assert!(steps.iter().any(|step| step.ends_with(" orders_unpaid (expires_at<?)")), "{sql}: {steps:?}");
            let slow = |step: &String| step.starts_with("SCAN") || step.contains("B-TREE");
            assert!(!steps.iter().any(slow), "{sql}: {steps:?}");
        }
    }
}
