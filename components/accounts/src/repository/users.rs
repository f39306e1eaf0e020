//! Accounts. A deleted one is found by nothing here but [`exists`].

use model::{Role, Timestamp, UserId};
use store::{Row, Transaction, params};
use web::{Caller, Error, Result};

use super::Source;
use crate::{
    DATABASE,
    account::{Locale, Profile, Status, User, login_name},
    accounts::Applicant,
    sign_in::Known,
    throttle::Failures,
};

/// An account and what only this service sees of it.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) password_hash: String,
}

pub(super) const USER: &str = "u.id, u.email, u.username, u.first_name, u.last_name, u.phone, u.locale, u.role, u.status, \
     u.created_at, u.charge_at_once";
/// The same for `RETURNING`, where SQLite knows no alias.
const OWN: &str = "id, email, username, first_name, last_name, phone, locale, role, status, created_at, charge_at_once";

pub(super) fn user(row: &mut Row) -> Result<User> {
    let id = row.next()?;
    rest_of_user(id, row)
}

fn rest_of_user(id: i64, row: &mut Row) -> Result<User> {
    Ok(User {
        id: UserId(id),
        email: row.next()?,
        profile: Profile {
            username: row.next()?,
            first_name: row.next()?,
            last_name: row.next()?,
            phone: row.next()?,
            locale: row.next::<Option<String>>()?.map(Locale::known),
        },
        role: row.next::<String>()?.parse().map_err(|error| Error::Internal(format!("users: {error}")))?,
        status: Status::of(&row.next::<String>()?),
        created_at: Timestamp(row.next()?),
        charge_at_once: row.next()?,
    })
}

fn account(mut row: Row) -> Result<Account> {
    Ok(Account { user: user(&mut row)?, password_hash: row.next()? })
}

/// Whether an address in its normal form has an account.
pub(crate) async fn is_taken(email: &str) -> Result<bool> {
    Ok(DATABASE.query_one("SELECT 1 FROM users WHERE email = $1", params![email]).await?.is_some())
}

/// The account of an address in its normal form.
pub(crate) async fn of_email(source: &impl Source, email: &str) -> Result<Option<Account>> {
    let find = format!("SELECT {USER}, u.password_hash FROM users u WHERE u.email = $1");
    source.row(&find, params![email]).await?.map(account).transpose()
}

/// What is known of an address or a name: its account, if it has one, and the failures at it.
pub(crate) async fn known_with_failures(by: &Known, fingerprint: &str) -> Result<(Option<Account>, Failures)> {
    let (column, text) = match by {
        Known::Email(email) => ("u.email = $1", email.as_str()),
        Known::Name(name) => ("u.login_name = $1", name.as_str()),
    };
    let find = format!(
        "SELECT f.count, f.open_at, f.forget_at, {USER}, u.password_hash FROM (SELECT 1 AS one) x \
         LEFT JOIN users u ON {column} LEFT JOIN failures f ON f.address = $2"
    );
    let row = DATABASE.query_one(&find, params![text, fingerprint]).await?;
    let mut row = row.ok_or_else(|| Error::Internal("users: no row".into()))?;
    let failures = super::failures::read(&mut row)?;
    let found = match row.next::<Option<i64>>()? {
        Some(id) => Some(Account { user: rest_of_user(id, &mut row)?, password_hash: row.next()? }),
        None => None,
    };
    Ok((found, failures))
}

/// The account with that id.
pub(crate) async fn by_id(source: &impl Source, id: UserId) -> Result<Option<Account>> {
    let find = format!("SELECT {USER}, u.password_hash FROM users u WHERE u.id = $1 AND u.deleted_at IS NULL");
    source.row(&find, params![id.0]).await?.map(account).transpose()
}

/// Whether there is an account with that id, or has been one.
pub(crate) async fn exists(source: &impl Source, id: UserId) -> Result<bool> {
    Ok(source.row("SELECT 1 FROM users WHERE id = $1", params![id.0]).await?.is_some())
}

/// The caller's account, if it is active and the sign-in has not been ended.
pub(crate) async fn acting(source: &impl Source, caller: &Caller) -> Result<Option<Account>> {
    let find = format!(
        "SELECT {USER}, u.password_hash FROM users u JOIN sessions s ON s.user_id = u.id WHERE u.id = $1 \
         AND u.status = 'active' AND u.deleted_at IS NULL AND s.id = $2 AND s.revoked_at IS NULL"
    );
    source.row(&find, params![caller.user_id.0, caller.session.as_str()]).await?.map(account).transpose()
}

