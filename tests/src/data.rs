//! The data of a shop, read from the outside.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, types::ValueRef};
use serde_json::{Value, json};

use crate::postgres::Schemas;

/// Rows of a result, each a list of its columns.
pub type Rows = Vec<Vec<Value>>;

/// Where a shop has its data.
pub(crate) struct Data {
    /// Its files.
    root: PathBuf,
    /// What its services have instead of files, when they are on Postgres.
    schemas: Option<Schemas>,
}

/// The database of a service, below the directory of a shop.
pub(crate) fn file(root: &Path, service: &str) -> PathBuf {
    root.join(format!("sqlite_database/{service}.db"))
}

impl Data {
    pub(crate) fn new(root: &Path, schemas: Option<Schemas>) -> Self {
        Self { root: root.to_owned(), schemas }
    }

    fn open(path: &Path, flags: OpenFlags) -> Option<Connection> {
        if !path.exists() {
            return None;
        }
        let connection = Connection::open_with_flags(path, flags).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        Some(connection)
    }

    /// The rows of a query on the database of a service; none when it has no such database or table yet.
    pub(crate) fn query(&self, service: &str, sql: &str) -> Rows {
        if let Some(schemas) = &self.schemas {
            return schemas.query(service, sql);
        }
        let path = file(&self.root, service);
        let Some(connection) = Self::open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return Vec::new() };
        rows(&connection, sql).unwrap_or_else(|error| match error.to_string() {
            missing if missing.contains("no such table") => Vec::new(),
            other => panic!("{service}: {other}: {sql}"),
        })
    }

    /// Changes the database of a service behind its back, in one transaction.
    pub(crate) fn tamper(&self, service: &str, sql: &str) {
        if let Some(schemas) = &self.schemas {
            return schemas.tamper(service, sql);
        }
        let path = file(&self.root, service);
        let connection = Self::open(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {sql}; COMMIT")).unwrap();
    }

    /// The last id that a table has ever given; null when it has given none.
    pub(crate) fn last_id(&self, service: &str, table: &str) -> Value {
        let sql = match self.schemas {
            Some(_) => format!("SELECT last_value FROM {table}_id_seq WHERE is_called"),
            None => format!("SELECT seq FROM sqlite_sequence WHERE name = '{table}'"),
        };
        self.query(service, &sql).pop().and_then(|mut row| row.pop()).unwrap_or(Value::Null)
    }

    /// Where a database is, or a key-value store.
    pub(crate) fn store(&self, label: &str, database: bool) -> PathBuf {
        if database { file(&self.root, label) } else { self.root.join(format!("key_value_store/{label}.db")) }
    }

    /// Keys and JSON values of a key-value store.
    pub(crate) fn entries(&self, store: &str) -> Vec<(String, Value)> {
        let path = self.store(store, false);
        let Some(connection) = Self::open(&path, OpenFlags::SQLITE_OPEN_READ_ONLY) else { return Vec::new() };
        // The table of Spin's own store; our host keeps the same.
        let rows = rows(&connection, "SELECT key, CAST(value AS TEXT) FROM spin_key_value ORDER BY key").unwrap();
        let entry = |row: Vec<Value>| {
            let value = serde_json::from_str(row[1].as_str().unwrap()).unwrap();
            (row[0].as_str().unwrap().to_owned(), value)
        };
        rows.into_iter().map(entry).collect()
    }
}

fn rows(connection: &Connection, sql: &str) -> rusqlite::Result<Rows> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null => Value::Null,
                    ValueRef::Integer(value) => json!(value),
                    ValueRef::Real(value) => json!(value),
                    ValueRef::Text(value) => json!(String::from_utf8_lossy(value)),
                    ValueRef::Blob(value) => json!(value),
                })
            })
            .collect()
    })?;
    rows.collect()
}
