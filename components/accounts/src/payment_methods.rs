//! What people pay with: tokens of the payment provider, one of which is the default.

use http::StatusCode;
use model::{Timestamp, UserId};
use serde::Serialize;
use store::{Durability, Transaction};
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Once, Page, Result};

use crate::{DATABASE, accounts::acting, repository};

const NO_METHOD: Error = Error::not_found("payment method");
/// Of one account.
const MOST: i64 = 20;

/// A payment method as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PaymentMethod {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    /// The provider's name for it, which is of use to nobody but this shop.
    #[schema(example = "tok_visa")]
    pub(crate) token: String,
    #[serde(flatten)]
    pub(crate) details: Details,
    pub(crate) is_default: bool,
    pub(crate) created_at: Timestamp,
}

/// What people recognize it by.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = PaymentMethodDetails)]
pub(crate) struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "my blue card")]
    pub(crate) label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "visa")]
    pub(crate) brand: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "4242")]
    pub(crate) last4: Option<String>,
}

/// All payment methods of the caller, the oldest first.
pub(crate) async fn list(caller: &Caller) -> Result<Page<PaymentMethod>> {
    let owner = acting(&DATABASE, caller).await?.user.id;
    Ok(Page { items: repository::payment_methods::list(&DATABASE, owner).await?, next_cursor: None })
}

/// One payment method of the caller.
pub(crate) async fn find(caller: &Caller, id: i64) -> Result<PaymentMethod> {
    let owner = acting(&DATABASE, caller).await?.user.id;
    of(owner, id).await
}

/// One payment method of an account that is not deleted.
pub(crate) async fn of(owner: UserId, id: i64) -> Result<PaymentMethod> {
    repository::payment_methods::find(&DATABASE, owner, id).await?.ok_or(NO_METHOD)
}

/// Adds a payment method. The first one is the default, whatever is wanted.
pub(crate) async fn add(caller: &Caller, once: Once, token: &str, details: &Details, default: bool) -> Result<Answer> {
    // Only what is kept is compared: whatever else was sent leaves no trace, not even a hash.
    let once = once.comparing(&serde_json::to_string(&(token, details, default))?);
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let owner = acting(transaction, caller).await?.user.id;
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            must_have_room(transaction, owner).await?;
            let id = repository::payment_methods::insert(transaction, owner, token, details, Timestamp::now()).await?;
            repository::payment_methods::set_default(transaction, owner, id, default).await?;
            let stored = repository::payment_methods::find(transaction, owner, id).await?.ok_or(NO_METHOD)?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &stored).await
        })
        .await
}

/// The default payment method of an account that is not deleted.
pub(crate) async fn default(owner: UserId) -> Result<PaymentMethod> {
    repository::payment_methods::default(&DATABASE, owner).await?.ok_or(NO_METHOD)
}

/// Makes a token the default of an account, which gets a payment method by it unless it has one.
pub(crate) async fn prefer(transaction: &Transaction, owner: UserId, token: &str) -> Result<()> {
    let id = match repository::payment_methods::of_token(transaction, owner, token).await? {
        Some(id) => id,
        None => {
            must_have_room(transaction, owner).await?;
            let details = Details { label: None, brand: None, last4: None };
            repository::payment_methods::insert(transaction, owner, token, &details, Timestamp::now()).await?
        }
    };
    repository::payment_methods::set_default(transaction, owner, id, true).await
}

async fn must_have_room(transaction: &Transaction, owner: UserId) -> Result<()> {
    if repository::payment_methods::count(transaction, owner).await? >= MOST {
        let detail = format!("an account has at most {MOST} payment methods");
        return Err(Error::Conflict("too-many-payment-methods", detail));
    }
    Ok(())
}

/// Replaces what a payment method is recognized by. It can become the default by that; the token stays.
pub(crate) async fn replace(caller: &Caller, id: i64, details: &Details, default: bool) -> Result<PaymentMethod> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let owner = acting(transaction, caller).await?.user.id;
            if !repository::payment_methods::update(transaction, owner, id, details).await? {
                return Err(NO_METHOD);
            }
            if default {
                repository::payment_methods::set_default(transaction, owner, id, true).await?;
            }
            repository::payment_methods::find(transaction, owner, id).await?.ok_or(NO_METHOD)
        })
        .await
}

/// Deletes a payment method. If it was the default, the newest of the others is.
pub(crate) async fn delete(caller: &Caller, id: i64) -> Result<()> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let owner = acting(transaction, caller).await?.user.id;
            if repository::payment_methods::delete(transaction, owner, id).await? { Ok(()) } else { Err(NO_METHOD) }
        })
        .await
}
