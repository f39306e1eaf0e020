//! SQL of payments.

pub(crate) mod ledger;
pub(crate) mod list;
mod refunds;

use model::{Currency, Money, OrderId, PaymentId, PaymentOperation, PaymentStatus, Timestamp, UserId};
use store::{Database, Durability, Row, Transaction, params};
use web::{Error, Result};

pub(crate) use refunds::{
    NewRefund, Refund, add_refunded, claim_refunds, find_refund, find_refund_by_key, insert_refund, is_requested,
    last_refund, look_again_refund, open_refunds_of, promised, refunds_of, settle_refund,
};

use crate::payment::before;

/// What orders have said of an order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    Payable(PayableOrder),
    /// Failed or cancelled: no money may be kept for it.
    Over,
}

/// An order that may be paid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PayableOrder {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) amount: Money,
    pub(crate) currency: Currency,
    /// How often it had been changed when it cost that.
    pub(crate) revision: i64,
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
    /// What stands for the card, only until the provider has answered.
    pub(crate) token: Option<String>,
    pub(crate) status: PaymentStatus,
    pub(crate) reason: Option<String>,
    pub(crate) charge_key: String,
    /// What the provider was asked last, or will be asked first.
    pub(crate) operation: PaymentOperation,
    /// Whose word the status is; `None` while no provider has answered.
    pub(crate) provider: Option<String>,
    pub(crate) attempts: u32,
    /// Set while that is out.
    pub(crate) check_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    /// When that was sent for the last time, or when it was settled.
    pub(crate) updated_at: Timestamp,
}

const PAYMENT: &str = "id, order_id, user_id, amount, currency, refunded, token, status, reason, charge_key, operation, \
     provider, attempts, check_at, created_at, updated_at";

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("payments: {error}")))
}

impl Payment {
    fn read(mut row: Row) -> Result<Self> {
        Self::read_from(&mut row)
    }

    fn read_from(row: &mut Row) -> Result<Self> {
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
            operation: parsed(&row.next::<String>()?)?,
            provider: row.next()?,
            attempts: row.next()?,
            check_at: row.next::<Option<i64>>()?.map(Timestamp),
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
        })
    }
}

/// Writes down that an order may be paid, and returns what is known of it: that it is over, or costs something else by now,
/// may have been known before.
pub(crate) async fn open_order(transaction: &Transaction, order: &PayableOrder) -> Result<Known> {
    transaction
        .execute(
            "INSERT INTO payable_orders (order_id, user_id, amount, currency, revision, closed) \
             VALUES ($1, $2, $3, $4, $5, FALSE) ON CONFLICT (order_id) DO UPDATE \
             SET amount = excluded.amount, currency = excluded.currency, revision = excluded.revision \
             WHERE NOT payable_orders.closed AND payable_orders.revision < excluded.revision",
            params![order.order_id.0, order.user_id.0, order.amount.minor(), order.currency.as_str(), order.revision],
        )
        .await?;
    order_in(transaction, order.order_id).await?.ok_or_else(|| Error::Internal("payable_orders: no row".into()))
}

/// Writes down that an order is over. What it costs is not known when that is the first that is heard of it.
pub(crate) async fn close_order(transaction: &Transaction, order_id: OrderId, user_id: UserId) -> Result<()> {
    let close = "INSERT INTO payable_orders (order_id, user_id, amount, currency, revision, closed) VALUES ($1, $2, NULL, NULL, 0, TRUE) \
         ON CONFLICT (order_id) DO UPDATE SET closed = TRUE";
    Ok(transaction.execute(close, params![order_id.0, user_id.0]).await?)
}

pub(crate) async fn order_in(transaction: &Transaction, order_id: OrderId) -> Result<Option<Known>> {
    let query = "SELECT closed, user_id, amount, currency, revision FROM payable_orders WHERE order_id = $1";
    let row = transaction.query_one(query, params![order_id.0]).await?;
    row.map(|mut row| {
        if row.next::<bool>()? {
            return Ok(Known::Over);
        }
        Ok(Known::Payable(PayableOrder {
            order_id,
            user_id: UserId(row.next()?),
            amount: Money::from_minor(row.next()?),
            currency: parsed(&row.next::<String>()?)?,
            revision: row.next()?,
        }))
    })
    .transpose()
}

/// A payment about to be made.
pub(crate) struct NewPayment<'a> {
    pub(crate) order: &'a PayableOrder,
    pub(crate) token: &'a str,
    pub(crate) charge_key: String,
    /// To charge, or only to authorize.
    pub(crate) operation: PaymentOperation,
    /// When to find out how that ended; `None` when the order's stock is not reserved yet.
    pub(crate) check_at: Option<Timestamp>,
}

