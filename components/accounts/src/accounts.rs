//! Accounts: how they begin, what they say, how they end, and which events that emits.

use http::StatusCode;
use model::{
    Role, Timestamp, UserId,
    event::{UserCreated, UserDeleted, UserUpdated},
};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Transaction};
use web::{Answer, Caller, Error, Once, Result, Service, audit, variable};

use crate::{
    Accounts, DATABASE,
    account::{self, Email, Profile, User},
    passwords, people, proof,
    repository::{self, Source, users::Account},
    strength,
    written::{self, Written},
};

/// Who is to have an account.
pub(crate) struct Applicant {
    pub(crate) email: Email,
    pub(crate) profile: Profile,
    pub(crate) password: String,
    pub(crate) role: Role,
    /// Whether its orders are charged as soon as they are placed.
    pub(crate) charge_at_once: bool,
    pub(crate) written: Written,
}

impl Applicant {
    /// A customer. 422 for what cannot be an address or a name.
    pub(crate) fn customer(email: &str, username: Option<&str>, password: String) -> Result<Self> {
        let email = Email::parse(email).map_err(|refusal| Error::invalid("email", refusal))?;
        let username = account::username(username, &email).map_err(|refusal| Error::invalid("username", refusal))?;
        let profile = Profile { username, first_name: None, last_name: None, phone: None, locale: None };
        Ok(Self { email, profile, password, role: Role::User, charge_at_once: false, written: Written::default() })
    }

    /// All that an account is made of, but for its password.
    fn fingerprint(&self) -> Result<String> {
        let Self { email, profile, role, charge_at_once, written, .. } = self;
        Ok(serde_json::to_string(&(email.as_str(), profile, role, charge_at_once, written))?)
    }
}

/// Opens an account for a customer, or for somebody whom an admin has entered: then 403 for everybody else. 409
/// `email-taken` when the address has one. `shown` makes the answer.
pub(crate) async fn register<T: Serialize>(
    by: Option<&Caller>,
    applicant: Applicant,
    once: Once,
    shown: impl Fn(User) -> T,
) -> Result<Answer> {
    if let Some(admin) = by {
        acting_admin(&DATABASE, admin).await?;
    }
    let once = once.comparing(&applicant.fingerprint()?);
    if let Some(answer) = already(by, &applicant, &once).await? {
        return Ok(answer);
    }
    let turn = passwords::turn().await?;
    // Held until the account exists. While this one waited, its double may have been served: one press of a button
    // often comes twice.
    if let Some(answer) = already(by, &applicant, &once).await? {
        return Ok(answer);
    }
    // Before the transaction: work that long must not hold the write lock.
    let hash = turn.hash(&applicant.password).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(admin) = by {
                acting_admin(transaction, admin).await?;
            }
            if let Some(answer) = once.answered_in(transaction, by).await? {
                return Ok(answer);
            }
            let user = open(transaction, &applicant, &hash).await?.ok_or_else(email_taken)?;
            if let Some(admin) = by {
                let details = json!({ "role": user.role });
                audit::record(transaction, admin, "user.created", people::subject(user.id), details).await?;
            }
            once.answer(transaction, by, StatusCode::CREATED, &shown(user)).await
        })
        .await
}

/// The answer that this request has been given before; 409 when the address has an account by another one.
async fn already(by: Option<&Caller>, applicant: &Applicant, once: &Once) -> Result<Option<Answer>> {
    // In this order, because account and answer appear at the same moment.
    let taken = is_taken(&applicant.email).await?;
    let answer = once.answered(&DATABASE, by).await?;
    if taken && answer.is_none() { Err(email_taken()) } else { Ok(answer) }
}

/// Whether an address has an account.
pub(crate) async fn is_taken(email: &Email) -> Result<bool> {
    repository::users::is_taken(email.as_str()).await
}

fn email_taken() -> Error {
    Error::Conflict(EMAIL_TAKEN, "there is an account with this email address".into())
}

/// What programs are told when an address has an account.
pub(crate) const EMAIL_TAKEN: &str = "email-taken";

/// Opens an account and announces it; `None` when the address has one.
async fn open(transaction: &Transaction, applicant: &Applicant, hash: &str) -> Result<Option<User>> {
    let opened = repository::users::insert(transaction, applicant, hash, Timestamp::now()).await?;
    if let Some(user) = &opened {
        written::keep(transaction, user.id, applicant.written.clone()).await?;
        let event = UserCreated {
            id: user.id,
            name: user.profile.username.clone(),
            email: user.email.clone(),
            locale: user.profile.locale.clone().map(String::from),
            role: user.role,
            account_status: user.status.as_str().to_owned(),
            charge_at_once: user.charge_at_once,
        };
        events::emit(transaction, Accounts::NAME, &event).await?;
    }
    Ok(opened)
}

/// Announces what an account is now.
pub(crate) async fn announce(transaction: &Transaction, user: &User) -> Result<()> {
    let event = UserUpdated {
        id: user.id,
        name: user.profile.username.clone(),
        email: user.email.clone(),
        locale: user.profile.locale.clone().map(String::from),
        role: user.role,
        account_status: user.status.as_str().to_owned(),
        charge_at_once: user.charge_at_once,
    };
    Ok(events::emit(transaction, Accounts::NAME, &event).await?)
}

