//! SQL of payments.

use model::{Currency, Money, OrderId, PaymentId, PaymentStatus, RefundId, Timestamp, UserId};
use store::{Database, Durability, Row, Transaction, params};
use web::{Error, Result};

/// What orders have said of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PayableOrder {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    /// Failed or cancelled: no money may be kept for it.
    pub(crate) closed: bool,
}

/// A payment.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub(crate) id: PaymentId,
    pub(crate) order_id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    pub(crate) refunded: Money,
    pub(crate) token: String,
    pub(crate) status: PaymentStatus,
    pub(crate) reason: Option<String>,
    pub(crate) charge_key: String,
    pub(crate) attempts: u32,
    /// Set while its charge is out.
    pub(crate) check_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    /// When its charge was sent for the last time, or when it was settled.
    pub(crate) updated_at: Timestamp,
}

/// A refund. Its status is `pending`, `succeeded` or `failed`.
#[derive(Debug, Clone)]
pub(crate) struct Refund {
    pub(crate) id: RefundId,
    pub(crate) payment_id: PaymentId,
    pub(crate) amount: Money,
    pub(crate) status: PaymentStatus,
    pub(crate) reason: Option<String>,
    pub(crate) refund_key: String,
    pub(crate) attempts: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

const PAYMENT: &str = "id, order_id, user_id, amount, currency, refunded, token, status, reason, charge_key, attempts, \
     check_at, created_at, updated_at";
const REFUND: &str = "id, payment_id, amount, status, reason, refund_key, attempts, created_at, updated_at";

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("payments: {error}")))
}

impl Payment {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: PaymentId(row.next()?),
            order_id: OrderId(row.next()?),
            user_id: UserId(row.next()?),
            amount: Money::from_minor(row.next()?),
            currency: parsed(&row.next::<String>()?)?,
            refunded: Money::from_minor(row.next()?),
            token: row.next()?,
            status: parsed(&row.next::<String>()?)?,
            reason: row.next()?,
            charge_key: row.next()?,
            attempts: row.next()?,
            check_at: row.next::<Option<i64>>()?.map(Timestamp),
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
        })
    }
}

impl Refund {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: RefundId(row.next()?),
            payment_id: PaymentId(row.next()?),
            amount: Money::from_minor(row.next()?),
            status: parsed(&row.next::<String>()?)?,
            reason: row.next()?,
            refund_key: row.next()?,
            attempts: row.next()?,
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
        })
    }
}

/// Writes down that an order may be paid, and returns what is known of it: that it is over may have been known before.
pub(crate) async fn open_order(transaction: &Transaction, order: &PayableOrder) -> Result<PayableOrder> {
    transaction
        .execute(
            "INSERT INTO payable_orders (order_id, user_id, amount, currency, closed) VALUES ($1, $2, $3, $4, FALSE) \
             ON CONFLICT (order_id) DO NOTHING",
            params![order.order_id.0, order.user_id.0, order.amount.minor(), order.currency.as_str()],
        )
        .await?;
    order_in(transaction, order.order_id).await?.ok_or_else(|| Error::Internal("payable_orders: no row".into()))
}

/// Writes down that an order is over.
pub(crate) async fn close_order(transaction: &Transaction, order_id: OrderId, user_id: UserId) -> Result<()> {
    let close = "INSERT INTO payable_orders (order_id, user_id, amount, currency, closed) VALUES ($1, $2, 0, 'XXX', TRUE) \
         ON CONFLICT (order_id) DO UPDATE SET closed = TRUE";
    Ok(transaction.execute(close, params![order_id.0, user_id.0]).await?)
}

pub(crate) async fn order_in(transaction: &Transaction, order_id: OrderId) -> Result<Option<PayableOrder>> {
    let query = "SELECT user_id, amount, currency, closed FROM payable_orders WHERE order_id = $1";
    let row = transaction.query_one(query, params![order_id.0]).await?;
    row.map(|mut row| {
        Ok(PayableOrder {
            order_id,
            user_id: UserId(row.next()?),
            amount: Money::from_minor(row.next()?),
            currency: parsed(&row.next::<String>()?)?,
            closed: row.next()?,
        })
    })
    .transpose()
}

/// A payment about to be made.
pub(crate) struct NewPayment<'a> {
    pub(crate) order: &'a PayableOrder,
    pub(crate) token: &'a str,
    pub(crate) charge_key: String,
    /// When to find out about its charge; `None` when the order's stock is not reserved yet.
    pub(crate) check_at: Option<Timestamp>,
}

