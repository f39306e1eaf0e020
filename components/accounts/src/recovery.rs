//! New passwords: for those who know the old one, and for those who can read the mail of their address.

use std::time::Duration;

use model::{Timestamp, UserId};
use serde::{Serialize, de::IgnoredAny};
use store::Durability;
use uuid::Uuid;
use web::{Caller, Error, Result, client};

use crate::{
    DATABASE,
    account::{Email, Status},
    accounts::acting,
    keys, passwords, proof, repository,
    reset::{self, Sent, Verdict},
    strength,
};

/// Changes the caller's password and ends all other sessions. 422 when the current one is wrong.
pub(crate) async fn change_password(caller: &Caller, current: &str, new: &str) -> Result<()> {
    let account = acting(&DATABASE, caller).await?;
    strength::password(new, &account.user.email).map_err(|refusal| Error::invalid("newPassword", refusal))?;
    let turn = proof::demand(&account, current, "currentPassword").await?;
    if current == new {
        return Err(Error::invalid("newPassword", "must be another one than before"));
    }
    let hash = turn.hash(new).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let id = acting(transaction, caller).await?.user.id;
            proof::accept(transaction, &account.user.email).await?;
            if !repository::users::change_password(transaction, id, &account.password_hash, &hash).await? {
                return Err(Error::invalid("currentPassword", "is not the password of the account"));
            }
            repository::reset_codes::clear(transaction, &proof::fingerprint(&account.user.email)).await?;
            repository::sessions::revoke_all(transaction, id, Some(&caller.session), Timestamp::now()).await
        })
        .await
}

/// Sends a code to an address, if it has an active account and did not get one just now. Nothing that the caller can
/// see depends on that: an address without an account gets a code, too, which nobody is told.
pub(crate) async fn forgot_password(email: &str) -> Result<()> {
    let email = Email::normal(email);
    let fingerprint = proof::fingerprint(&email);
    let code = reset::code(&keys::random()?);
    let now = Timestamp::now();
    let sent = Sent { hash: reset::hash(&fingerprint, &code), tries: 0, expires_at: now.after(reset::LIFE) };
    let account = repository::users::of_email(&DATABASE, &email).await?;
    let account = account.filter(|account| account.user.status == Status::Active);
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let fresh = repository::reset_codes::insert(transaction, &fingerprint, &sent, now).await?;
            if let Some(account) = account.filter(|_| fresh) {
                let mail = Mail {
                    id: Uuid::now_v7(),
                    kind: "password-reset",
                    user_id: account.user.id,
                    to: account.user.email,
                    code,
                    expires_at: sent.expires_at,
                };
                web::after_commit(transaction, hand_over(mail));
            }
            Ok(())
        })
        .await
}

/// What `notifications` writes to the customer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Mail {
    /// However often it is handed over, it is written once.
    id: Uuid,
    kind: &'static str,
    user_id: UserId,
    to: String,
    code: String,
    expires_at: Timestamp,
}

/// Hands a mail to `notifications`. The code is nowhere else, so nothing can do it later: when this fails, the customer
/// asks for another one.
async fn hand_over(mail: Mail) {
    let mut outcome = Ok(None);
    for wait in [0, 250, 1000, 4000] {
        spin_sdk::time::sleep(Duration::from_millis(wait)).await;
        outcome = client::post::<IgnoredAny>("notifications", "/internal/mails", &mail).await;
        if matches!(outcome, Ok(Some(_))) {
            return;
        }
    }
    eprintln!("error: a code for user {} could not be handed over: {outcome:?}", mail.user_id);
}

/// Gives the account of an address a new password, by the code that was sent to it, and ends all its sessions. 422 for
/// any code that is not good, in the same words.
pub(crate) async fn reset_password(email: &str, code: &str, new: &str) -> Result<()> {
    let email = Email::normal(email);
    let fingerprint = proof::fingerprint(&email);
    let hash = reset::hash(&fingerprint, code);
    if !is_right(&fingerprint, &hash).await? {
        return Err(not_right());
    }
    // Before the transaction: work that long must not hold the write lock.
    let password_hash = passwords::turn().await?.hash(new).await?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if !repository::reset_codes::consume(transaction, &fingerprint, &hash).await? {
                return Err(not_right());
            }
            let id = repository::users::reset_password(transaction, &email, &password_hash).await?;
            let id = id.ok_or_else(not_right)?;
            repository::failures::clear(transaction, &fingerprint).await?;
            repository::sessions::revoke_all(transaction, id, None, Timestamp::now()).await
        })
        .await
}

fn not_right() -> Error {
    Error::invalid("code", "is wrong, was used, or is too old: ask for another one")
}

/// Judges a code and counts it when it is wrong: one after the other, so that not more are tried than may be.
async fn is_right(fingerprint: &str, hash: &str) -> Result<bool> {
    // Where there is no code, nobody takes the write lock.
    if repository::reset_codes::of(&DATABASE, fingerprint).await?.is_none() {
        return Ok(false);
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let Some(sent) = repository::reset_codes::of(transaction, fingerprint).await? else { return Ok(false) };
            let verdict = sent.judge(hash, Timestamp::now());
            if verdict == Verdict::Wrong {
                repository::reset_codes::count_try(transaction, fingerprint).await?;
            }
            Ok(verdict == Verdict::Right)
        })
        .await
}
