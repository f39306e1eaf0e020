//! SQL, and only SQL: who sees which mails, and how long they are kept. Sending and users have files of their own.

pub(crate) mod sending;
pub(crate) mod users;

use std::str::FromStr;

use model::{NotificationKind as Kind, NotificationStatus as Status, Timestamp, UserId};
use store::{Database, Durability, Row, Transaction, Value, params};
use web::{Error, Result};

use crate::{DATABASE, mail::Notification};

const COLUMNS: &str = "id, user_id, kind, recipient, status, attempts, last_error, reference, created_at, sent_at";

fn notification(mut row: Row) -> Result<Notification> {
    Ok(Notification {
        id: row.next()?,
        user_id: row.next::<Option<i64>>()?.map(UserId),
        kind: word(&mut row)?,
        to: row.next()?,
        status: word(&mut row)?,
        attempts: row.next()?,
        last_error: row.next()?,
        reference: row.next()?,
        created_at: Timestamp(row.next()?),
        sent_at: row.next::<Option<i64>>()?.map(Timestamp),
    })
}

fn word<T: FromStr<Err = model::UnknownWord>>(row: &mut Row) -> Result<T> {
    row.next::<String>()?.parse().map_err(|error| Error::Internal(format!("mails: {error}")))
}

/// Which mails to list.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Filter {
    pub(crate) user_id: Option<UserId>,
    pub(crate) status: Option<Status>,
    pub(crate) kind: Option<Kind>,
}

/// Up to `count` mails before that id: the newest first.
pub(crate) async fn list(filter: &Filter, before: i64, count: u32) -> Result<Vec<Notification>> {
    let (sql, values) = list_statement(filter, before, count);
    DATABASE.query(&sql, values).await?.into_iter().map(notification).collect()
}

fn list_statement(filter: &Filter, before: i64, count: u32) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut conditions: Vec<String> = Vec::new();
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(format!("{condition} ${}", values.len()));
    };
    // Nobody has many mails: an expression keeps the engine from the indexes of everybody's.
    let own = filter.user_id.is_some();
    if let Some(user_id) = filter.user_id {
        add("user_id =", user_id.0.into());
    }
    if let Some(status) = filter.status {
        add(if own { "status || '' =" } else { "status =" }, status.as_str().into());
    }
    if let Some(kind) = filter.kind {
        add(if own { "kind || '' =" } else { "kind =" }, kind.as_str().into());
    }
    add("id <", before.into());
    values.push(count.into());
    let conditions = conditions.join(" AND ");
    (format!("SELECT {COLUMNS} FROM mails WHERE {conditions} ORDER BY id DESC LIMIT ${}", values.len()), values)
}

const FIND: &str = "FROM mails WHERE id = $1";

/// The mail with that id.
pub(crate) async fn find(database: &Database, id: i64) -> Result<Option<Notification>> {
    database.query_one(&format!("SELECT {COLUMNS} {FIND}"), params![id]).await?.map(notification).transpose()
}

/// The same, in a transaction.
pub(crate) async fn find_in(transaction: &Transaction, id: i64) -> Result<Option<Notification>> {
    transaction.query_one(&format!("SELECT {COLUMNS} {FIND}"), params![id]).await?.map(notification).transpose()
}

/// The id of the mail that its sender calls so; `None` when it is not here.
pub(crate) async fn id_of(transaction: &Transaction, key: &str) -> Result<Option<i64>> {
    let row = transaction.query_one("SELECT id FROM mails WHERE key = $1", params![key]).await?;
    row.map(|mut row| Ok(row.next()?)).transpose()
}

/// What there is to do.
pub(crate) struct Chores {
    /// Mails need not be kept any more.
    expired: bool,
    /// Nor who is gone.
    forgotten: bool,
    /// Mails are to be sent.
    pub(crate) due: bool,
}

const CHORES: &str = "SELECT EXISTS (SELECT 1 FROM mails WHERE keep_until <= $1), \
     EXISTS (SELECT 1 FROM forgotten_users WHERE keep_until <= $1), EXISTS (SELECT 1 FROM mails WHERE due_at <= $1)";

/// What there is to do: most of the time nothing, and finding that out must not take the write lock.
pub(crate) async fn chores(now: Timestamp) -> Result<Chores> {
    let mut row = DATABASE.query_one(CHORES, params![now.0]).await?;
    let row = row.as_mut().ok_or_else(|| Error::Internal("mails: no row".into()))?;
    Ok(Chores { expired: row.next()?, forgotten: row.next()?, due: row.next()? })
}

/// Deletes what need not be kept any more, a bounded number at a time: mails, and who is gone.
pub(crate) async fn prune(chores: &Chores, now: Timestamp) -> Result<()> {
    if chores.expired {
        // On disk at once: some of them were secrets.
        let delete = "DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE keep_until <= $1 LIMIT 500)";
        DATABASE.execute(Durability::Durable, delete, params![now.0]).await?;
    }
    if chores.forgotten {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the engine does for each statement.
    fn plan(database: &rusqlite::Connection, sql: &str) -> Vec<String> {
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Only the statement matters, not what its parameters are.
        let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        steps
    }

    fn database() -> rusqlite::Connection {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        database.execute_batch(crate::FILES.get_file("0001_mails.sql").unwrap().contents_utf8().unwrap()).unwrap();
        database
    }

    #[test]
    fn no_list_of_mails_is_sorted_or_read_from_its_beginning() {
        let database = database();
        for user_id in [None, Some(UserId(7))] {
            for status in [None, Some(Status::Failed)] {
                for kind in [None, Some(Kind::OrderPaid)] {
                    let (sql, _) = list_statement(&Filter { user_id, status, kind }, 7, 20);
                    let steps = plan(&database, &sql);
                    let index = match (user_id, status, kind) {
                        (Some(_), ..) => "INDEX mails_of_user (user_id=? AND ",
                        (_, Some(_), Some(_)) => "INDEX mails_by_status_and_kind (status=? AND kind=? AND ",
                        (_, Some(_), None) => "INDEX mails_by_status (status=? AND ",
                        (_, None, Some(_)) => "INDEX mails_by_kind (kind=? AND ",
                        (_, None, None) => "INTEGER PRIMARY KEY (",
                    };
                    assert_eq!(steps.len(), 1, "{sql}: {steps:?}");
                    assert!(steps[0].contains(index) && steps[0].ends_with("<?)"), "{sql}: {steps:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_due_is_found_along_an_index() {
        let database = database();
        for sql in [CHORES, &sending::begin_statement(8)] {
            let steps = plan(&database, sql);
            assert!(steps.iter().any(|step| step.contains("mails_due (due_at<?)")), "{sql}: {steps:?}");
            let slow = |step: &String| step.starts_with("SCAN mails") || step.contains("B-TREE");
            assert!(!steps.iter().any(slow), "{sql}: {steps:?}");
        }
    }
}
