//! What admins do with the accounts of others, and what others may know of an account.

use model::{Role, Timestamp, UserId};
use serde::Serialize;
use serde_json::json;
use store::Durability;
use utoipa::ToSchema;
use web::{Caller, Error, Page, PageQuery, Result, Slice, audit};

use crate::{
    DATABASE,
    account::{Locale, Status, User},
    accounts::{acting_admin, announce, me},
    changes::{give_role, own_role},
    repository::{
        self,
        list::{self, Filter, Place},
    },
};

pub(crate) const NO_USER: Error = Error::not_found("user");

/// What an account is called in the audit log.
pub(crate) fn subject(id: UserId) -> String {
    format!("user/{id}")
}

/// A page of accounts: the newest first, or by address when one is searched for. Only admins may.
pub(crate) async fn list(caller: &Caller, page: &PageQuery, filter: &Filter) -> Result<Page<User>> {
    acting_admin(&DATABASE, caller).await?;
    let (users, looked_until) = list::list(filter, page.after()?, page.limit() + 1).await?;
    Page::looked(users, page.limit(), looked_until, Place::of)
}

/// A part of the accounts, the newest first. Only admins may.
pub(crate) async fn slice(caller: &Caller, slice: Slice) -> Result<Vec<User>> {
    acting_admin(&DATABASE, caller).await?;
    list::slice(slice.limit(), slice.offset()).await
}

/// What people who are signed in may know of one another.
#[derive(Serialize, ToSchema)]
#[schema(as = PublicAccount)]
pub(crate) struct Public {
    pub(crate) id: UserId,
    /// How the account wants to be called.
    #[schema(example = "ann")]
    pub(crate) name: String,
}

/// What somebody sees of an account.
pub(crate) enum Seen {
    /// All of it: its owner and admins.
    Whole(Box<User>),
    Public(Public),
}

/// An account, for anybody who is signed in.
pub(crate) async fn look(caller: &Caller, id: UserId) -> Result<Seen> {
    if caller.may_see(id) {
        return find(caller, id).await.map(|user| Seen::Whole(Box::new(user)));
    }
    let user = repository::users::by_id(&DATABASE, id).await?.ok_or(NO_USER)?.user;
    Ok(Seen::Public(Public { id, name: user.profile.username }))
}

/// An account, for its owner and for admins.
pub(crate) async fn find(caller: &Caller, id: UserId) -> Result<User> {
    if caller.user_id == id {
        return me(caller).await;
    }
    if !caller.role.administers() {
        return Err(NO_USER);
    }
    acting_admin(&DATABASE, caller).await?;
    repository::users::by_id(&DATABASE, id).await?.map(|account| account.user).ok_or(NO_USER)
}

/// What a program of the shop needs to know of an account that it was told of.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AccountVerification)]
pub(crate) struct Verified {
    id: UserId,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(example = "ann")]
    username: String,
    role: Role,
    status: Status,
    /// Whether it may act: it exists, and is not suspended.
    valid: bool,
    /// The same, by the name that some clients know.
    verified: bool,
}

/// Whether an account is one that may act. For its owner, programs of the shop, and admins.
pub(crate) async fn verify(caller: &Caller, id: UserId) -> Result<Verified> {
    if !caller.may_see(id) && caller.role != Role::Service {
        return Err(NO_USER);
    }
    let user = repository::users::by_id(&DATABASE, id).await?.ok_or(NO_USER)?.user;
    let valid = user.status == Status::Active;
    let username = user.profile.username;
    Ok(Verified { id, email: user.email, username, role: user.role, status: user.status, valid, verified: valid })
}

/// How to write to somebody.
#[derive(Serialize)]
pub(crate) struct Reader {
    email: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<Locale>,
}

/// How to write to the owner of an account, suspended or not.
pub(crate) async fn reader(id: UserId) -> Result<Reader> {
    let user = repository::users::by_id(&DATABASE, id).await?.ok_or(NO_USER)?.user;
    Ok(Reader { email: user.email, name: user.profile.username, locale: user.profile.locale })
}

/// Gives an account another role. Only admins may, and none to himself: so the last one cannot lock the shop. Access
/// tokens keep the old role until they expire; the next refresh has the new one.
pub(crate) async fn set_role(caller: &Caller, id: UserId, role: Role) -> Result<User> {
    caller.must_administer()?;
    if caller.user_id == id {
        return Err(own_role());
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            // Two admins who demote each other are one after the other here, and the second is none any more.
            acting_admin(transaction, caller).await?;
            let mut user = repository::users::by_id(transaction, id).await?.ok_or(NO_USER)?.user;
            if give_role(transaction, caller, &mut user, role).await? {
                announce(transaction, &user).await?;
            }
            Ok(user)
        })
        .await
}

/// Suspends an account, or lets it act again. Only admins may, and none himself. A suspended account is signed out
/// everywhere: no session of it goes on, and its access tokens end within minutes.
pub(crate) async fn set_status(caller: &Caller, id: UserId, status: Status) -> Result<User> {
    caller.must_administer()?;
    if caller.user_id == id {
        return Err(Error::Conflict("own-status", "nobody suspends himself: ask another admin".into()));
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            acting_admin(transaction, caller).await?;
            let mut user = repository::users::by_id(transaction, id).await?.ok_or(NO_USER)?.user;
            if user.status != status {
                let details = json!({ "from": user.status, "to": status });
                user.status = status;
                repository::users::set_status(transaction, id, status).await?;
                if status == Status::Suspended {
                    repository::sessions::revoke_all(transaction, id, None, Timestamp::now()).await?;
                }
                announce(transaction, &user).await?;
                audit::record(transaction, caller, "user.status", subject(id), details).await?;
            }
            Ok(user)
        })
        .await
}
