//! What orders know of accounts without asking: kept from what accounts announce.

use model::{
    Timestamp, UserId,
    event::{UserCreated, UserUpdated},
};
use store::Transaction;
use web::{Error, Result};

use crate::{
    DATABASE,
    repository::users::{self, Said},
};

pub(crate) async fn created(transaction: &Transaction, event: &UserCreated, said_at: Timestamp) -> Result<()> {
    let UserCreated { id, name, email, role, account_status: status, charge_at_once, .. } = event;
    let (id, role, charge_at_once) = (*id, role.as_str(), *charge_at_once);
    users::know(transaction, &Said { id, name, email, role, status, charge_at_once, said_at }).await
}

pub(crate) async fn updated(transaction: &Transaction, event: &UserUpdated, said_at: Timestamp) -> Result<()> {
    let UserUpdated { id, name, email, role, account_status: status, charge_at_once, .. } = event;
    let (id, role, charge_at_once) = (*id, role.as_str(), *charge_at_once);
    users::know(transaction, &Said { id, name, email, role, status, charge_at_once, said_at }).await
}

/// Of an account that is gone nothing is known but that: its access tokens are good for a while.
pub(crate) async fn deleted(transaction: &Transaction, id: UserId) -> Result<()> {
    users::forget(transaction, id, Timestamp::now()).await
}

/// 403 for a customer who may not order. Of an account whose news has not come yet nothing is known: it may.
pub(crate) fn must_be_active(status: Option<&str>) -> Result<()> {
    match status {
        None | Some("active") => Ok(()),
        Some("gone") => Err(Error::Forbidden("the account is gone")),
        Some(_) => Err(Error::Forbidden("the account is suspended")),
    }
}

/// A customer, as far as orders need to know.
#[derive(Debug, Default)]
pub(crate) struct Customer {
    pub(crate) name: String,
    /// Whether what they order is charged without being asked.
    pub(crate) charge_at_once: bool,
}

/// The customer of that account.
pub(crate) async fn customer(id: UserId) -> Result<Customer> {
    let known = users::find(&DATABASE, id).await?;
    Ok(known.map(|(name, charge_at_once)| Customer { name, charge_at_once }).unwrap_or_default())
}
