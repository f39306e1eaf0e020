//! SQL of discount codes and their uses.

use model::{Money, OrderId, Timestamp, UserId};
use store::{Database, Durability, Row, Transaction, params};
use web::{Error, Result};

use super::{no_row, parsed};
use crate::discount::{Code, Discount, Terms};

const DISCOUNT: &str = "id, code, kind, value, minimum, currency, starts_at, ends_at, max_uses, \
     max_uses_per_customer, active, uses, created_at, updated_at";

impl Discount {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            id: row.next()?,
            terms: Terms {
                code: Code::parse(&row.next::<String>()?)
                    .ok_or_else(|| Error::Internal("discounts: no code".into()))?,
                kind: parsed(&row.next::<String>()?)?,
                value: Money::from_minor(row.next()?),
                minimum: row.next::<Option<i64>>()?.map(Money::from_minor),
            },
            currency: parsed(&row.next::<String>()?)?,
            starts_at: row.next::<Option<i64>>()?.map(Timestamp),
            ends_at: row.next::<Option<i64>>()?.map(Timestamp),
            max_uses: row.next()?,
            max_uses_per_customer: row.next()?,
            active: row.next()?,
            uses: row.next()?,
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
        })
    }
}

/// Adds a discount. [`store::Error::NotUnique`] when there is one with its code.
pub(crate) async fn insert(transaction: &Transaction, discount: &Discount) -> store::Result<()> {
    let insert = "INSERT INTO discounts (code, kind, value, minimum, currency, starts_at, ends_at, max_uses, \
         max_uses_per_customer, active, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    let values = params![
        discount.terms.code.as_str(),
        discount.terms.kind.as_str(),
        discount.terms.value.minor(),
        discount.terms.minimum.map(Money::minor),
        discount.currency.as_str(),
        discount.starts_at.map(|at| at.0),
        discount.ends_at.map(|at| at.0),
        discount.max_uses,
        discount.max_uses_per_customer,
        discount.active,
        discount.created_at.0,
        discount.updated_at.0
    ];
    transaction.execute(insert, values).await
}

pub(crate) async fn find(database: &Database, code: &Code) -> Result<Option<Discount>> {
    let query = format!("SELECT {DISCOUNT} FROM discounts WHERE code = $1");
    database.query_one(&query, params![code.as_str()]).await?.map(Discount::read).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, code: &Code) -> Result<Option<Discount>> {
    let query = format!("SELECT {DISCOUNT} FROM discounts WHERE code = $1");
    transaction.query_one(&query, params![code.as_str()]).await?.map(Discount::read).transpose()
}

/// Discounts, newest first, before the one with this id.
pub(crate) async fn list(database: &Database, before: i64, limit: u32) -> Result<Vec<Discount>> {
    let query = format!("SELECT {DISCOUNT} FROM discounts WHERE id < $1 ORDER BY id DESC LIMIT $2");
    database.query(&query, params![before, limit]).await?.into_iter().map(Discount::read).collect()
}

/// Stores what may have changed.
pub(crate) async fn update(transaction: &Transaction, discount: &Discount) -> Result<()> {
    let update = "UPDATE discounts SET kind = $1, value = $2, minimum = $3, starts_at = $4, ends_at = $5, \
         max_uses = $6, max_uses_per_customer = $7, active = $8, updated_at = $9 WHERE id = $10";
    let values = params![
        discount.terms.kind.as_str(),
        discount.terms.value.minor(),
        discount.terms.minimum.map(Money::minor),
        discount.starts_at.map(|at| at.0),
        discount.ends_at.map(|at| at.0),
        discount.max_uses,
        discount.max_uses_per_customer,
        discount.active,
        discount.updated_at.0,
        discount.id
    ];
    Ok(transaction.execute(update, values).await?)
}

/// True when there was one.
pub(crate) async fn delete(transaction: &Transaction, code: &Code) -> Result<bool> {
    let delete = "DELETE FROM discounts WHERE code = $1 RETURNING id";
    Ok(transaction.query_one(delete, params![code.as_str()]).await?.is_some())
}

/// A use of a code.
#[derive(Debug)]
pub(crate) struct Redemption {
    pub(crate) user_id: UserId,
    /// As JSON.
    pub(crate) terms: String,
    pub(crate) released: bool,
}

const REDEMPTION: &str = "user_id, terms, status = 'released'";

impl Redemption {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self { user_id: UserId(row.next()?), terms: row.next()?, released: row.next()? })
    }
}

pub(crate) async fn redemption_in(transaction: &Transaction, key: &str) -> Result<Option<Redemption>> {
    let query = format!("SELECT {REDEMPTION} FROM redemptions WHERE key = $1");
    transaction.query_one(&query, params![key]).await?.map(Redemption::read).transpose()
}