/// Opens an active account; `None` when the address has one. It can sign in by its name unless another one does.
pub(crate) async fn insert(
    transaction: &Transaction,
    applicant: &Applicant,
    password_hash: &str,
    now: Timestamp,
) -> Result<Option<User>> {
    let insert = format!(
        "INSERT INTO users (email, username, login_name, first_name, last_name, phone, locale, charge_at_once, \
         password_hash, role, status, created_at) \
         VALUES ($1, $2, CASE WHEN EXISTS (SELECT 1 FROM users WHERE login_name = $3) THEN NULL ELSE $3 END, \
         $4, $5, $6, $7, $8, $9, $10, 'active', $11) ON CONFLICT (email) DO NOTHING RETURNING {OWN}"
    );
    let Profile { username, first_name, last_name, phone, locale } = applicant.profile.clone();
    let (email, name, role) = (applicant.email.as_str(), login_name(&username), applicant.role.as_str());
    let (locale, charge_at_once) = (locale.map(String::from), applicant.charge_at_once);
    let mut values = params![email, username, name, first_name, last_name, phone, locale, charge_at_once];
    values.extend(params![password_hash, role, now.0]);
    transaction.query_one(&insert, values).await?.map(|mut row| user(&mut row)).transpose()
}

/// Writes down what people say of themselves. The account can sign in by its name unless another one does.
pub(crate) async fn set_profile(transaction: &Transaction, id: UserId, profile: &Profile) -> Result<()> {
    let update = "UPDATE users SET username = $1, first_name = $2, last_name = $3, phone = $4, locale = $5, \
         login_name = CASE WHEN EXISTS (SELECT 1 FROM users o WHERE o.login_name = $6 AND o.id <> $7) \
         THEN NULL ELSE $6 END WHERE id = $7";
    let Profile { username, first_name, last_name, phone, locale } = profile.clone();
    let name = login_name(&username);
    let values = params![username, first_name, last_name, phone, locale.map(String::from), name, id.0];
    Ok(transaction.execute(update, values).await?)
}

/// Gives the account another role.
pub(crate) async fn set_role(transaction: &Transaction, id: UserId, role: Role) -> Result<()> {
    Ok(transaction.execute("UPDATE users SET role = $1 WHERE id = $2", params![role.as_str(), id.0]).await?)
}

/// Gives the account another status.
pub(crate) async fn set_status(transaction: &Transaction, id: UserId, status: Status) -> Result<()> {
    Ok(transaction.execute("UPDATE users SET status = $1 WHERE id = $2", params![status.as_str(), id.0]).await?)
}

/// Replaces the password of the account that has `old`. False when it has another one by now.
pub(crate) async fn change_password(transaction: &Transaction, id: UserId, old: &str, new: &str) -> Result<bool> {
    let update = "UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3 RETURNING id";
    Ok(transaction.query_one(update, params![new, id.0, old]).await?.is_some())
}

/// Replaces the password of the active account of an address; whose it is.
pub(crate) async fn reset_password(transaction: &Transaction, email: &str, hash: &str) -> Result<Option<UserId>> {
    let update = "UPDATE users SET password_hash = $1 WHERE email = $2 AND status = 'active' RETURNING id";
    let row = transaction.query_one(update, params![hash, email]).await?;
    row.map(|mut row| Ok(UserId(row.next()?))).transpose()
}

/// Whether somebody else administers the shop, too.
pub(crate) async fn has_other_admin(transaction: &Transaction, id: UserId) -> Result<bool> {
    let find =
        "SELECT 1 FROM users WHERE role = 'admin' AND id <> $1 AND status = 'active' AND deleted_at IS NULL LIMIT 1";
    Ok(transaction.query_one(find, params![id.0]).await?.is_some())
}

/// Leaves nothing of the account but its id.
pub(crate) async fn erase(transaction: &Transaction, id: UserId, now: Timestamp) -> Result<()> {
    let erase = "UPDATE users SET email = NULL, username = '', login_name = NULL, password_hash = '', role = 'user', status = 'suspended', \
         first_name = NULL, last_name = NULL, phone = NULL, locale = NULL, shipping_address_id = NULL, billing_address_id = NULL, \
         payment_method_id = NULL, deleted_at = $1 WHERE id = $2";
    transaction.execute(erase, params![now.0, id.0]).await?;
    transaction.execute("DELETE FROM addresses WHERE user_id = $1", params![id.0]).await?;
    transaction.execute("DELETE FROM payment_methods WHERE user_id = $1", params![id.0]).await?;
    transaction.execute("DELETE FROM written_details WHERE user_id = $1", params![id.0]).await?;
    Ok(())
}

/// Notes that the first admin's account is opened for this address. False when it has been before.
pub(crate) async fn note_first_admin(transaction: &Transaction, fingerprint: &str) -> Result<bool> {
    let insert = "INSERT INTO first_admins (address) VALUES ($1) ON CONFLICT (address) DO NOTHING RETURNING address";
    Ok(transaction.query_one(insert, params![fingerprint]).await?.is_some())
}

/// Whether the first admin's account has been opened for this address before.
pub(crate) async fn was_first_admin(fingerprint: &str) -> Result<bool> {
    let find = "SELECT 1 FROM first_admins WHERE address = $1";
    Ok(DATABASE.query_one(find, params![fingerprint]).await?.is_some())
}
