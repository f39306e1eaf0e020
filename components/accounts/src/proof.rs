//! Proving by a password who one is. Failures are counted by address, whether or not it has an account, and make the
//! next attempt wait.
//!
//! Passwords are checked outside of any transaction, so several attempts may be under way at once. What counts is what
//! the transaction behind the check finds: when the failures of others have begun a wait meanwhile, the attempt is
//! refused like one that came during it, and nobody learns whether its password was right.

use model::Timestamp;
use store::{Durability, Transaction};
use web::{Error, Result};

use crate::{
    DATABASE,
    passwords::{self, Turn},
    repository::{self, users::Account},
    session,
    throttle::Failures,
};

/// Under which name failures at an address in its normal form are counted.
pub(crate) fn fingerprint(email: &str) -> String {
    session::fingerprint(email)
}

/// Checks the password of an account, or does the same work without one. `None` when it is wrong, 429 when it is too
/// early for an attempt. The turn at `passwords` may serve for more.
pub(crate) async fn check(account: Option<&Account>, failures: Failures, password: &str) -> Result<Option<Turn>> {
    failures.must_be_open(Timestamp::now())?;
    let turn = passwords::turn().await?;
    let matches = turn.verify(password, account.map(|account| account.password_hash.as_str())).await?;
    Ok(matches.then_some(turn))
}

/// Checks the password of somebody who is signed in: a stolen access token is no way to guess it, either. 422 for
/// `field` when it is wrong. Whoever acts on this must ask [`accept`] in the same transaction.
pub(crate) async fn demand(account: &Account, password: &str, field: &'static str) -> Result<Turn> {
    let fingerprint = fingerprint(&account.user.email);
    let failures = repository::failures::of(&DATABASE, &fingerprint).await?;
    match check(Some(account), failures, password).await? {
        Some(turn) => Ok(turn),
        None => Err(fail(&fingerprint, Error::invalid(field, "is not the password of the account")).await),
    }
}

/// Counts a failure and returns the answer to it: `wrong`, or 429 when a wait has begun meanwhile.
pub(crate) async fn fail(fingerprint: &str, wrong: Error) -> Error {
    let counted = DATABASE
        .transaction(Durability::Relaxed, async |transaction| {
            let now = Timestamp::now();
            let failures = repository::failures::of(transaction, fingerprint).await?;
            failures.must_be_open(now)?;
            repository::failures::set(transaction, fingerprint, failures.and_one_more(now)).await
        })
        .await;
    counted.err().unwrap_or(wrong)
}

/// Takes a proof in the transaction that acts on it: 429 when a wait has begun meanwhile, otherwise failures are
/// forgotten.
pub(crate) async fn accept(transaction: &Transaction, email: &str) -> Result<()> {
    let fingerprint = fingerprint(email);
    repository::failures::of(transaction, &fingerprint).await?.must_be_open(Timestamp::now())?;
    repository::failures::clear(transaction, &fingerprint).await
}
