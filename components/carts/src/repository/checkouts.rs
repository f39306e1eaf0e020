//! SQL of checkouts.

use model::{Timestamp, UserId};
use store::{Database, Durability, Row, Transaction, params};
use web::Result;

use super::parsed;
use crate::checkout::{Checkout, Ending, Status};

const CHECKOUT: &str = "key, cart_id, user_id, lines, discount_code, details, status, attempts, answer";

impl Checkout {
    fn read(mut row: Row) -> Result<Self> {
        Ok(Self {
            key: row.next()?,
            cart_id: row.next()?,
            user_id: UserId(row.next()?),
            lines: serde_json::from_str(&row.next::<String>()?)?,
            discount_code: row.next()?,
            details: row.next::<Option<String>>()?.map(|details| serde_json::from_str(&details)).transpose()?,
            status: parsed(&row.next::<String>()?)?,
            attempts: row.next()?,
            answer: row.next()?,
        })
    }
}

pub(crate) async fn insert(
    transaction: &Transaction,
    checkout: &Checkout,
    try_at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let insert = "INSERT INTO checkouts \
         (key, cart_id, user_id, lines, discount_code, details, status, try_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = params![
        checkout.key.as_str(),
        checkout.cart_id,
        checkout.user_id.0,
        serde_json::to_string(&checkout.lines)?,
        checkout.discount_code.as_deref(),
        serde_json::to_string(&checkout.details)?,
        checkout.status.as_str(),
        try_at.0,
        now.0,
        now.0
    ];
    Ok(transaction.execute(insert, values).await?)
}

pub(crate) async fn find(database: &Database, key: &str) -> Result<Option<Checkout>> {
    let query = format!("SELECT {CHECKOUT} FROM checkouts WHERE key = $1");
    database.query_one(&query, params![key]).await?.map(Checkout::read).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, key: &str) -> Result<Option<Checkout>> {
    let query = format!("SELECT {CHECKOUT} FROM checkouts WHERE key = $1");
    transaction.query_one(&query, params![key]).await?.map(Checkout::read).transpose()
}

/// Ends an open checkout and forgets the details; `None` when it has ended before.
pub(crate) async fn end(
    transaction: &Transaction,
    key: &str,
    ending: &Ending,
    now: Timestamp,
) -> Result<Option<Checkout>> {
    let (status, order_id, answer) = match ending {
        Ending::Placed(order_id, answer) => (Status::Placed, Some(order_id.0), Some(answer)),
        Ending::Refused(answer) => (Status::Refused, None, answer.as_ref()),
    };
    let update = format!(
        "UPDATE checkouts SET status = $1, order_id = $2, answer = $3, updated_at = $4, \
         details = NULL, try_at = NULL WHERE key = $5 AND status = 'open' RETURNING {CHECKOUT}"
    );
    let values = params![status.as_str(), order_id, answer.map(String::as_str), now.0, key];
    transaction.query_one(&update, values).await?.map(Checkout::read).transpose()
}

/// Checkouts that nobody has finished in time, each put off until `lease` for everybody else.
pub(crate) async fn claim(database: &Database, now: Timestamp, lease: Timestamp, limit: u32) -> Result<Vec<Checkout>> {
    let any = "SELECT 1 FROM checkouts WHERE try_at <= $1 LIMIT 1";
    if database.query_one(any, params![now.0]).await?.is_none() {
        return Ok(Vec::new());
    }
    let claim = format!(
        "UPDATE checkouts SET try_at = $1, attempts = attempts + 1 WHERE key IN \
         (SELECT key FROM checkouts WHERE try_at <= $2 ORDER BY try_at LIMIT {limit}) RETURNING {CHECKOUT}"
    );
    let rows = database.execute(Durability::Durable, &claim, params![lease.0, now.0]).await?;
    rows.into_iter().map(Checkout::read).collect()
}

/// Says when to try again.
pub(crate) async fn put_off(database: &Database, key: &str, try_at: Timestamp) -> Result<()> {
    let update = "UPDATE checkouts SET try_at = $1 WHERE key = $2 AND status = 'open'";
    database.execute(Durability::Relaxed, update, params![try_at.0, key]).await?;
    Ok(())
}

/// Removes a user's checkouts. One that is open ends first, and is forgotten like any other: there may be an order.
pub(crate) async fn remove_ended_of(transaction: &Transaction, user_id: UserId) -> Result<()> {
    let delete = "DELETE FROM checkouts WHERE user_id = $1 AND status <> 'open'";
    Ok(transaction.execute(delete, params![user_id.0]).await?)
}

/// Removes some of the checkouts that ended before `before`.
pub(crate) async fn prune(database: &Database, before: Timestamp) -> Result<()> {
    let old = "SELECT key FROM checkouts WHERE try_at IS NULL AND updated_at < $1";
    if database.query_one(&format!("{old} LIMIT 1"), params![before.0]).await?.is_some() {
        let delete = format!("DELETE FROM checkouts WHERE key IN ({old} LIMIT 500)");
        database.execute(Durability::Relaxed, &delete, params![before.0]).await?;
    }
    Ok(())
}