/// Adds a payment; `None` when the order has one.
pub(crate) async fn insert(transaction: &Transaction, new: NewPayment<'_>, now: Timestamp) -> Result<Option<Payment>> {
    let insert = format!(
        "INSERT INTO payments (order_id, user_id, amount, currency, token, status, charge_key, check_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (order_id) DO NOTHING RETURNING {PAYMENT}"
    );
    let values = params![
        new.order.order_id.0,
        new.order.user_id.0,
        new.order.amount.minor(),
        new.order.currency.as_str(),
        new.token,
        PaymentStatus::Pending.as_str(),
        new.charge_key,
        new.check_at.map(|at| at.0),
        now.0,
        now.0
    ];
    transaction.query_one(&insert, values).await?.map(Payment::read).transpose()
}

pub(crate) async fn find(database: &Database, id: PaymentId) -> Result<Option<Payment>> {
    let row = database.query_one(&format!("SELECT {PAYMENT} FROM payments WHERE id = $1"), params![id.0]).await?;
    row.map(Payment::read).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, id: PaymentId) -> Result<Option<Payment>> {
    let row = transaction.query_one(&format!("SELECT {PAYMENT} FROM payments WHERE id = $1"), params![id.0]).await?;
    row.map(Payment::read).transpose()
}

pub(crate) async fn find_by_order(database: &Database, order_id: OrderId) -> Result<Option<Payment>> {
    let query = format!("SELECT {PAYMENT} FROM payments WHERE order_id = $1");
    database.query_one(&query, params![order_id.0]).await?.map(Payment::read).transpose()
}

pub(crate) async fn find_by_order_in(transaction: &Transaction, order_id: OrderId) -> Result<Option<Payment>> {
    let query = format!("SELECT {PAYMENT} FROM payments WHERE order_id = $1");
    transaction.query_one(&query, params![order_id.0]).await?.map(Payment::read).transpose()
}

/// The order's stock is reserved now: its waiting payment is about to be sent. `None` when it is not waiting.
pub(crate) async fn send_waiting(
    transaction: &Transaction,
    order_id: OrderId,
    check_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET check_at = $1, updated_at = $2 \
         WHERE order_id = $3 AND status = 'pending' AND check_at IS NULL RETURNING {PAYMENT}"
    );
    transaction.query_one(&update, params![check_at.0, now.0, order_id.0]).await?.map(Payment::read).transpose()
}

/// Settles a pending payment; `None` when it has been settled before.
pub(crate) async fn settle(
    transaction: &Transaction,
    id: PaymentId,
    status: PaymentStatus,
    reference: Option<&str>,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET status = $1, reference = $2, reason = $3, check_at = NULL, updated_at = $4 \
         WHERE id = $5 AND status = 'pending' RETURNING {PAYMENT}"
    );
    let row = transaction.query_one(&update, params![status.as_str(), reference, reason, now.0, id.0]).await?;
    row.map(Payment::read).transpose()
}

/// Settles a payment that was given up, and whose money was taken after all; `None` when it was not given up.
pub(crate) async fn settle_late(
    transaction: &Transaction,
    id: PaymentId,
    reference: &str,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET status = 'succeeded', reference = $1, reason = NULL, check_at = NULL, updated_at = $2 \
         WHERE id = $3 AND status = 'failed' RETURNING {PAYMENT}"
    );
    transaction.query_one(&update, params![reference, now.0, id.0]).await?.map(Payment::read).transpose()
}

/// Writes down that the charge of a pending payment is about to be sent once more.
pub(crate) async fn sent_again(transaction: &Transaction, id: PaymentId, now: Timestamp) -> Result<()> {
    let update = "UPDATE payments SET updated_at = $1 WHERE id = $2 AND status = 'pending'";
    Ok(transaction.execute(update, params![now.0, id.0]).await?)
}

/// Counts a look at a pending payment and says when to look again.
pub(crate) async fn look_again(database: &Database, id: PaymentId, check_at: Timestamp) -> Result<()> {
    let update = "UPDATE payments SET attempts = attempts + 1, check_at = $1 WHERE id = $2 AND status = 'pending'";
    database.execute(Durability::Durable, update, params![check_at.0, id.0]).await?;
    Ok(())
}

/// Payments whose charge must be found out about, each put off until `lease` for everybody else.
pub(crate) async fn claim(database: &Database, now: Timestamp, lease: Timestamp, limit: u32) -> Result<Vec<Payment>> {
    let any = "SELECT 1 FROM payments WHERE check_at <= $1 LIMIT 1";
    if database.query_one(any, params![now.0]).await?.is_none() {
        return Ok(Vec::new());
    }
    let claim = format!(
        "UPDATE payments SET check_at = $1 WHERE id IN \
         (SELECT id FROM payments WHERE check_at <= $2 ORDER BY check_at LIMIT {limit}) RETURNING {PAYMENT}"
    );
    let rows = database.execute(Durability::Durable, &claim, params![lease.0, now.0]).await?;
    rows.into_iter().map(Payment::read).collect()
}

