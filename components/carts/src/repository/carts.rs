//! SQL of carts.

use model::{Timestamp, UserId};
use store::{Database, Durability, Row, Transaction, params};
use web::Result;

use super::{list, no_row};
use crate::cart::{Cart, Owner};

const CART: &str = "carts.id, lines, discount_code, version, checkout_key, created_at, updated_at";

impl Cart {
    fn read(mut row: Row, owner: &Owner) -> Result<Self> {
        let suspended = row.next()?;
        let Some(id) = row.next()? else { return Ok(Self { suspended, ..Cart::new(owner.clone()) }) };
        Ok(Self {
            suspended,
            id,
            owner: owner.clone(),
            lines: serde_json::from_str(&row.next::<String>()?)?,
            discount_code: row.next()?,
            version: row.next()?,
            checkout_key: row.next()?,
            created_at: Timestamp(row.next()?),
            updated_at: Timestamp(row.next()?),
        })
    }
}

/// What is known of an owner and of the owner's cart: one row for a user, whether or not there is a cart.
fn owned(owner: &Owner) -> (String, Vec<store::Value>) {
    match owner {
        Owner::User(user_id) => (
            format!(
                "SELECT COALESCE(users.status = 'suspended', FALSE), {CART} FROM (SELECT CAST($1 AS BIGINT) AS id) AS asked \
                 LEFT JOIN users ON users.id = asked.id LEFT JOIN carts ON carts.user_id = asked.id"
            ),
            params![user_id.0],
        ),
        Owner::Holder(token_hash) => {
            (format!("SELECT FALSE, {CART} FROM carts WHERE token_hash = $1"), params![token_hash.as_str()])
        }
    }
}

/// An owner's cart. A user always has one, though it may be empty and not be stored.
pub(crate) async fn find(database: &Database, owner: &Owner) -> Result<Option<Cart>> {
    let (query, value) = owned(owner);
    database.query_one(&query, value).await?.map(|row| Cart::read(row, owner)).transpose()
}

/// The same in a transaction.
pub(crate) async fn find_in(transaction: &Transaction, owner: &Owner) -> Result<Option<Cart>> {
    let (query, value) = owned(owner);
    transaction.query_one(&query, value).await?.map(|row| Cart::read(row, owner)).transpose()
}

/// Stores a cart as its next version.
pub(crate) async fn save(transaction: &Transaction, cart: &mut Cart, now: Timestamp) -> Result<()> {
    let lines = serde_json::to_string(&cart.lines)?;
    let code = cart.discount_code.as_deref();
    let row = if cart.id == 0 {
        cart.created_at = now;
        let (user_id, token_hash) = match &cart.owner {
            Owner::User(user_id) => (Some(user_id.0), None),
            Owner::Holder(token_hash) => (None, Some(token_hash.as_str())),
        };
        let insert = "INSERT INTO carts (user_id, token_hash, lines, discount_code, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, 1, $5, $6) RETURNING id, version";
        transaction.query_one(insert, params![user_id, token_hash, lines, code, now.0, now.0]).await?
    } else {
        let update = "UPDATE carts SET lines = $1, discount_code = $2, version = version + 1, updated_at = $3 \
             WHERE id = $4 AND version = $5 AND checkout_key IS NULL RETURNING id, version";
        transaction.query_one(update, params![lines, code, now.0, cart.id, cart.version]).await?
    };
    let mut row = row.ok_or_else(no_row)?;
    (cart.id, cart.version, cart.updated_at) = (row.next()?, row.next()?, now);
    Ok(())
}

/// Marks a cart as on its way to become an order.
pub(crate) async fn lock(transaction: &Transaction, cart: &Cart, checkout_key: &str) -> Result<()> {
    let update =
        "UPDATE carts SET checkout_key = $1 WHERE id = $2 AND version = $3 AND checkout_key IS NULL RETURNING id";
    let row = transaction.query_one(update, params![checkout_key, cart.id, cart.version]).await?;
    row.map(drop).ok_or_else(no_row)
}

