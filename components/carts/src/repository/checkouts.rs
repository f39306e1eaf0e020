//! SQL of checkouts.

use model::{Timestamp, UserId};
use store::{Database, Durability, Row, Transaction, params};
use web::Result;

use super::{list, parsed};
use crate::{
    cart::Lines,
    checkout::{Checkout, Ended, Ending, Owed, Status},
};

const CHECKOUT: &str = "key, cart_id, user_id, lines, discount_code, details, status, attempts, answer";

impl Checkout {
    fn read(row: &mut Row) -> Result<Self> {
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

fn checkout(mut row: Row) -> Result<Checkout> {
    Checkout::read(&mut row)
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
    database.query_one(&query, params![key]).await?.map(checkout).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, key: &str) -> Result<Option<Checkout>> {
    let query = format!("SELECT {CHECKOUT} FROM checkouts WHERE key = $1");
    transaction.query_one(&query, params![key]).await?.map(checkout).transpose()
}

/// Ends an open checkout and forgets the details; a part that is refused is owed to its user. `None` when it has ended
/// before.
pub(crate) async fn end(
    transaction: &Transaction,
    key: &str,
    ending: &Ending,
    now: Timestamp,
) -> Result<Option<Ended>> {
    let (status, order_id, answer) = match ending {
        Ending::Placed(order_id, answer) => (Status::Placed, Some(order_id.0), Some(answer)),
        Ending::Refused(answer) => (Status::Refused, None, answer.as_ref()),
    };
    // An order may fail before its checkout has heard of it.
    let update = format!(
        "UPDATE checkouts SET status = CASE WHEN owed IS NULL THEN $1 ELSE 'failed' END, order_id = $2, answer = $3, \
         owed = CASE WHEN $1 = 'refused' AND cart_id IS NULL THEN lines ELSE owed END, \
         updated_at = $4, details = NULL, try_at = NULL WHERE key = $5 AND status = 'open' RETURNING {CHECKOUT}, \
         EXISTS (SELECT 1 FROM users WHERE users.id = checkouts.user_id AND users.status = 'gone'), \
         EXISTS (SELECT 1 FROM checkouts AS any_of WHERE any_of.user_id = checkouts.user_id AND any_of.owed IS NOT NULL)"
    );
    let values = params![status.as_str(), order_id, answer.map(String::as_str), now.0, key];
    let ended = transaction.query_one(&update, values).await?;
    let read = |mut row: Row| {
        let (checkout, gone, owed) = (Checkout::read(&mut row)?, row.next()?, row.next()?);
        // What this statement itself writes is not seen by what it returns on every engine.
        let returned = checkout.status == Status::Refused && checkout.cart_id.is_none();
        Ok(Ended { checkout, owed: owed || returned, gone })
    };
    ended.map(read).transpose()
}

/// The order of a checkout has failed: what was ordered is owed to the customer. The checkout as it is then: still open
/// when nobody has heard of its order yet. `None` when there is none, or when it has failed before.
pub(crate) async fn fail(transaction: &Transaction, key: &str, now: Timestamp) -> Result<Option<Checkout>> {
    let update = format!(
        "UPDATE checkouts SET status = CASE WHEN status = 'placed' THEN 'failed' ELSE status END, owed = lines, \
         updated_at = $1 WHERE key = $2 AND status IN ('open', 'placed') AND owed IS NULL RETURNING {CHECKOUT}"
    );
    transaction.query_one(&update, params![now.0, key]).await?.map(checkout).transpose()
}

/// What a user is owed by checkouts that have ended, the oldest first.
pub(crate) async fn owed_to(transaction: &Transaction, user_id: UserId) -> Result<Vec<Owed>> {
    let query = "SELECT key, owed, discount_code FROM checkouts \
         WHERE user_id = $1 AND owed IS NOT NULL AND status <> 'open' ORDER BY created_at LIMIT 100";
    let read = |mut row: Row| {
        let (key, lines): (String, String) = (row.next()?, row.next()?);
        Ok(Owed { key, lines: serde_json::from_str(&lines)?, discount_code: row.next()? })
    };
    transaction.query(query, params![user_id.0]).await?.into_iter().map(read).collect()
}

/// Writes down what is still owed of a checkout that has ended, and the code that is still to come with it.
pub(crate) async fn owe(transaction: &Transaction, key: &str, lines: &Lines, code: Option<&str>) -> Result<()> {
    let lines = if lines.is_empty() { None } else { Some(serde_json::to_string(lines)?) };
    let update = "UPDATE checkouts SET owed = $1, discount_code = $2 WHERE key = $3";
    Ok(transaction.execute(update, params![lines, code, key]).await?)
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
    rows.into_iter().map(checkout).collect()
}

/// Says when to try again.
pub(crate) async fn put_off(database: &Database, key: &str, try_at: Timestamp) -> Result<()> {
    let update = "UPDATE checkouts SET try_at = $1 WHERE key = $2 AND status = 'open'";
    database.execute(Durability::Relaxed, update, params![try_at.0, key]).await?;
    Ok(())
}

/// Removes the checkouts of users. One that is open ends first, because there may be an order, and is removed then.
pub(crate) async fn remove_ended_of(transaction: &Transaction, user_ids: &[UserId]) -> Result<()> {
    let (list, values) = list(user_ids);
    let delete = format!("DELETE FROM checkouts WHERE user_id IN ({list}) AND status <> 'open'");
    Ok(transaction.execute(&delete, values).await?)
}

/// Removes a checkout.
pub(crate) async fn remove(transaction: &Transaction, key: &str) -> Result<()> {
    Ok(transaction.execute("DELETE FROM checkouts WHERE key = $1", params![key]).await?)
}

/// Removes some of the checkouts that ended before `before`, unless something of them is still owed.
pub(crate) async fn prune(database: &Database, before: Timestamp) -> Result<()> {
    let old = "try_at IS NULL AND owed IS NULL AND updated_at < $1";
    Ok(database.prune("checkouts", "key", old, params![before.0]).await?)
}
