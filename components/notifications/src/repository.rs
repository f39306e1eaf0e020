//! SQL, and only SQL: who sees which mails, and how long they are kept. Sending and users have files of their own.

pub(crate) mod sending;
pub(crate) mod users;

use std::str::FromStr;

use model::{NotificationKind as Kind, NotificationStatus as Status, Timestamp, UserId};
use store::{Conditions, Database, Durability, Row, Transaction, WINDOW, params};
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

impl Filter {
    /// What an index finds.
    fn indexed(&self, before: i64) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(user_id) = self.user_id {
            conditions.add("user_id =", user_id.0);
        } else {
            conditions.add_some("status =", self.status.map(Status::as_str));
            conditions.add_some("kind =", self.kind.map(Kind::as_str));
        }
        conditions.add("id <", before);
        conditions
    }

    /// What must be looked at mail by mail: an expression keeps the engine from the indexes of everybody's.
    fn others(&self, mut conditions: Conditions) -> Conditions {
        if self.user_id.is_some() {
            conditions.add_some("status || '' =", self.status.map(Status::as_str));
            conditions.add_some("kind || '' =", self.kind.map(Kind::as_str));
        }
        conditions
    }

    /// Whether few of many mails may be what is looked for.
    fn is_sparse(&self) -> bool {
        self.user_id.is_some() && (self.status.is_some() || self.kind.is_some())
    }
}

/// Up to `count` mails before that id, the newest first, and, when the look ended before the list did, the id where it
/// ended.
pub(crate) async fn list(filter: &Filter, before: i64, count: u32) -> Result<(Vec<Notification>, Option<i64>)> {
    let mut conditions = filter.indexed(before);
    let mut floor = None;
    if filter.is_sparse() {
        let row = DATABASE.query_one(&floor_statement(&conditions), conditions.values()).await?;
        floor = row.map(|mut row| row.next::<i64>()).transpose()?;
        conditions.add_some("id >=", floor);
    }
    let conditions = filter.others(conditions);
    let rows = DATABASE.query(&list_statement(&conditions, count), conditions.values()).await?;
    Ok((rows.into_iter().map(notification).collect::<Result<_>>()?, floor))
}

/// Asks for the last mail of the window.
fn floor_statement(conditions: &Conditions) -> String {
    format!("SELECT id FROM mails WHERE {} ORDER BY id DESC LIMIT 1 OFFSET {}", conditions.sql(), WINDOW - 1)
}

fn list_statement(conditions: &Conditions, count: u32) -> String {
    format!("SELECT {COLUMNS} FROM mails WHERE {} ORDER BY id DESC LIMIT {count}", conditions.sql())
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
    /// Until when the mail API wants no mails, or wanted none.
    pub(crate) paused_until: Timestamp,
}

const CHORES: &str = "SELECT EXISTS (SELECT 1 FROM mails WHERE keep_until <= $1), \
     EXISTS (SELECT 1 FROM forgotten_users WHERE keep_until <= $1), EXISTS (SELECT 1 FROM mails WHERE due_at <= $1), \
     COALESCE((SELECT ends_at FROM pause WHERE id = 1), 0)";

/// What there is to do: most of the time nothing, and finding that out must not take the write lock.
pub(crate) async fn chores(now: Timestamp) -> Result<Chores> {
    let mut row = DATABASE.query_one(CHORES, params![now.0]).await?;
    let row = row.as_mut().ok_or_else(|| Error::Internal("mails: no row".into()))?;
    Ok(Chores { expired: row.next()?, forgotten: row.next()?, due: row.next()?, paused_until: Timestamp(row.next()?) })
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
                    let filter = Filter { user_id, status, kind };
                    let sql = list_statement(&filter.others(filter.indexed(7)), 20);
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
    fn a_look_among_the_mails_of_one_reader_ends_at_its_window() {
        let database = database();
        let filter = Filter { user_id: Some(UserId(7)), status: Some(Status::Failed), kind: None };
        let mut conditions = filter.indexed(7);
        let steps = plan(&database, &floor_statement(&conditions));
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(steps[0].contains("INDEX mails_of_user (user_id=? AND ") && steps[0].ends_with("<?)"), "{steps:?}");
        conditions.add("id >=", 3_i64);
        let steps = plan(&database, &list_statement(&filter.others(conditions), 20));
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(steps[0].contains("INDEX mails_of_user (user_id=? AND ") && steps[0].contains(">?"), "{steps:?}");
    }

    #[test]
    fn that_a_mail_was_sent_outdoes_that_it_was_given_up_but_not_that_it_is_sent_again() {
        for (status, due_at, sends, expected) in [
            ("pending", Some(1), 1, "sent"),
            ("failed", None, 1, "sent"),
            ("pending", Some(1), 2, "pending"),
            ("failed", None, 2, "failed"),
        ] {
            let database = database();
            let insert = "INSERT INTO mails (id, key, kind, data, status, attempts, sends, give_up_after, key_since, letter, \
                 due_at, keep_until, created_at) VALUES (1, 'x', 'test', '', $1, 3, $2, 8, 0, '', $3, 9, 0)";
            database.execute(insert, (status, sends, due_at)).unwrap();
            database.execute(sending::SENT, (None::<String>, 5, "a@example.com", 1, 1)).unwrap();
            let found = database.query_row("SELECT status, letter IS NULL FROM mails", (), |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?))
            });
            assert_eq!(found.unwrap(), (expected.to_owned(), expected == "sent"), "{status} {sends}");
        }
    }

    #[test]
    fn what_is_due_is_found_along_an_index() {
        let database = database();
        for sql in [CHORES, &sending::begin_statement(8, 60)] {
            let steps = plan(&database, sql);
            assert!(steps.iter().any(|step| step.contains("mails_due (due_at<?)")), "{sql}: {steps:?}");
            let slow = |step: &String| step.starts_with("SCAN mails") || step.contains("B-TREE");
            assert!(!steps.iter().any(slow), "{sql}: {steps:?}");
        }
    }
}