/// The caller's account as it is now, and not as the token says. 401 when it is no longer active, or the sign-in has
/// been ended: in this service that has effect at once.
pub(crate) async fn acting(source: &impl Source, caller: &Caller) -> Result<Account> {
    const ENDED: Error = Error::InvalidToken("the sign-in has ended: sign in again");
    repository::users::acting(source, caller).await?.ok_or(ENDED)
}

/// The caller's account, which must administer the shop now: the token may be older than the last demotion.
pub(crate) async fn acting_admin(source: &impl Source, caller: &Caller) -> Result<Account> {
    caller.must_administer()?;
    let account = acting(source, caller).await?;
    if account.user.role.administers() { Ok(account) } else { Err(Error::Forbidden("only admins may do this")) }
}

/// The caller's own account.
pub(crate) async fn me(caller: &Caller) -> Result<User> {
    acting(&DATABASE, caller).await.map(|account| account.user)
}

/// Deletes the caller's account. 409 `last-admin` when nobody else administers the shop.
pub(crate) async fn delete_own(caller: &Caller, password: &str) -> Result<()> {
    let proved = acting(&DATABASE, caller).await?;
    proof::demand(&proved, password, "password").await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let account = acting(transaction, caller).await?;
            proof::accept(transaction, &account.user.email).await?;
            if account.password_hash != proved.password_hash {
                return Err(Error::invalid("password", "is not the password of the account"));
            }
            close_own(transaction, caller, &account.user).await
        })
        .await
}

/// Deletes the caller's account, if it is not the last that administers the shop.
async fn close_own(transaction: &Transaction, caller: &Caller, user: &User) -> Result<()> {
    if user.role.administers() && !repository::users::has_other_admin(transaction, user.id).await? {
        return Err(Error::Conflict("last-admin", "nobody else administers the shop".into()));
    }
    close(transaction, caller, user).await
}

/// Deletes an account: the caller's own, without a further proof than the sign-in, or that of somebody else, for an admin.
pub(crate) async fn remove(caller: &Caller, id: UserId) -> Result<()> {
    if !caller.may_see(id) {
        return Err(Error::Forbidden("only its owner and admins may do this"));
    }
    if caller.user_id != id {
        return delete(caller, id).await;
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let user = acting(transaction, caller).await?.user;
            close_own(transaction, caller, &user).await
        })
        .await
}

/// Deletes somebody's account. Only admins may. The same again changes nothing.
pub(crate) async fn delete(caller: &Caller, id: UserId) -> Result<()> {
    caller.must_administer()?;
    if caller.user_id == id {
        return Err(Error::Conflict("own-account", "DELETE /users/me deletes the own account".into()));
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            acting_admin(transaction, caller).await?;
            match repository::users::by_id(transaction, id).await? {
                Some(account) => close(transaction, caller, &account.user).await,
                None if repository::users::exists(transaction, id).await? => Ok(()),
                None => Err(Error::not_found("user")),
            }
        })
        .await
}

/// Leaves nothing that says who it was: the row stays, because others know its id. The address is free again.
async fn close(transaction: &Transaction, by: &Caller, user: &User) -> Result<()> {
    let now = Timestamp::now();
    let fingerprint = proof::fingerprint(&user.email);
    repository::users::erase(transaction, user.id, now).await?;
    repository::sessions::revoke_all(transaction, user.id, None, now).await?;
    repository::sessions::anonymize(transaction, user.id).await?;
    repository::failures::clear(transaction, &fingerprint).await?;
    repository::reset_codes::clear(transaction, &fingerprint).await?;
    events::emit(transaction, Accounts::NAME, &UserDeleted { id: user.id }).await?;
    audit::record(transaction, by, "user.deleted", people::subject(user.id), json!({})).await
}

/// Opens the account of the first admin, when the variables `admin_email` and `admin_password` are both set and the
/// address neither has an account nor has had this one.
///
/// An account that exists is left as it is, role and password: whoever registered the address first must not become an
/// admin by it, and an admin who was demoted or deleted must not return with the next instance.
pub(crate) async fn first_admin() -> Result<()> {
    let (Some(email), Some(password)) = (variable::get("admin_email").await?, variable::get("admin_password").await?)
    else {
        return Ok(());
    };
    let unfit = |name: &'static str| move |refusal| Error::Internal(format!("variable {name}: {refusal}"));
    let email = Email::parse(&email).map_err(unfit("admin_email"))?;
    if let Some(account) = repository::users::of_email(&DATABASE, email.as_str()).await? {
        if !account.user.role.administers() {
            eprintln!("warning: the account of the variable admin_email exists and is no admin; it stays as it is");
        }
        return Ok(());
    }
    let fingerprint = proof::fingerprint(email.as_str());
    if repository::users::was_first_admin(&fingerprint).await? {
        return Ok(());
    }
    // Who runs the shop decides; a shop that does not start would help nobody.
    if let Err(refusal) = strength::password(&password, email.as_str()) {
        eprintln!("warning: the variable admin_password {refusal}");
    }
    let hash = passwords::turn().await?.hash(&password).await?;
    let admin = Applicant { role: Role::Admin, ..Applicant::customer(email.as_str(), None, password)? };
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            // Not so when another instance was faster.
            if repository::users::note_first_admin(transaction, &fingerprint).await? {
                open(transaction, &admin, &hash).await?;
            }
            Ok(())
        })
        .await
}