/// Adds a payment; `None` when the order has one.
pub(crate) async fn insert(transaction: &Transaction, new: NewPayment<'_>, now: Timestamp) -> Result<Option<Payment>> {
    let insert = format!(
        "INSERT INTO payments (order_id, user_id, amount, currency, token, status, charge_key, operation, check_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (order_id) DO NOTHING RETURNING {PAYMENT}"
    );
    let values = params![
        new.order.order_id.0,
        new.order.user_id.0,
        new.order.amount.minor(),
        new.order.currency.as_str(),
        new.token,
        PaymentStatus::Pending.as_str(),
        new.charge_key,
        new.operation.as_str(),
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

/// The payment that the provider knows by this key.
pub(crate) async fn find_by_key(database: &Database, key: &str) -> Result<Option<Payment>> {
    let query = format!("SELECT {PAYMENT} FROM payments WHERE charge_key = $1");
    database.query_one(&query, params![key]).await?.map(Payment::read).transpose()
}

/// The order's stock is reserved now: its waiting payment is about to be sent, for what the order costs now. `None` when it
/// is not waiting.
pub(crate) async fn send_waiting(
    transaction: &Transaction,
    order: &PayableOrder,
    check_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET check_at = $1, updated_at = $2, amount = $3, currency = $4 \
         WHERE order_id = $5 AND status = 'pending' AND check_at IS NULL RETURNING {PAYMENT}"
    );
    let values = params![check_at.0, now.0, order.amount.minor(), order.currency.as_str(), order.order_id.0];
    transaction.query_one(&update, values).await?.map(Payment::read).transpose()
}

/// How a payment or a refund ended, or where a payment rests.
pub(crate) struct Ending<'a> {
    pub(crate) status: PaymentStatus,
    /// The provider's own.
    pub(crate) reference: Option<&'a str>,
    pub(crate) reason: Option<&'a str>,
}

/// Settles a payment, as `provider` says when one was asked, and says whether its order is over. `None` when the ending does not follow from where the payment
/// is by now. Whatever the ending, the token has done its work: what is held is captured and let go by the charge's key.
pub(crate) async fn settle(
    transaction: &Transaction,
    id: PaymentId,
    ending: &Ending<'_>,
    provider: Option<String>,
    now: Timestamp,
) -> Result<Option<(Payment, bool)>> {
    let before: Vec<_> = before(ending.status).iter().map(|status| format!("'{status}'")).collect();
    let update = format!(
        "UPDATE payments SET status = $1, reference = COALESCE($2, reference), reason = $3, provider = COALESCE($4, provider), \
         token = NULL, check_at = NULL, updated_at = $5 WHERE id = $6 AND status IN ({}) RETURNING {PAYMENT}, \
         (SELECT closed FROM payable_orders o WHERE o.order_id = payments.order_id)",
        before.join(", ")
    );
    let values = params![ending.status.as_str(), ending.reference, ending.reason, provider, now.0, id.0];
    let Some(mut row) = transaction.query_one(&update, values).await? else { return Ok(None) };
    let payment = Payment::read_from(&mut row)?;
    Ok(Some((payment, row.next::<Option<bool>>()?.unwrap_or(false))))
}

/// Money that is held is about to be captured or let go. `None` when it is not held, or when one of these is under way.
pub(crate) async fn operate(
    transaction: &Transaction,
    id: PaymentId,
    operation: PaymentOperation,
    check_at: Timestamp,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET operation = $1, attempts = 0, reason = NULL, check_at = $2, updated_at = $3 \
         WHERE id = $4 AND status = 'authorized' AND check_at IS NULL RETURNING {PAYMENT}"
    );
    let values = params![operation.as_str(), check_at.0, now.0, id.0];
    transaction.query_one(&update, values).await?.map(Payment::read).transpose()
}

/// A capture was declined, and the money is still held: the payment rests again, and says why. False when it is not
/// being captured (any more).
pub(crate) async fn rest(transaction: &Transaction, id: PaymentId, reason: &str, now: Timestamp) -> Result<bool> {
    let update = "UPDATE payments SET reason = $1, check_at = NULL, updated_at = $2 \
         WHERE id = $3 AND status = 'authorized' AND operation = 'capture' AND check_at IS NOT NULL RETURNING id";
    Ok(transaction.query_one(update, params![reason, now.0, id.0]).await?.is_some())
}

/// Forgets the token of a payment that is not sent any more.
pub(crate) async fn forget_token(transaction: &Transaction, id: PaymentId) -> Result<()> {
    Ok(transaction.execute("UPDATE payments SET token = NULL WHERE id = $1", params![id.0]).await?)
}

/// Has a payment made with another token. `None` when it has been sent, or has ended.
pub(crate) async fn set_token(
    transaction: &Transaction,
    id: PaymentId,
    token: &str,
    now: Timestamp,
) -> Result<Option<Payment>> {
    let update = format!(
        "UPDATE payments SET token = $1, updated_at = $2 \
         WHERE id = $3 AND status = 'pending' AND check_at IS NULL RETURNING {PAYMENT}"
    );
    transaction.query_one(&update, params![token, now.0, id.0]).await?.map(Payment::read).transpose()
}

/// Writes down that the charge of a pending payment is about to be sent once more.
pub(crate) async fn sent_again(transaction: &Transaction, id: PaymentId, now: Timestamp) -> Result<()> {
    let update = "UPDATE payments SET updated_at = $1 WHERE id = $2 AND status = 'pending'";
    Ok(transaction.execute(update, params![now.0, id.0]).await?)
}

/// Counts a look at what is out for a payment and says when to look again, unless it has ended meanwhile.
pub(crate) async fn look_again(database: &Database, payment: &Payment, check_at: Timestamp) -> Result<()> {
    let update = "UPDATE payments SET attempts = attempts + 1, check_at = $1 \
         WHERE id = $2 AND operation = $3 AND check_at IS NOT NULL";
    let values = params![check_at.0, payment.id.0, payment.operation.as_str()];
    database.execute(Durability::Durable, update, values).await?;
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

/// How many payments have each status, as the database has counted them itself: see `0002_counts.sql`.
pub(crate) async fn counts(database: &Database) -> Result<Vec<(String, i64)>> {
    let query = "SELECT status, CAST(SUM(payments) AS BIGINT) FROM payment_counts WHERE status >= '' GROUP BY status";
    let rows = database.query(query, params![]).await?;
    rows.into_iter().map(|mut row| Ok((row.next()?, row.next()?))).collect()
}
