//! The addresses of an account. Two of them, or one twice, are the defaults for deliveries and for bills.

use http::StatusCode;
use model::{Address, UserId};
use serde::Serialize;
use store::Durability;
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Once, Page, Result};

use crate::{DATABASE, account::User, accounts::acting, repository};

const NO_ADDRESS: Error = Error::not_found("address");
/// Of one account.
const MOST: i64 = 20;

/// An address as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredAddress)]
pub(crate) struct Stored {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    #[serde(flatten)]
    pub(crate) address: Address,
    #[serde(flatten)]
    pub(crate) defaults: Defaults,
}

/// For what an address is the default.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = AddressDefaults)]
pub(crate) struct Defaults {
    #[serde(rename = "defaultShipping")]
    pub(crate) shipping: bool,
    #[serde(rename = "defaultBilling")]
    pub(crate) billing: bool,
}

/// All addresses of the caller, the oldest first.
pub(crate) async fn list(caller: &Caller) -> Result<Page<Stored>> {
    let owner = acting(&DATABASE, caller).await?.user.id;
    Ok(Page { items: repository::addresses::list(&DATABASE, owner).await?, next_cursor: None })
}

/// One address of the caller.
pub(crate) async fn find(caller: &Caller, id: i64) -> Result<Stored> {
    let owner = acting(&DATABASE, caller).await?.user.id;
    repository::addresses::find(&DATABASE, owner, id).await?.ok_or(NO_ADDRESS)
}

/// One address of an account that is not deleted, for other services.
pub(crate) async fn of(owner: UserId, id: i64) -> Result<Address> {
    repository::addresses::find(&DATABASE, owner, id).await?.map(|stored| stored.address).ok_or(NO_ADDRESS)
}

/// Adds an address. The first one is the default for both, whatever is wanted.
pub(crate) async fn add(caller: &Caller, once: Once, address: Address, wanted: Defaults) -> Result<Answer> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let user = acting(transaction, caller).await?.user;
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            if repository::addresses::count(transaction, user.id).await? >= MOST {
                return Err(Error::Conflict("too-many-addresses", format!("an account has at most {MOST} addresses")));
            }
            let address = named(address, &user);
            let id = repository::addresses::insert(transaction, user.id, &address).await?;
            repository::addresses::set_defaults(transaction, user.id, id, wanted).await?;
            let stored = repository::addresses::find(transaction, user.id, id).await?.ok_or(NO_ADDRESS)?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &stored).await
        })
        .await
}

/// Replaces an address. It can become a default by that; it ceases to be one when another becomes it.
pub(crate) async fn replace(caller: &Caller, id: i64, address: Address, wanted: Defaults) -> Result<Stored> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let user = acting(transaction, caller).await?.user;
            let address = named(address, &user);
            if !repository::addresses::update(transaction, user.id, id, &address).await? {
                return Err(NO_ADDRESS);
            }
            if wanted.shipping || wanted.billing {
                repository::addresses::set_defaults(transaction, user.id, id, wanted).await?;
            }
            repository::addresses::find(transaction, user.id, id).await?.ok_or(NO_ADDRESS)
        })
        .await
}

/// Deletes an address. Where it was the default, the newest of the others is.
pub(crate) async fn delete(caller: &Caller, id: i64) -> Result<()> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let owner = acting(transaction, caller).await?.user.id;
            if repository::addresses::delete(transaction, owner, id).await? { Ok(()) } else { Err(NO_ADDRESS) }
        })
        .await
}

/// An address without a name is the owner's own.
fn named(address: Address, user: &User) -> Address {
    if address.name.is_empty() { Address { name: user.profile.full_name(), ..address } } else { address }
}
