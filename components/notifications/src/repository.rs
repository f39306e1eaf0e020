//! SQL, and only SQL.

use model::{Timestamp, UserId};
use store::{Durability, Row, Transaction, params};
use web::Result;

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

/// Keeps a mail; its id, or `None` when it is here, or its user is gone.
pub(crate) async fn insert(transaction: &Transaction, mail: &Mail, data: &str, now: Timestamp) -> Result<Option<i64>> {
    let insert = "INSERT INTO mails (key, user_id, recipient, kind, data, keep_until, created_at) \
         SELECT $1, $2, $3, $4, $5, $6, $7 WHERE NOT EXISTS (SELECT 1 FROM forgotten_users WHERE user_id = $2) \
         ON CONFLICT (key) DO NOTHING RETURNING id";
    let (kind, keep_until) = (mail.content.kind(), mail.content.keep_until(now).0);
    let values = params![mail.id.to_string(), mail.user_id.0, mail.to.as_str(), kind, data, keep_until, now.0];
    transaction.query_one(insert, values).await?.map(|mut row| Ok(row.next()?)).transpose()
}

/// The id of the mail that its sender calls so; `None` when it is not here.
pub(crate) async fn id_of(transaction: &Transaction, key: &str) -> Result<Option<i64>> {
    let row = transaction.query_one("SELECT id FROM mails WHERE key = $1", params![key]).await?;
    row.map(|mut row| Ok(row.next()?)).transpose()
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

/// Deletes what need not be kept any more, a bounded number at a time: mails, and who is gone.
pub(crate) async fn prune(now: Timestamp) -> Result<()> {
    // Most of the time there is nothing to do, and finding that out must not take the write lock.
    let any = "SELECT EXISTS (SELECT 1 FROM mails WHERE keep_until <= $1), \
         EXISTS (SELECT 1 FROM forgotten_users WHERE keep_until <= $1)";
    let Some(mut row) = DATABASE.query_one(any, params![now.0]).await? else { return Ok(()) };
    let (mails, users): (bool, bool) = (row.next()?, row.next()?);
    if mails {
        // On disk at once: some of them were secrets.
        let delete = "DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE keep_until <= $1 LIMIT 500)";
        DATABASE.execute(Durability::Durable, delete, params![now.0]).await?;
    }
    if users {
        let delete = "DELETE FROM forgotten_users WHERE user_id IN \
             (SELECT user_id FROM forgotten_users WHERE keep_until <= $1 LIMIT 500)";
        DATABASE.execute(Durability::Relaxed, delete, params![now.0]).await?;
    }
    Ok(())
}

/// Deletes all mails to a user, and remembers until `keep_until` that no more are kept.
pub(crate) async fn forget(transaction: &Transaction, user: UserId, keep_until: Timestamp) -> Result<()> {
    let insert = "INSERT INTO forgotten_users (user_id, keep_until) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
    transaction.execute(insert, params![user.0, keep_until.0]).await?;
    Ok(transaction.execute("DELETE FROM mails WHERE user_id = $1", params![user.0]).await?)
}
