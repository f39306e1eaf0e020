//! The engine: Spin's SQLite.

use spin_sdk::sqlite::{self, Value as Native};

use crate::{Durability, Error, Result, Row, Value};

/// An open connection. Dropping it closes it and rolls back what it had begun.
pub(crate) struct Connection(sqlite::Connection);

impl Connection {
    /// Opens the database `label`; its commits are as durable as asked for.
    pub(crate) async fn open(label: &str, durability: Durability) -> Result<Self> {
        let connection = Self(sqlite::Connection::open(label).await.map_err(error)?);
        // SQLite waits by sleeping, up to 100 ms at a time: better to be told at once and to wait asynchronously.
        connection.execute("PRAGMA busy_timeout = 5", Vec::new()).await?;
        let synchronous = match durability {
            Durability::Durable => "PRAGMA synchronous = FULL",
            Durability::Relaxed => "PRAGMA synchronous = NORMAL",
        };
        connection.execute(synchronous, Vec::new()).await?;
        Ok(connection)
    }

    /// Turns on write-ahead logging, which stays on with the file: readers and the writer do not wait for each other.
    pub(crate) async fn use_wal(&self) -> Result<()> {
        self.execute("PRAGMA journal_mode = WAL", Vec::new()).await.map(drop)
    }

    /// Runs one statement to its end and returns its rows.
    pub(crate) async fn execute(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let rows = self.0.execute(sql, params.into_iter().map(into_native)).await.map_err(error)?;
        // The statement has run only when its result is drained.
        let rows = rows.collect().await.map_err(error)?;
        Ok(rows.into_iter().map(|row| Row::new(row.values.into_iter().map(from_native).collect())).collect())
    }
}

fn into_native(value: Value) -> Native {
    match value {
        Value::Null => Native::Null,
        Value::Integer(value) => Native::Integer(value),
        Value::Real(value) => Native::Real(value),
        Value::Text(value) => Native::Text(value),
        Value::Blob(value) => Native::Blob(value),
    }
}

fn from_native(value: Native) -> Value {
    match value {
        Native::Null => Value::Null,
        Native::Integer(value) => Value::Integer(value),
        Native::Real(value) => Value::Real(value),
        Native::Text(value) => Value::Text(value),
        Native::Blob(value) => Value::Blob(value),
    }
}

/// Spin hands on SQLite's message, not its code.
fn error(error: sqlite::Error) -> Error {
    match error {
        sqlite::Error::Io(message) if message.contains("is locked") || message.contains("is busy") => Error::Busy,
        sqlite::Error::Io(message) if message.contains("UNIQUE constraint failed") => Error::NotUnique(message),
        sqlite::Error::Io(message) => Error::Engine(message),
        sqlite::Error::NoSuchDatabase => {
            Error::Engine("no such database: is its label in the runtime configuration?".into())
        }
        sqlite::Error::AccessDenied => Error::Engine("access denied: spin.toml does not grant this database".into()),
        other => Error::Engine(format!("{other:?}")),
    }
}
