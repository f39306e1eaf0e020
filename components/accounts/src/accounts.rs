//! What happens to accounts and sessions, and which events it emits.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use model::{Role, Timestamp, UserId, event::UserCreated};
use serde::Serialize;
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, Service, variable};

use crate::{
    Accounts, DATABASE,
    account::{self, Email, Status, User},
    keys, passwords, repository, session,
    session::Verdict,
};

/// One sentence for every reason, so that it gives none of them away.
const NOT_SIGNED_IN: Error = Error::Unauthenticated("the email address or the password is wrong");
const SESSION_OVER: Error = Error::Unauthenticated("the refresh token is not valid, or no longer: sign in");
const NO_ACCOUNT: Error = Error::Unauthenticated("the account is closed");

/// Who wants an account.
pub(crate) struct Applicant {
    pub(crate) email: Email,
    pub(crate) username: String,
    pub(crate) password: String,
}

/// A pair of tokens and whose it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedIn {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    /// Seconds until the access token expires.
    expires_in: u64,
    user: User,
}

/// Opens an account for a customer. 409 `email-taken` when the address has one.
pub(crate) async fn register(applicant: Applicant, once: Once) -> Result<Answer> {
    let once = once.comparing(&serde_json::to_string(&(applicant.email.as_str(), &applicant.username))?);
    if let Some(answer) = already(&applicant, &once).await? {
        return Ok(answer);
    }
    let turn = passwords::turn().await?;
    // Held until the account exists. While this one waited, its double may have been served: one press of a button
    // often comes twice.
    if let Some(answer) = already(&applicant, &once).await? {
        return Ok(answer);
    }
    // Before the transaction: work that long must not hold the write lock.
    let hash = turn.hash(&applicant.password).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, None).await? {
                return Ok(answer);
            }
            let user = open(transaction, &applicant, &hash, Role::User).await?.ok_or_else(email_taken)?;
            once.answer(transaction, None, StatusCode::CREATED, &user).await
        })
        .await
}

/// The answer that this request has been given before; 409 when the address has an account by another one.
async fn already(applicant: &Applicant, once: &Once) -> Result<Option<Answer>> {
    // In this order, because account and answer appear at the same moment.
    let taken = repository::account_of(applicant.email.as_str()).await?.is_some();
    let answer = once.answered(&DATABASE, None).await?;
    if taken && answer.is_none() { Err(email_taken()) } else { Ok(answer) }
}

fn email_taken() -> Error {
    Error::Conflict("email-taken", "there is an account with this email address".into())
}

/// Opens an account and announces it; `None` when the address has one.
async fn open(transaction: &Transaction, applicant: &Applicant, hash: &str, role: Role) -> Result<Option<User>> {
    let Applicant { email, username, .. } = applicant;
    let opened = repository::insert_user(transaction, email, username, hash, role, Timestamp::now()).await?;
    if let Some(user) = &opened {
        let event = UserCreated {
            id: user.id,
            name: user.username.clone(),
            email: user.email.clone(),
            role: user.role,
            account_status: Status::Active.as_str().to_owned(),
        };
        events::emit(transaction, Accounts::NAME, &event).await?;
    }
    Ok(opened)
}

/// Starts a session. 401 for a wrong password, an unknown address and a suspended account, after the same work and in
/// the same words.
pub(crate) async fn log_in(email: &str, password: &str) -> Result<SignedIn> {
    let account = repository::account_of(&Email::normal(email)).await?;
    let hash = account.as_ref().map(|account| account.password_hash.as_str());
    let matches = passwords::turn().await?.verify(password, hash).await?;
    let user = match account {
        Some(account) if matches && account.status == Status::Active => account.user,
        _ => return Err(NOT_SIGNED_IN),
    };
    let session = Uuid::now_v7().to_string();
    let refresh_token = new_refresh_token()?;
    let now = Timestamp::now();
    let expires_at = now.after(session::REFRESH);
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            repository::insert_session(transaction, &session, user.id, now, expires_at).await?;
            let fingerprint = session::fingerprint(&refresh_token);
            repository::insert_refresh_token(transaction, &fingerprint, &session, expires_at).await
        })
        .await?;
    signed_in(user, &session, refresh_token).await
}

