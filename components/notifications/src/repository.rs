//! SQL, and only SQL.

use model::{Timestamp, UserId};
use store::{Durability, Row, Transaction, params};
use web::{Error, Result};

use crate::{
    DATABASE,
    mail::{Mail, Notification},
};

const COLUMNS: &str = "id, user_id, kind, recipient, created_at";

fn notification(mut row: Row) -> Result<Notification> {
    Ok(Notification {
        id: row.next()?,
        user_id: UserId(row.next()?),
        kind: row.next()?,
        to: row.next()?,
        created_at: Timestamp(row.next()?),
    })
}

/// Keeps a mail; its id, or `None` when it is here.
pub(crate) async fn insert(transaction: &Transaction, mail: &Mail, data: &str, now: Timestamp) -> Result<Option<i64>> {
    let insert = "INSERT INTO mails (key, user_id, recipient, kind, data, secret_until, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key) DO NOTHING RETURNING id";
    let (kind, secret_until) = (mail.content.kind(), mail.content.secret_until().map(|time| time.0));
    let values = params![mail.id.to_string(), mail.user_id.0, mail.to.as_str(), kind, data, secret_until, now.0];
    transaction.query_one(insert, values).await?.map(|mut row| Ok(row.next()?)).transpose()
}

/// The id of the mail that its sender calls so.
pub(crate) async fn id_of(transaction: &Transaction, key: &str) -> Result<i64> {
    let row = transaction.query_one("SELECT id FROM mails WHERE key = $1", params![key]).await?;
    Ok(row.ok_or_else(|| Error::Internal("mails: no row".into()))?.next()?)
}

/// Up to `count` mails before that id, to one account or to all: the newest first.
pub(crate) async fn list(owner: Option<UserId>, before: i64, count: u32) -> Result<Vec<Notification>> {
    let rows = match owner {
        Some(owner) => {
            let list = format!("SELECT {COLUMNS} FROM mails WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
            DATABASE.query(&list, params![owner.0, before, count]).await?
        }
        None => {
            let list = format!("SELECT {COLUMNS} FROM mails WHERE id < $1 ORDER BY id DESC LIMIT $2");
            DATABASE.query(&list, params![before, count]).await?
        }
    };
    rows.into_iter().map(notification).collect()
}

/// The mail with that id.
pub(crate) async fn find(id: i64) -> Result<Option<Notification>> {
    let find = format!("SELECT {COLUMNS} FROM mails WHERE id = $1");
    DATABASE.query_one(&find, params![id]).await?.map(notification).transpose()
}

/// Removes what mails say when it is of no use any more, a bounded number at a time.
pub(crate) async fn remove_secrets(now: Timestamp) -> Result<()> {
    const EXPIRED: &str = "SELECT id FROM mails WHERE secret_until <= $1 LIMIT 500";
    // Most of the time there is nothing to do, and finding that out must not take the write lock.
    if DATABASE.query_one(EXPIRED, params![now.0]).await?.is_some() {
        let update = format!("UPDATE mails SET data = NULL, secret_until = NULL WHERE id IN ({EXPIRED})");
        DATABASE.execute(Durability::Durable, &update, params![now.0]).await?;
    }
    Ok(())
}

/// Deletes all mails to an account.
pub(crate) async fn forget(transaction: &Transaction, owner: UserId) -> Result<()> {
    Ok(transaction.execute("DELETE FROM mails WHERE user_id = $1", params![owner.0]).await?)
}
