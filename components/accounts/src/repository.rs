//! SQL, and only SQL.

use model::{Role, Timestamp, UserId};
use store::{Durability, Row, Transaction, params};
use web::{Error, Result, auth::SigningKey};

use crate::{
    DATABASE,
    account::{Email, Status, User},
    keys::StoredKey,
    session::Presented,
};

/// An account and what only this service sees of it.
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) password_hash: String,
    pub(crate) status: Status,
}

const ACCOUNT: &str = "SELECT id, email, username, role, created_at, password_hash, status FROM users";

fn user(row: &mut Row) -> Result<User> {
    Ok(User {
        id: UserId(row.next()?),
        email: row.next()?,
        username: row.next()?,
        role: row.next::<String>()?.parse().map_err(|error| Error::Internal(format!("users: {error}")))?,
        created_at: Timestamp(row.next()?),
    })
}

fn account(mut row: Row) -> Result<Account> {
    Ok(Account { user: user(&mut row)?, password_hash: row.next()?, status: Status::of(&row.next::<String>()?) })
}

/// The account of an address in its normal form.
pub(crate) async fn account_of(email: &str) -> Result<Option<Account>> {
    DATABASE.query_one(&format!("{ACCOUNT} WHERE email = $1"), params![email]).await?.map(account).transpose()
}

/// The account with that id.
pub(crate) async fn account_by_id(id: UserId) -> Result<Option<Account>> {
    DATABASE.query_one(&format!("{ACCOUNT} WHERE id = $1"), params![id.0]).await?.map(account).transpose()
}

/// The same in a transaction.
pub(crate) async fn account_in(transaction: &Transaction, id: UserId) -> Result<Option<Account>> {
    transaction.query_one(&format!("{ACCOUNT} WHERE id = $1"), params![id.0]).await?.map(account).transpose()
}

/// Opens an active account; `None` when the address has one.
pub(crate) async fn insert_user(
    transaction: &Transaction,
    email: &Email,
    username: &str,
    password_hash: &str,
    role: Role,
    now: Timestamp,
) -> Result<Option<User>> {
    let row = transaction
        .query_one(
            "INSERT INTO users (email, username, password_hash, role, status, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (email) DO NOTHING \
             RETURNING id, email, username, role, created_at",
            params![email.as_str(), username, password_hash, role.as_str(), Status::Active.as_str(), now.0],
        )
        .await?;
    row.map(|mut row| user(&mut row)).transpose()
}

/// Gives the account another role; `None` when there is no such account.
pub(crate) async fn set_role(transaction: &Transaction, id: UserId, role: Role) -> Result<Option<User>> {
    let row = transaction
        .query_one(
            "UPDATE users SET role = $1 WHERE id = $2 RETURNING id, email, username, role, created_at",
            params![role.as_str(), id.0],
        )
        .await?;
    row.map(|mut row| user(&mut row)).transpose()
}

/// Opens a session.
pub(crate) async fn insert_session(
    transaction: &Transaction,
    id: &str,
    owner: UserId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            params![id, owner.0, now.0, expires_at.0],
        )
        .await?;
    Ok(())
}

/// Lets a session live as long as its latest refresh token.
pub(crate) async fn extend_session(transaction: &Transaction, id: &str, expires_at: Timestamp) -> Result<()> {
    transaction.execute("UPDATE sessions SET expires_at = $1 WHERE id = $2", params![expires_at.0, id]).await?;
    Ok(())
}

/// Ends a session: none of its refresh tokens is good for anything any more.
pub(crate) async fn revoke_session(transaction: &Transaction, id: &str, now: Timestamp) -> Result<()> {
    transaction
        .execute("UPDATE sessions SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL", params![now.0, id])
        .await?;
    Ok(())
}

/// Adds a refresh token to a session, by its fingerprint.
pub(crate) async fn insert_refresh_token(
    transaction: &Transaction,
    fingerprint: &str,
    session: &str,
    expires_at: Timestamp,
) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($1, $2, $3)",
            params![fingerprint, session, expires_at.0],
        )
        .await?;
    Ok(())
}

