//! Sign-ins and their refresh tokens.

use model::{Timestamp, UserId};
use store::{Row, Transaction, params};
use web::Result;

use super::{
    Source,
    users::{self, USER},
};
use crate::{
    DATABASE,
    account::User,
    session::{Presented, Session},
};

/// A sign-in that begins.
pub(crate) struct NewSession<'a> {
    pub(crate) id: &'a str,
    pub(crate) owner: UserId,
    /// The password that was proved.
    pub(crate) password_hash: &'a str,
    /// The address, as failures know it.
    pub(crate) fingerprint: &'a str,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) expires_at: Timestamp,
}

/// Opens a session, if the account is still active, the password still the one that was proved, and no wait has begun
/// meanwhile. False otherwise.
pub(crate) async fn insert(transaction: &Transaction, new: NewSession<'_>, now: Timestamp) -> Result<bool> {
    let insert = "INSERT INTO sessions (id, user_agent, expires_at, user_id, created_at, used_at) \
         SELECT $1, $2, $3, u.id, $4, $4 FROM users u WHERE u.id = $5 AND u.status = 'active' \
         AND u.deleted_at IS NULL AND u.password_hash = $6 \
         AND NOT EXISTS (SELECT 1 FROM failures f WHERE f.address = $7 AND f.open_at > $4) RETURNING user_id";
    let NewSession { id, owner, password_hash, fingerprint, user_agent, expires_at } = new;
    let values = params![id, user_agent, expires_at.0, now.0, owner.0, password_hash, fingerprint];
    Ok(transaction.query_one(insert, values).await?.is_some())
}

/// Up to `count` open sessions of an account, the newest first.
pub(crate) async fn list(owner: UserId, now: Timestamp, before: Option<String>, count: u32) -> Result<Vec<Session>> {
    // Ids begin with the time, and nothing comes after `g` among hexadecimal digits.
    let before = before.unwrap_or_else(|| "g".to_owned());
    let rows = DATABASE
        .query(
            "SELECT id, user_agent, created_at, used_at, expires_at FROM sessions \
             WHERE user_id = $1 AND id < $2 AND revoked_at IS NULL AND expires_at > $3 ORDER BY id DESC LIMIT $4",
            params![owner.0, before, now.0, count],
        )
        .await?;
    let read = |mut row: Row| {
        Ok(Session {
            id: row.next()?,
            user_agent: row.next()?,
            created_at: Timestamp(row.next()?),
            last_used_at: Timestamp(row.next()?),
            expires_at: Timestamp(row.next()?),
            current: false,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Lets a session live as long as its latest refresh token.
pub(crate) async fn extend(transaction: &Transaction, id: &str, now: Timestamp, expires_at: Timestamp) -> Result<()> {
    let update = "UPDATE sessions SET used_at = $1, expires_at = $2 WHERE id = $3";
    Ok(transaction.execute(update, params![now.0, expires_at.0, id]).await?)
}

/// Ends a session: none of its refresh tokens is good for anything any more.
pub(crate) async fn revoke(transaction: &Transaction, id: &str, now: Timestamp) -> Result<()> {
    let update = "UPDATE sessions SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    Ok(transaction.execute(update, params![now.0, id]).await?)
}

/// Ends a session of that account, as often as it is asked for. False when it has no such session.
pub(crate) async fn revoke_of(transaction: &Transaction, id: &str, owner: UserId, now: Timestamp) -> Result<bool> {
    let update =
        "UPDATE sessions SET revoked_at = COALESCE(revoked_at, $1) WHERE id = $2 AND user_id = $3 RETURNING id";
    Ok(transaction.query_one(update, params![now.0, id, owner.0]).await?.is_some())
}

/// Ends all sessions of an account but one, or all.
pub(crate) async fn revoke_all(
    transaction: &Transaction,
    owner: UserId,
    but: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let update = "UPDATE sessions SET revoked_at = $1 WHERE user_id = $2 AND id <> $3 AND revoked_at IS NULL";
    Ok(transaction.execute(update, params![now.0, owner.0, but.unwrap_or_default()]).await?)
}

/// Forgets from where an account was used.
pub(crate) async fn anonymize(transaction: &Transaction, owner: UserId) -> Result<()> {
    Ok(transaction.execute("UPDATE sessions SET user_agent = NULL WHERE user_id = $1", params![owner.0]).await?)
}

/// Adds a refresh token to a session, by its fingerprint.
pub(crate) async fn insert_refresh_token(
    transaction: &Transaction,
    fingerprint: &str,
    session: &str,
    expires_at: Timestamp,
) -> Result<()> {
    let insert = "INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($1, $2, $3)";
    Ok(transaction.execute(insert, params![fingerprint, session, expires_at.0]).await?)
}

/// The session of a refresh token that is, or was, one of ours. Takes no lock.
pub(crate) async fn of_refresh_token(fingerprint: &str) -> Result<Option<String>> {
    let row = DATABASE.query_one("SELECT session_id FROM refresh_tokens WHERE hash = $1", params![fingerprint]).await?;
    row.map(|mut row| Ok(row.next()?)).transpose()
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

/// The refresh token with that fingerprint. That of a deleted account is none.
pub(crate) async fn refresh_token(source: &impl Source, fingerprint: &str) -> Result<Option<RefreshToken>> {
    let find = format!(
        "SELECT {USER}, s.id, s.revoked_at, t.used_at, t.expires_at \
         FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id \
         WHERE t.hash = $1 AND u.deleted_at IS NULL"
    );
    let read = |mut row: Row| {
        let owner = users::user(&mut row)?;
        let session = row.next()?;
        let session_revoked = row.next::<Option<i64>>()?.is_some();
        let used = row.next::<Option<i64>>()?.is_some();
        let expires_at = Timestamp(row.next()?);
        let presented = Presented { used, expires_at, session_revoked, owner: owner.status };
        Ok(RefreshToken { session, owner, presented })
    };
    source.row(&find, params![fingerprint]).await?.map(read).transpose()
}
