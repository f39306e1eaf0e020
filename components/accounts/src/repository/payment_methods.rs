//! What people pay with, and which of it is the default.

use model::{Timestamp, UserId};
use store::{Row, Transaction, params};
use web::Result;

use super::Source;
use crate::payment_methods::{Details, PaymentMethod};

const COLUMNS: &str = "m.id, m.token, m.label, m.brand, m.last4, m.created_at, m.id = u.payment_method_id";

fn stored(mut row: Row) -> Result<PaymentMethod> {
    Ok(PaymentMethod {
        id: row.next()?,
        token: row.next()?,
        details: Details { label: row.next()?, brand: row.next()?, last4: row.next()? },
        created_at: Timestamp(row.next()?),
        is_default: row.next()?,
    })
}

/// All payment methods of an account, the oldest first.
pub(crate) async fn list(source: &impl Source, owner: UserId) -> Result<Vec<PaymentMethod>> {
    let find = format!(
        "SELECT {COLUMNS} FROM payment_methods m JOIN users u ON u.id = m.user_id WHERE m.user_id = $1 ORDER BY m.id"
    );
    source.rows(&find, params![owner.0]).await?.into_iter().map(stored).collect()
}

/// One payment method of an account.
pub(crate) async fn find(source: &impl Source, owner: UserId, id: i64) -> Result<Option<PaymentMethod>> {
    let find = format!(
        "SELECT {COLUMNS} FROM payment_methods m JOIN users u ON u.id = m.user_id WHERE m.id = $1 AND m.user_id = $2"
    );
    source.row(&find, params![id, owner.0]).await?.map(stored).transpose()
}

/// The default one of an account.
pub(crate) async fn default(source: &impl Source, owner: UserId) -> Result<Option<PaymentMethod>> {
    let find =
        format!("SELECT {COLUMNS} FROM users u JOIN payment_methods m ON m.id = u.payment_method_id WHERE u.id = $1");
    source.row(&find, params![owner.0]).await?.map(stored).transpose()
}

/// The one of an account with that token, the oldest of several.
pub(crate) async fn of_token(source: &impl Source, owner: UserId, token: &str) -> Result<Option<i64>> {
    let find = "SELECT id FROM payment_methods WHERE user_id = $1 AND token = $2 ORDER BY id LIMIT 1";
    source.row(find, params![owner.0, token]).await?.map(|mut row| Ok(row.next()?)).transpose()
}

/// How many an account has.
pub(crate) async fn count(transaction: &Transaction, owner: UserId) -> Result<i64> {
    let count = "SELECT count(*) FROM payment_methods WHERE user_id = $1";
    transaction.query_one(count, params![owner.0]).await?.map_or(Ok(0), |mut row| Ok(row.next()?))
}

/// Adds a payment method; its id.
pub(crate) async fn insert(
    transaction: &Transaction,
    owner: UserId,
    token: &str,
    details: &Details,
    now: Timestamp,
) -> Result<i64> {
    let insert = "INSERT INTO payment_methods (user_id, token, label, brand, last4, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    let Details { label, brand, last4 } = details.clone();
    let row = transaction.query_one(insert, params![owner.0, token, label, brand, last4, now.0]).await?;
    row.ok_or_else(|| web::Error::Internal("payment_methods: no row".into()))?.next().map_err(Into::into)
}

/// Replaces what people recognize it by. False when the account has no such one.
pub(crate) async fn update(transaction: &Transaction, owner: UserId, id: i64, details: &Details) -> Result<bool> {
    let update = "UPDATE payment_methods SET label = $1, brand = $2, last4 = $3 \
         WHERE id = $4 AND user_id = $5 RETURNING id";
    let Details { label, brand, last4 } = details.clone();
    Ok(transaction.query_one(update, params![label, brand, last4, id, owner.0]).await?.is_some())
}

/// Makes it the default if that is asked for, or there is none yet.
pub(crate) async fn set_default(transaction: &Transaction, owner: UserId, id: i64, wanted: bool) -> Result<()> {
    let update = "UPDATE users SET payment_method_id = \
         CASE WHEN $1 OR payment_method_id IS NULL THEN $2 ELSE payment_method_id END WHERE id = $3";
    Ok(transaction.execute(update, params![wanted, id, owner.0]).await?)
}

/// Deletes a payment method; if it was the default, the newest of the others is now. False when the account has no such
/// one.
pub(crate) async fn delete(transaction: &Transaction, owner: UserId, id: i64) -> Result<bool> {
    let delete = "DELETE FROM payment_methods WHERE id = $1 AND user_id = $2 RETURNING id";
    if transaction.query_one(delete, params![id, owner.0]).await?.is_none() {
        return Ok(false);
    }
    let update = "UPDATE users SET payment_method_id = \
         (SELECT max(m.id) FROM payment_methods m WHERE m.user_id = users.id) WHERE id = $1 AND payment_method_id = $2";
    transaction.execute(update, params![owner.0, id]).await?;
    Ok(true)
}
