//! SQL of refunds.

use model::{Money, PaymentId, PaymentStatus, RefundId, Timestamp};
use store::{Database, Durability, Row, Transaction, params};
use uuid::Uuid;
use web::{Error, Result};

use super::{Ending, PAYMENT, Payment, parsed};

/// A refund. Its status is `pending`, `succeeded` or `failed`.
#[derive(Debug, Clone)]
pub(crate) struct Refund {
    pub(crate) id: RefundId,
    pub(crate) payment_id: PaymentId,
    /// Orders' own name for it, when they asked for it.
    pub(crate) request_id: Option<Uuid>,
    pub(crate) amount: Money,
    pub(crate) status: PaymentStatus,
    pub(crate) reason: Option<String>,
    pub(crate) refund_key: String,
    /// How many refunds of the same money the provider has declined before this one.
    pub(crate) declined: u32,
    pub(crate) attempts: u32,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

const REFUND: &str =
    "id, payment_id, request_id, amount, status, reason, refund_key, declined, attempts, created_at, updated_at";

impl Refund {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: RefundId(row.next()?),
            payment_id: PaymentId(row.next()?),
            request_id: row.next::<Option<String>>()?.as_deref().map(parsed).transpose()?,
            amount: Money::from_minor(row.next()?),
            status: parsed(&row.next::<String>()?)?,
            reason: row.next()?,
            refund_key: row.next()?,
            declined: row.next()?,
            attempts: row.next()?,
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
        })
    }
}

/// The refund of a payment that was made last.
pub(crate) async fn last_refund(transaction: &Transaction, id: PaymentId) -> Result<Option<Refund>> {
    let query = format!("SELECT {REFUND} FROM refunds WHERE payment_id = $1 ORDER BY id DESC LIMIT 1");
    transaction.query_one(&query, params![id.0]).await?.map(Refund::read).transpose()
}

/// Counts what a refund gave back, or, when `amount` is below zero, what has come back of it; the payment's new state.
pub(crate) async fn add_refunded(
    transaction: &Transaction,
    id: PaymentId,
    amount: Money,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET refunded = refunded + $1, updated_at = $2, \
         status = CASE WHEN refunded + $1 = amount THEN 'refunded' WHEN status = 'refunded' THEN 'succeeded' \
         ELSE status END WHERE id = $3 RETURNING {PAYMENT}"
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

/// A refund about to be made.
pub(crate) struct NewRefund<'a> {
    pub(crate) payment_id: PaymentId,
    pub(crate) request_id: Option<Uuid>,
    pub(crate) amount: Money,
    pub(crate) refund_key: String,
    pub(crate) reason: Option<&'a str>,
    pub(crate) declined: u32,
    pub(crate) check_at: Timestamp,
}

/// Adds a refund that is about to be sent, or will be at its `check_at`.
pub(crate) async fn insert_refund(transaction: &Transaction, new: NewRefund<'_>, now: Timestamp) -> Result<Refund> {
    let insert = format!(
        "INSERT INTO refunds (payment_id, request_id, amount, status, reason, refund_key, declined, check_at, created_at, updated_at) \
         VALUES ($1, $2, $3, 'pending', $4, $5, $6, $7, $8, $9) RETURNING {REFUND}"
    );
    let values = params![
        new.payment_id.0,
        new.request_id.map(|id| id.to_string()),
        new.amount.minor(),
        new.reason,
        new.refund_key,
        new.declined,
        new.check_at.0,
        now.0,
        now.0
    ];
    let row = transaction.query_one(&insert, values).await?;
    Refund::read(row.ok_or_else(|| Error::Internal("refunds: INSERT returned no row".into()))?)
}

/// Whether orders have asked for a refund under this name before.
pub(crate) async fn is_requested(transaction: &Transaction, request_id: Uuid) -> Result<bool> {
    let query = "SELECT 1 FROM refunds WHERE request_id = $1";
    Ok(transaction.query_one(query, params![request_id.to_string()]).await?.is_some())
}

/// The refund that the provider knows by this key.
pub(crate) async fn find_refund_by_key(database: &Database, key: &str) -> Result<Option<Refund>> {
    let query = format!("SELECT {REFUND} FROM refunds WHERE refund_key = $1");
    database.query_one(&query, params![key]).await?.map(Refund::read).transpose()
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

/// Those refunds of a payment of which there may be news, newest first: what is pending or succeeded is never more than
/// the payment, so that failed ones do not hide it.
pub(crate) async fn open_refunds_of(database: &Database, id: PaymentId) -> Result<Vec<Refund>> {
    let query =
        format!("SELECT {REFUND} FROM refunds WHERE payment_id = $1 AND status <> 'failed' ORDER BY id DESC LIMIT 100");
    database.query(&query, params![id.0]).await?.into_iter().map(Refund::read).collect()
}

/// Settles a refund whose status is `from`; `None` when it is another one by now.
pub(crate) async fn settle_refund(
    transaction: &Transaction,
    id: RefundId,
    from: PaymentStatus,
    ending: &Ending<'_>,
    now: Timestamp,
) -> Result<Option<Refund>> {
    let update = format!(
        "UPDATE refunds SET status = $1, reference = COALESCE($2, reference), reason = COALESCE($3, reason), \
         check_at = NULL, updated_at = $4 WHERE id = $5 AND status = $6 RETURNING {REFUND}"
    );
    let values = params![ending.status.as_str(), ending.reference, ending.reason, now.0, id.0, from.as_str()];
    transaction.query_one(&update, values).await?.map(Refund::read).transpose()
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
