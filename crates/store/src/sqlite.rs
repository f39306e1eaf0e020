//! The engine: Spin's SQLite.

// The SDK wraps only the asynchronous half of Spin's interface; the other half is in its bindings.
use spin_sdk::sqlite::{Error as NativeError, Value as Native, wit::sqlite as spin};

use crate::{Durability, Error, Result, Row, Value};

/// An open connection. Dropping it closes it and rolls back what it had begun.
pub(crate) struct Connection(spin::Connection);

impl Connection {
    /// Opens the database `label`; its commits are as durable as asked for.
    pub(crate) async fn open(label: &str, durability: Durability) -> Result<Self> {
        let connection = Self(spin::Connection::open_async(label.to_owned()).await.map_err(error)?);
        // SQLite waits by sleeping, up to 100 ms at a time: better to be told at once and to wait asynchronously.
        connection.query("PRAGMA busy_timeout = 5", Vec::new())?;
        let synchronous = match durability {
            Durability::Durable => "PRAGMA synchronous = FULL",
            Durability::Relaxed => "PRAGMA synchronous = NORMAL",
        };
        connection.query(synchronous, Vec::new())?;
        Ok(connection)
    }

    /// Turns on write-ahead logging, which stays on with the file: readers and the writer do not wait for each other.
    pub(crate) async fn use_wal(&self) -> Result<()> {
        self.execute("PRAGMA journal_mode = WAL", Vec::new()).await.map(drop)
    }

    /// Runs one statement and returns its rows, while the instance goes on with its other requests: for what may wait,
    /// for the lock or for the disk.
    pub(crate) async fn execute(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let params = params.into_iter().map(into_native).collect();
        let (_, rows, end) = self.0.execute_async(sql.to_owned(), params).await.map_err(error)?;
        // The statement has run only when its result is drained.
        let rows = rows.collect().await;
        end.await.map_err(error)?;
        Ok(rows.into_iter().map(into_row).collect())
    }

    /// Runs one statement and returns its rows while the instance stands still: for what neither waits nor takes long, a
    /// read or a statement within a transaction. Half the cost of [`execute`](Self::execute), which makes a stream and
    /// a future for each result.
    pub(crate) fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let params: Vec<_> = params.into_iter().map(into_native).collect();
        let result = self.0.execute(sql, &params).map_err(error)?;
        Ok(result.rows.into_iter().map(into_row).collect())
    }
}

fn into_row(row: spin::RowResult) -> Row {
    Row::new(row.values.into_iter().map(from_native).collect())
}

fn into_native(value: Value) -> Native {
    match value {
        Value::Null => Native::Null,
        Value::Integer(value) => Native::Integer(value),
        Value::Boolean(value) => Native::Integer(value.into()),
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
fn error(error: NativeError) -> Error {
    match error {
        NativeError::Io(message) if message.contains("is locked") || message.contains("is busy") => Error::Busy,
        NativeError::Io(message) if message.contains("UNIQUE constraint failed") => Error::NotUnique(message),
        NativeError::Io(message) => Error::Engine(message),
        NativeError::NoSuchDatabase => {
            Error::Engine("no such database: is its label in the runtime configuration?".into())
        }
        NativeError::AccessDenied => Error::Engine("access denied: spin.toml does not grant this database".into()),
        other => Error::Engine(format!("{other:?}")),
    }
}