/// Goes on with a session: a new pair of tokens, once. 401 when the token is not good for that; one that comes a second
/// time ends the session for everybody who holds a token of it.
pub(crate) async fn refresh(refresh_token: &str) -> Result<SignedIn> {
    let fingerprint = session::fingerprint(refresh_token);
    // Made-up tokens must not take the write lock.
    if !repository::knows_refresh_token(&fingerprint).await? {
        return Err(SESSION_OVER);
    }
    let next = new_refresh_token()?;
    let rotated = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let now = Timestamp::now();
            let found = repository::refresh_token(transaction, &fingerprint).await?.ok_or(SESSION_OVER)?;
            match found.presented.judge(now) {
                Verdict::Over => Ok(None),
                Verdict::Rotate if repository::use_refresh_token(transaction, &fingerprint, now).await? => {
                    let expires_at = now.after(session::REFRESH);
                    let fingerprint = session::fingerprint(&next);
                    repository::insert_refresh_token(transaction, &fingerprint, &found.session, expires_at).await?;
                    repository::extend_session(transaction, &found.session, expires_at).await?;
                    Ok::<_, Error>(Some((found.owner, found.session)))
                }
                Verdict::Rotate | Verdict::Reused => {
                    // This must be committed, so the refusal comes after.
                    repository::revoke_session(transaction, &found.session, now).await?;
                    Ok(None)
                }
            }
        })
        .await?;
    let (user, session) = rotated.ok_or(SESSION_OVER)?;
    signed_in(user, &session, next).await
}

fn new_refresh_token() -> Result<String> {
    keys::random().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

async fn signed_in(user: User, session: &str, refresh_token: String) -> Result<SignedIn> {
    let access_token = keys::sign(&user, session).await?;
    Ok(SignedIn { access_token, refresh_token, token_type: "Bearer", expires_in: session::ACCESS.as_secs(), user })
}

/// The caller's own account, as it is now and not as the token says. 401 when it is no longer active.
pub(crate) async fn me(caller: &Caller) -> Result<User> {
    match repository::account_by_id(caller.user_id).await? {
        Some(account) if account.status == Status::Active => Ok(account.user),
        _ => Err(NO_ACCOUNT),
    }
}

/// Gives an account another role. Only admins may, and none to himself: so the last one cannot lock the shop. Access
/// tokens keep the old role until they expire; the next refresh has the new one.
pub(crate) async fn set_role(caller: &Caller, id: UserId, role: Role) -> Result<User> {
    caller.must_administer()?;
    if caller.user_id == id {
        return Err(Error::Conflict("own-role", "nobody changes the own role: ask another admin".into()));
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            // The token may be older than the caller's last demotion. Two admins who demote each other are one after
            // the other here, and the second is none any more.
            let admin = repository::account_in(transaction, caller.user_id).await?;
            if !admin.is_some_and(|admin| admin.user.role.administers() && admin.status == Status::Active) {
                return Err(Error::Forbidden("only admins may do this"));
            }
            repository::set_role(transaction, id, role).await?.ok_or(Error::not_found("user"))
        })
        .await
}

/// Opens the account of the first admin, when the variables `admin_email` and `admin_password` are both set and the
/// address has no account.
///
/// An account that exists is left as it is, role and password: whoever registered the address first must not become an
/// admin by it, and an admin who was demoted must not return with the next instance.
pub(crate) async fn first_admin() -> Result<()> {
    let (Some(email), Some(password)) = (variable::get("admin_email").await?, variable::get("admin_password").await?)
    else {
        return Ok(());
    };
    let unfit = |name: &'static str| move |refusal| Error::Internal(format!("variable {name}: {refusal}"));
    let email = Email::parse(&email).map_err(unfit("admin_email"))?;
    if let Some(account) = repository::account_of(email.as_str()).await? {
        if !account.user.role.administers() {
            eprintln!("warning: the account of the variable admin_email exists and is no admin; it stays as it is");
        }
        return Ok(());
    }
    account::password(&password, email.as_str()).map_err(unfit("admin_password"))?;
    let hash = passwords::turn().await?.hash(&password).await?;
    let username = account::username(None, &email).map_err(unfit("admin_email"))?;
    let admin = Applicant { email, username, password };
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            // `None` when another instance was faster.
            open(transaction, &admin, &hash, Role::Admin).await.map(drop)
        })
        .await
}
