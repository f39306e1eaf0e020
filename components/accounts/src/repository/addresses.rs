//! Postal addresses, and which of them are the defaults.

use model::{Address, UserId};
use store::{Row, Transaction, params};
use web::Result;

use super::Source;
use crate::addresses::{Defaults, Stored};

const COLUMNS: &str = "a.id, a.name, a.line1, a.line2, a.city, a.region, a.postal_code, a.country, a.phone, \
     a.id = u.shipping_address_id, a.id = u.billing_address_id";

fn stored(mut row: Row) -> Result<Stored> {
    Ok(Stored {
        id: row.next()?,
        address: Address {
            name: row.next()?,
            line1: row.next()?,
            line2: row.next()?,
            city: row.next()?,
            region: row.next()?,
            postal_code: row.next()?,
            country: row.next()?,
            phone: row.next()?,
        },
        defaults: Defaults { shipping: row.next()?, billing: row.next()? },
    })
}

/// All addresses of an account, the oldest first.
pub(crate) async fn list(source: &impl Source, owner: UserId) -> Result<Vec<Stored>> {
    let find = format!(
        "SELECT {COLUMNS} FROM addresses a JOIN users u ON u.id = a.user_id WHERE a.user_id = $1 ORDER BY a.id"
    );
    source.rows(&find, params![owner.0]).await?.into_iter().map(stored).collect()
}

/// One address of an account.
pub(crate) async fn find(source: &impl Source, owner: UserId, id: i64) -> Result<Option<Stored>> {
    let find = format!(
        "SELECT {COLUMNS} FROM addresses a JOIN users u ON u.id = a.user_id WHERE a.id = $1 AND a.user_id = $2"
    );
    source.row(&find, params![id, owner.0]).await?.map(stored).transpose()
}

/// Those that are a default of an account: one or two, or none.
pub(crate) async fn defaults(source: &impl Source, owner: UserId) -> Result<Vec<Stored>> {
    let find = format!(
        "SELECT {COLUMNS} FROM users u JOIN addresses a ON a.id IN (u.shipping_address_id, u.billing_address_id) \
         WHERE u.id = $1"
    );
    source.rows(&find, params![owner.0]).await?.into_iter().map(stored).collect()
}

/// How many an account has.
pub(crate) async fn count(transaction: &Transaction, owner: UserId) -> Result<i64> {
    let row = transaction.query_one("SELECT count(*) FROM addresses WHERE user_id = $1", params![owner.0]).await?;
    row.map_or(Ok(0), |mut row| Ok(row.next()?))
}

/// Adds an address; its id.
pub(crate) async fn insert(transaction: &Transaction, owner: UserId, address: &Address) -> Result<i64> {
    let insert = "INSERT INTO addresses (user_id, name, line1, line2, city, region, postal_code, country, phone) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id";
    let Address { name, line1, line2, city, region, postal_code, country, phone } = address.clone();
    let values = params![owner.0, name, line1, line2, city, region, postal_code, country, phone];
    let row = transaction.query_one(insert, values).await?;
    row.ok_or_else(|| web::Error::Internal("addresses: no row".into()))?.next().map_err(Into::into)
}

/// Replaces an address. False when the account has no such one.
pub(crate) async fn update(transaction: &Transaction, owner: UserId, id: i64, address: &Address) -> Result<bool> {
    let update = "UPDATE addresses SET name = $1, line1 = $2, line2 = $3, city = $4, region = $5, postal_code = $6, \
         country = $7, phone = $8 WHERE id = $9 AND user_id = $10 RETURNING id";
    let Address { name, line1, line2, city, region, postal_code, country, phone } = address.clone();
    let values = params![name, line1, line2, city, region, postal_code, country, phone, id, owner.0];
    Ok(transaction.query_one(update, values).await?.is_some())
}

/// Makes an address the default for what is asked for, and for what has none yet.
pub(crate) async fn set_defaults(transaction: &Transaction, owner: UserId, id: i64, wanted: Defaults) -> Result<()> {
    let update = "UPDATE users SET \
         shipping_address_id = CASE WHEN $1 OR shipping_address_id IS NULL THEN $2 ELSE shipping_address_id END, \
         billing_address_id = CASE WHEN $3 OR billing_address_id IS NULL THEN $2 ELSE billing_address_id END \
         WHERE id = $4";
    Ok(transaction.execute(update, params![wanted.shipping, id, wanted.billing, owner.0]).await?)
}

/// Deletes an address; where it was the default, the newest of the others is now. False when the account has no such
/// one.
pub(crate) async fn delete(transaction: &Transaction, owner: UserId, id: i64) -> Result<bool> {
    let delete = "DELETE FROM addresses WHERE id = $1 AND user_id = $2 RETURNING id";
    if transaction.query_one(delete, params![id, owner.0]).await?.is_none() {
        return Ok(false);
    }
    const NEWEST: &str = "(SELECT max(a.id) FROM addresses a WHERE a.user_id = users.id)";
    let update = format!(
        "UPDATE users SET \
         shipping_address_id = CASE WHEN shipping_address_id = $1 THEN {NEWEST} ELSE shipping_address_id END, \
         billing_address_id = CASE WHEN billing_address_id = $1 THEN {NEWEST} ELSE billing_address_id END \
         WHERE id = $2"
    );
    transaction.execute(&update, params![id, owner.0]).await?;
    Ok(true)
}
