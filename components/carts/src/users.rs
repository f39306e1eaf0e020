//! What accounts say of users: whether one may order, and whose a cart is.
//!
//! It comes by events and is kept, so that no purchase waits for accounts. A user whose event is still on its way may do
//! what all may do.

use model::{Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::Transaction;
use utoipa::ToSchema;
use web::{Result, client};

use crate::{DATABASE, repository::users as repository};

/// Who a user is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CartOwner)]
pub(crate) struct Person {
    /// How the user wants to be called.
    #[schema(example = "ann")]
    pub(crate) name: String,
    /// The user's address.
    #[schema(example = "ann@example.com")]
    pub(crate) email: String,
}

/// What accounts have said of a user.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) id: UserId,
    pub(crate) person: Person,
    pub(crate) role: Role,
    /// `active` or `suspended`.
    pub(crate) status: String,
    pub(crate) said_at: Timestamp,
}

/// Keeps what accounts have said. Older news than what is known, and of users who are gone, changes nothing.
pub(crate) async fn know(transaction: &Transaction, said: &Said) -> Result<()> {
    repository::know(transaction, said).await
}

/// Who a user is; `None` when there is no such user. Accounts are asked for one that they have not told of yet.
pub(crate) async fn find(id: UserId) -> Result<Option<Person>> {
    match repository::find(&DATABASE, id).await? {
        Some(person) => Ok(Some(person)),
        None => client::get("accounts", &format!("/internal/users/{id}")).await,
    }
}