/// Whether a refresh token is, or was, one of ours. Takes no lock.
pub(crate) async fn knows_refresh_token(fingerprint: &str) -> Result<bool> {
    let row = DATABASE.query_one("SELECT 1 FROM refresh_tokens WHERE hash = $1", params![fingerprint]).await?;
    Ok(row.is_some())
}

/// Marks a refresh token as used. False when it was before, or does not exist.
pub(crate) async fn use_refresh_token(transaction: &Transaction, fingerprint: &str, now: Timestamp) -> Result<bool> {
    let row = transaction
        .query_one(
            "UPDATE refresh_tokens SET used_at = $1 WHERE hash = $2 AND used_at IS NULL RETURNING session_id",
            params![now.0, fingerprint],
        )
        .await?;
    Ok(row.is_some())
}

/// A refresh token with its session's id and owner.
pub(crate) struct RefreshToken {
    pub(crate) session: String,
    pub(crate) owner: User,
    pub(crate) presented: Presented,
}

/// The refresh token with that fingerprint.
pub(crate) async fn refresh_token(transaction: &Transaction, fingerprint: &str) -> Result<Option<RefreshToken>> {
    let row = transaction
        .query_one(
            "SELECT u.id, u.email, u.username, u.role, u.created_at, u.status, \
             s.id, s.revoked_at, t.used_at, t.expires_at \
             FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id \
             WHERE t.hash = $1",
            params![fingerprint],
        )
        .await?;
    let read = |mut row: Row| {
        let owner = user(&mut row)?;
        let status = Status::of(&row.next::<String>()?);
        let session = row.next()?;
        let session_revoked = row.next::<Option<i64>>()?.is_some();
        let used = row.next::<Option<i64>>()?.is_some();
        let expires_at = Timestamp(row.next()?);
        Ok(RefreshToken { session, owner, presented: Presented { used, expires_at, session_revoked, owner: status } })
    };
    row.map(read).transpose()
}

/// Forgets refresh tokens and sessions that have expired, a bounded number at a time.
pub(crate) async fn prune(now: Timestamp) -> Result<()> {
    for (table, key) in [("refresh_tokens", "hash"), ("sessions", "id")] {
        let expired = format!("SELECT {key} FROM {table} WHERE expires_at < $1 LIMIT 500");
        // Most of the time there is nothing to do, and finding that out must not take the write lock.
        if DATABASE.query_one(&expired, params![now.0]).await?.is_some() {
            let delete = format!("DELETE FROM {table} WHERE {key} IN ({expired})");
            DATABASE.execute(Durability::Relaxed, &delete, params![now.0]).await?;
        }
    }
    Ok(())
}

const SIGNING_KEYS: &str =
    "SELECT kid, secret, created_at FROM signing_keys ORDER BY created_at DESC, kid DESC LIMIT 2";

fn stored_key(mut row: Row) -> Result<StoredKey> {
    Ok(StoredKey { key: SigningKey { kid: row.next()?, secret: row.next()? }, created_at: Timestamp(row.next()?) })
}

/// The two newest keys, newest first.
pub(crate) async fn signing_keys() -> Result<Vec<StoredKey>> {
    DATABASE.query(SIGNING_KEYS, params![]).await?.into_iter().map(stored_key).collect()
}

/// The same in a transaction.
pub(crate) async fn signing_keys_in(transaction: &Transaction) -> Result<Vec<StoredKey>> {
    transaction.query(SIGNING_KEYS, params![]).await?.into_iter().map(stored_key).collect()
}

/// Adds a key.
pub(crate) async fn insert_signing_key(transaction: &Transaction, stored: &StoredKey) -> Result<()> {
    transaction
        .execute(
            "INSERT INTO signing_keys (kid, secret, created_at) VALUES ($1, $2, $3)",
            params![stored.key.kid.as_str(), stored.key.secret.as_str(), stored.created_at.0],
        )
        .await?;
    Ok(())
}

/// Deletes all keys but the two newest.
pub(crate) async fn forget_signing_keys(transaction: &Transaction) -> Result<()> {
    transaction
        .execute(
            "DELETE FROM signing_keys WHERE kid NOT IN \
             (SELECT kid FROM signing_keys ORDER BY created_at DESC, kid DESC LIMIT 2)",
            params![],
        )
        .await?;
    Ok(())
}
