//! What changes an account, by its owner or by an admin.

use model::{Role, UserId};
use serde_json::json;
use store::{Durability, Transaction};
use web::{Caller, Error, Result, audit};

use crate::{
    DATABASE,
    account::{Email, ProfileChange, User},
    accounts::{acting, acting_admin, announce},
    people::{NO_USER, subject},
    repository,
    written::{self, WrittenChange},
};

/// What is to change. What is absent stays.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) profile: ProfileChange,
    /// Only as a copy of what is known: another address would have to be proved.
    pub(crate) email: Option<String>,
    /// Another one only by an admin, and of somebody else.
    pub(crate) role: Option<Role>,
    pub(crate) written: WrittenChange,
}

/// Changes an account, all of it or nothing. Its owner and admins may.
pub(crate) async fn change(caller: &Caller, id: UserId, change: Change) -> Result<User> {
    let own = caller.user_id == id;
    if !caller.may_see(id) {
        return Err(Error::Forbidden("only its owner and admins may do this"));
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let mut user = if own {
                acting(transaction, caller).await?.user
            } else {
                acting_admin(transaction, caller).await?;
                repository::users::by_id(transaction, id).await?.ok_or(NO_USER)?.user
            };
            let Change { profile, email, role, written } = change;
            if email.is_some_and(|email| Email::normal(&email) != user.email) {
                return Err(Error::invalid("email", "cannot be changed"));
            }
            let renamed = user.profile.apply(profile);
            if renamed {
                repository::users::set_profile(transaction, id, &user.profile).await?;
            }
            let promoted = match role {
                Some(role) => give_role(transaction, caller, &mut user, role).await?,
                None => false,
            };
            written::change_in(transaction, id, written).await?;
            if renamed || promoted {
                announce(transaction, &user).await?;
            }
            if renamed && !own {
                audit::record(transaction, caller, "user.profile", subject(id), json!({})).await?;
            }
            Ok(user)
        })
        .await
}

/// Gives an account another role. False when it has that. Only admins may, and none to himself: so the last one cannot
/// lock the shop.
pub(crate) async fn give_role(transaction: &Transaction, caller: &Caller, user: &mut User, role: Role) -> Result<bool> {
    if user.role == role {
        return Ok(false);
    }
    caller.must_administer()?;
    if caller.user_id == user.id {
        return Err(own_role());
    }
    let details = json!({ "from": user.role, "to": role });
    user.role = role;
    repository::users::set_role(transaction, user.id, role).await?;
    audit::record(transaction, caller, "user.role", subject(user.id), details).await?;
    Ok(true)
}

/// Why nobody changes the own role.
pub(crate) fn own_role() -> Error {
    Error::Conflict("own-role", "nobody changes the own role: ask another admin".into())
}