/// How often a customer has used a discount, or is using it; counts no further than `limit`.
pub(crate) async fn uses_by(transaction: &Transaction, id: i64, user_id: UserId, limit: u32) -> Result<u32> {
    let query = "SELECT count(*) FROM (SELECT 1 FROM redemptions \
         WHERE discount_id = $1 AND user_id = $2 AND status <> 'released' LIMIT $3) AS uses";
    Ok(transaction.query_one(query, params![id, user_id.0, limit]).await?.ok_or_else(no_row)?.next()?)
}

/// Counts a use that is held until the order is placed; false when there is none left.
pub(crate) async fn hold(
    transaction: &Transaction,
    discount: &Discount,
    key: &str,
    user_id: UserId,
    check_at: Timestamp,
    now: Timestamp,
) -> Result<bool> {
    let count =
        "UPDATE discounts SET uses = uses + 1 WHERE id = $1 AND (max_uses IS NULL OR uses < max_uses) RETURNING id";
    if transaction.query_one(count, params![discount.id]).await?.is_none() {
        return Ok(false);
    }
    let insert = "INSERT INTO redemptions (key, discount_id, user_id, terms, status, check_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'held', $5, $6, $7)";
    let terms = serde_json::to_string(&discount.terms)?;
    transaction.execute(insert, params![key, discount.id, user_id.0, terms, check_at.0, now.0, now.0]).await?;
    Ok(true)
}

/// The order exists: the use counts, unless it was given back before. `check_at`: when to ask what came of the order.
pub(crate) async fn confirm(
    transaction: &Transaction,
    key: &str,
    order_id: OrderId,
    check_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let update = "UPDATE redemptions SET status = 'used', order_id = $1, check_at = $2, updated_at = $3 \
         WHERE key = $4 AND status <> 'released'";
    Ok(transaction.execute(update, params![order_id.0, check_at.map(|at| at.0), now.0, key]).await?)
}

/// The use is given back, unless it was before.
pub(crate) async fn release(transaction: &Transaction, key: &str, now: Timestamp) -> Result<()> {
    let update = "UPDATE redemptions SET status = 'released', check_at = NULL, updated_at = $1 \
         WHERE key = $2 AND status <> 'released' RETURNING discount_id";
    if let Some(mut row) = transaction.query_one(update, params![now.0, key]).await? {
        let count = "UPDATE discounts SET uses = uses - 1 WHERE id = $1";
        transaction.execute(count, params![row.next::<i64>()?]).await?;
    }
    Ok(())
}

const ANY_DUE: &str = "SELECT 1 FROM redemptions WHERE check_at <= $1 LIMIT 1";

/// The held and the confirmed have a limit each: confirmed ones, of which every order with a code leaves one, must not
/// keep a code exhausted that no order uses.
fn claim_statement(limit: u32) -> String {
    let due = |status| {
        format!(
            "SELECT key FROM (SELECT key FROM redemptions WHERE status = '{status}' AND check_at <= $2 \
             ORDER BY check_at LIMIT {limit}) AS {status}"
        )
    };
    let (held, used) = (due("held"), due("used"));
    format!("UPDATE redemptions SET check_at = $1 WHERE key IN ({held} UNION ALL {used}) RETURNING key")
}

/// Keys of uses that nobody has confirmed in time, and of confirmed ones whose order must be decided by now: up to
/// `limit` of either, each put off until `lease` for everybody else.
pub(crate) async fn claim(database: &Database, now: Timestamp, lease: Timestamp, limit: u32) -> Result<Vec<String>> {
    if database.query_one(ANY_DUE, params![now.0]).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows = database.execute(Durability::Relaxed, &claim_statement(limit), params![lease.0, now.0]).await?;
    rows.into_iter().map(|mut row| Ok(row.next()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::plans;

    #[test]
    fn uses_to_ask_about_are_found_along_an_index_and_need_no_sorting() {
        for sql in [ANY_DUE, &claim_statement(10)] {
            let read = plans::steps(sql);
            let searches = read.iter().filter(|step| step.starts_with("SEARCH redemptions USING ")).count();
            let due = read.iter().filter(|step| step.ends_with("(check_at<?)")).count();
            let expected = if sql == ANY_DUE { (1, 1) } else { (3, 2) };
            assert_eq!((searches, due), expected, "{sql}: {read:?}");
            let held = read.iter().any(|step| step.contains("redemptions_held"));
            assert_eq!(held, sql != ANY_DUE, "confirmed ones are not passed over: {read:?}");
            assert!(!read.iter().any(|step| step.contains("SCAN redemptions") || step.contains("B-TREE")), "{read:?}");
        }
    }
}