/// Counts what a refund gave back; the payment's new state.
pub(crate) async fn add_refunded(
    transaction: &Transaction,
    id: PaymentId,
    amount: Money,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET refunded = refunded + $1, updated_at = $2, \
         status = CASE WHEN refunded + $1 = amount THEN 'refunded' ELSE status END WHERE id = $3 RETURNING {PAYMENT}"
    );
    transaction.query_one(&update, params![amount.minor(), now.0, id.0]).await?.map(Payment::read).transpose()
}

/// What refunds of a payment gave back or are about to give back.
pub(crate) async fn promised(transaction: &Transaction, id: PaymentId) -> Result<Money> {
    let query = "SELECT COALESCE(SUM(amount), 0) FROM refunds WHERE payment_id = $1 AND status <> 'failed'";
    let sum: i64 = match transaction.query_one(query, params![id.0]).await? {
        Some(mut row) => row.next()?,
        None => 0,
    };
    Ok(Money::from_minor(sum))
}

/// Adds a refund that is about to be sent.
pub(crate) async fn insert_refund(
    transaction: &Transaction,
    payment_id: PaymentId,
    amount: Money,
    refund_key: String,
    reason: Option<&str>,
    check_at: Timestamp,
    now: Timestamp,
) -> Result<Refund> {
    let insert = format!(
        "INSERT INTO refunds (payment_id, amount, status, reason, refund_key, check_at, created_at, updated_at) \
         VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7) RETURNING {REFUND}"
    );
    let values = params![payment_id.0, amount.minor(), reason, refund_key, check_at.0, now.0, now.0];
    let row = transaction.query_one(&insert, values).await?;
    Refund::read(row.ok_or_else(|| Error::Internal("refunds: INSERT returned no row".into()))?)
}

pub(crate) async fn find_refund(database: &Database, id: RefundId) -> Result<Option<Refund>> {
    let row = database.query_one(&format!("SELECT {REFUND} FROM refunds WHERE id = $1"), params![id.0]).await?;
    row.map(Refund::read).transpose()
}

/// A payment's refunds, oldest first.
pub(crate) async fn refunds_of(database: &Database, id: PaymentId) -> Result<Vec<Refund>> {
    let query = format!("SELECT {REFUND} FROM refunds WHERE payment_id = $1 ORDER BY id LIMIT 100");
    database.query(&query, params![id.0]).await?.into_iter().map(Refund::read).collect()
}

/// Settles a pending refund; `None` when it has been settled before.
pub(crate) async fn settle_refund(
    transaction: &Transaction,
    id: RefundId,
    status: PaymentStatus,
    reference: Option<&str>,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Option<Refund>> {
    let update = format!(
        "UPDATE refunds SET status = $1, reference = $2, reason = COALESCE($3, reason), check_at = NULL, updated_at = $4 \
         WHERE id = $5 AND status = 'pending' RETURNING {REFUND}"
    );
    let row = transaction.query_one(&update, params![status.as_str(), reference, reason, now.0, id.0]).await?;
    row.map(Refund::read).transpose()
}

/// Counts a look at a pending refund and says when to look again.
pub(crate) async fn look_again_refund(database: &Database, id: RefundId, check_at: Timestamp) -> Result<()> {
    let update = "UPDATE refunds SET attempts = attempts + 1, check_at = $1 WHERE id = $2 AND status = 'pending'";
    database.execute(Durability::Durable, update, params![check_at.0, id.0]).await?;
    Ok(())
}

/// Refunds that must be found out about, each put off until `lease` for everybody else.
pub(crate) async fn claim_refunds(
    database: &Database,
    now: Timestamp,
    lease: Timestamp,
    limit: u32,
) -> Result<Vec<Refund>> {
    let any = "SELECT 1 FROM refunds WHERE check_at <= $1 LIMIT 1";
    if database.query_one(any, params![now.0]).await?.is_none() {
        return Ok(Vec::new());
    }
    let claim = format!(
        "UPDATE refunds SET check_at = $1 WHERE id IN \
         (SELECT id FROM refunds WHERE check_at <= $2 ORDER BY check_at LIMIT {limit}) RETURNING {REFUND}"
    );
    let rows = database.execute(Durability::Durable, &claim, params![lease.0, now.0]).await?;
    rows.into_iter().map(Refund::read).collect()
}