/// Gives a cart back to its owner; false when it has gone with its owner.
pub(crate) async fn unlock(transaction: &Transaction, id: i64, checkout_key: &str) -> Result<bool> {
    let update = "UPDATE carts SET checkout_key = NULL WHERE id = $1 AND checkout_key = $2 RETURNING id";
    Ok(transaction.query_one(update, params![id, checkout_key]).await?.is_some())
}

/// Removes a cart that has become an order; false when it has gone with its owner.
pub(crate) async fn close(transaction: &Transaction, id: i64, checkout_key: &str) -> Result<bool> {
    let delete = "DELETE FROM carts WHERE id = $1 AND checkout_key = $2 RETURNING id";
    Ok(transaction.query_one(delete, params![id, checkout_key]).await?.is_some())
}

/// Removes a cart that has gone into another one.
pub(crate) async fn remove(transaction: &Transaction, id: i64) -> Result<()> {
    Ok(transaction.execute("DELETE FROM carts WHERE id = $1", params![id]).await?)
}

/// Writes down whose cart an anonymous one has gone into.
pub(crate) async fn note_merged(
    transaction: &Transaction,
    token_hash: &str,
    user_id: UserId,
    now: Timestamp,
) -> Result<()> {
    let insert = "INSERT INTO merged_carts (token_hash, user_id, merged_at) VALUES ($1, $2, $3)";
    Ok(transaction.execute(insert, params![token_hash, user_id.0, now.0]).await?)
}

/// Whether an anonymous cart has gone into this user's not long ago.
pub(crate) async fn was_merged(transaction: &Transaction, token_hash: &str, user_id: UserId) -> Result<bool> {
    let query = "SELECT 1 FROM merged_carts WHERE token_hash = $1 AND user_id = $2";
    Ok(transaction.query_one(query, params![token_hash, user_id.0]).await?.is_some())
}

/// Forgets some of the carts that were merged before `before`.
pub(crate) async fn prune_merged(database: &Database, before: Timestamp) -> Result<()> {
    Ok(database.prune("merged_carts", "token_hash", "merged_at < $1", params![before.0]).await?)
}

/// Removes the carts of users.
pub(crate) async fn remove_of(transaction: &Transaction, user_ids: &[UserId]) -> Result<()> {
    let (list, values) = list(user_ids);
    Ok(transaction.execute(&format!("DELETE FROM carts WHERE user_id IN ({list})"), values).await?)
}

const ANY_ABANDONED: &str = "SELECT 1 FROM carts WHERE token_hash IS NOT NULL AND updated_at < $1 LIMIT 1";
const REMOVE_ABANDONED: &str = "DELETE FROM carts WHERE id IN \
     (SELECT id FROM carts WHERE token_hash IS NOT NULL AND updated_at < $1 LIMIT 500)";

/// Removes some of the carts without an account that nobody has changed since `before`.
pub(crate) async fn prune(database: &Database, before: Timestamp) -> Result<()> {
    if database.query_one(ANY_ABANDONED, params![before.0]).await?.is_some() {
        database.execute(Durability::Relaxed, REMOVE_ABANDONED, params![before.0]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::plans;

    #[test]
    fn a_cart_and_its_owner_are_looked_up_by_one_key_each() {
        for (owner, searches) in [(Owner::User(UserId(1)), 2), (Owner::Holder("f".into()), 1)] {
            let steps = plans::steps(&owned(&owner).0);
            assert_eq!(steps.iter().filter(|step| step.starts_with("SEARCH ")).count(), searches, "{steps:?}");
            let tables = ["SCAN carts", "SCAN users", "AUTOMATIC"];
            assert!(!steps.iter().any(|step| tables.iter().any(|scan| step.contains(scan))), "{steps:?}");
        }
    }

    #[test]
    fn carts_that_nobody_uses_are_found_along_an_index() {
        for sql in [ANY_ABANDONED, REMOVE_ABANDONED] {
            let steps = plans::steps(sql);
            let found = |step: &String| {
                step.starts_with("SEARCH carts USING ") && step.ends_with(" carts_anonymous (updated_at<?)")
            };
            assert!(steps.iter().any(found), "{sql}: {steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{sql}: {steps:?}");
        }
    }
}
