//! SQL, and only SQL: a file for each of the tables that belong together.

pub(crate) mod addresses;
pub(crate) mod failures;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod payment_methods;
pub(crate) mod reset_codes;
pub(crate) mod sessions;
pub(crate) mod users;
pub(crate) mod written;

use model::Timestamp;
use store::{Database, Row, Transaction, Value, params};
use web::Result;

use crate::DATABASE;

/// What can be read from: the database, or a transaction that is under way in it.
pub(crate) trait Source {
    async fn rows(&self, sql: &str, params: Vec<Value>) -> store::Result<Vec<Row>>;

    async fn row(&self, sql: &str, params: Vec<Value>) -> store::Result<Option<Row>> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }
}

impl Source for Database {
    async fn rows(&self, sql: &str, params: Vec<Value>) -> store::Result<Vec<Row>> {
        self.query(sql, params).await
    }
}

impl Source for Transaction {
    async fn rows(&self, sql: &str, params: Vec<Value>) -> store::Result<Vec<Row>> {
        self.query(sql, params).await
    }
}

/// What expires, with its key and the column that says when.
const EXPIRING: [(&str, &str, &str); 4] = [
    ("refresh_tokens", "hash", "expires_at"),
    ("sessions", "id", "expires_at"),
    ("failures", "address", "forget_at"),
    ("reset_codes", "address", "expires_at"),
];

/// Forgets what has expired, a bounded number at a time.
pub(crate) async fn prune(now: Timestamp) -> Result<()> {
    for (table, key, end) in EXPIRING {
        DATABASE.prune(table, key, &format!("{end} < $1"), params![now.0]).await?;
    }
    Ok(())
}
