//! SQL of what orders know of accounts.

use model::UserId;
use store::{Database, Transaction, params};
use web::Result;

/// An account, as it says itself what it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User<'a> {
    pub(crate) id: UserId,
    pub(crate) name: &'a str,
    pub(crate) email: &'a str,
    pub(crate) role: &'a str,
    pub(crate) status: &'a str,
    /// Whether what it orders is charged without being asked.
    pub(crate) charge_at_once: bool,
}

/// Writes down what an account is now.
pub(crate) async fn put(transaction: &Transaction, user: &User<'_>) -> Result<()> {
    let put = "INSERT INTO users (id, name, email, role, status, charge_at_once) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, role = excluded.role, \
         status = excluded.status, charge_at_once = excluded.charge_at_once";
    let values = params![user.id.0, user.name, user.email, user.role, user.status, user.charge_at_once];
    Ok(transaction.execute(put, values).await?)
}

/// What a customer is called, and whether what they order is charged without being asked. `None` for an account whose
/// news has not come yet.
pub(crate) async fn find(database: &Database, id: UserId) -> Result<Option<(String, bool)>> {
    let query = "SELECT name, charge_at_once FROM users WHERE id = $1";
    let row = database.query_one(query, params![id.0]).await?;
    row.map(|mut row| Ok((row.next()?, row.next()?))).transpose()
}
