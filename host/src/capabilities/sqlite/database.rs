//! Database files and connections to them, arranged so that a statement costs no thread switch
//! unless it can block.
//!
//! A read, and a write inside a transaction that has the write lock, runs where it is called. What
//! waits for the disk (a commit, a write of its own) runs on a thread for blocking work. What waits
//! for another writer waits asynchronously, and is told when that writer is done; SQLite's own busy
//! handler would sleep, up to 100 ms at a time. The guest sees what it would see of SQLite: success,
//! or "database is locked" after the connection's `busy_timeout`.

use std::path::Path;
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, Row, ToSql, TransactionState, params_from_iter};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use crate::bindings::sqlite::{Error, RowResult, Value};
use crate::runtime_config::Location;

/// The largest result of one statement, as in Spin.
const MOST_RESULT_BYTES: usize = 128 << 20;

/// How long a new connection waits for a lock, as in Spin; a guest changes it by `PRAGMA`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements that a connection keeps.
const CACHED_STATEMENTS: usize = 64;

/// How long to wait for word from the writer that has the lock; it may be in another process.
const BUSY_RECHECK: Duration = Duration::from_millis(5);

/// A database that connections are opened to.
pub(crate) struct DatabaseFile {
    location: Location,
    /// A connection that stays open between those of the guests: closing a database's last
    /// connection would fold its write-ahead log back into it, every time instances come and go.
    anchor: BlockingMutex<Option<rusqlite::Connection>>,
    /// Told whenever a connection gives up the write lock.
    released: Notify,
}

/// A guest's connection; clones are the same connection.
#[derive(Clone)]
pub struct Connection(Arc<Mutex<Inner>>);

struct Inner {
    sqlite: rusqlite::Connection,
    busy_timeout: Duration,
    file: Arc<DatabaseFile>,
}

/// What became of a statement.
pub(crate) struct Outcome {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<RowResult>,
    pub(crate) result: Result<(), Error>,
}

impl Outcome {
    pub(crate) fn failed(error: Error) -> Self {
        Self { columns: Vec::new(), rows: Vec::new(), result: Err(error) }
    }
}

/// What a statement is likely to do, by its first word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Reads, or takes a lock without waiting for the disk.
    Quick,
    /// Begins with a table expression: reads or writes.
    With,
    /// Writes rows: to memory inside a transaction, to disk outside of one.
    Write,
    /// Sets how this connection waits or syncs, which touches no file but to read the schema.
    Setting,
    /// Anything else, such as `COMMIT` and other `PRAGMA`s.
    Other,
}

impl Kind {
    fn of(sql: &str) -> Self {
        let (word, rest) = first_word(sql);
        let is = |known: &&str| known.eq_ignore_ascii_case(word);
        if ["SELECT", "VALUES", "EXPLAIN", "BEGIN", "SAVEPOINT"].iter().any(is) {
            Self::Quick
        } else if ["INSERT", "UPDATE", "DELETE", "REPLACE"].iter().any(is) {
            Self::Write
        } else if is(&"WITH") {
            Self::With
        } else if is(&"PRAGMA") && ["busy_timeout", "synchronous"].contains(&first_word(rest).0) {
            Self::Setting
        } else {
            Self::Other
        }
    }
}

/// The first word of a statement, after white space and comments, and what follows it.
fn first_word(sql: &str) -> (&str, &str) {
    let mut rest = sql.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map(|(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map(|(_, after)| after)
        } else {
            break;
        };
        rest = after.unwrap_or("").trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic() && c != '_');
    rest.split_at(end.unwrap_or(rest.len()))
}

impl DatabaseFile {
    pub(crate) fn new(location: Location) -> Arc<Self> {
        Arc::new(Self { location, anchor: BlockingMutex::default(), released: Notify::new() })
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// If SQLite cannot open the file.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Connection, Error> {
        let sqlite = self.open_sqlite().map_err(io)?;
        Ok(Connection(Arc::new(Mutex::new(Inner { sqlite, busy_timeout: BUSY_TIMEOUT, file: self.clone() }))))
    }

    fn open_sqlite(&self) -> rusqlite::Result<rusqlite::Connection> {
        let mut connection = match &self.location.path {
            None => rusqlite::Connection::open_in_memory()?,
            Some(path) => {
                self.anchor(path)?;
                rusqlite::Connection::open(path)?
            }
        };
        connection.busy_timeout(Duration::ZERO)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        if !self.location.allow_attach {
            connection.authorizer(Some(forbid_attach))?;
        }
        Ok(connection)
    }

    fn anchor(&self, path: &Path) -> rusqlite::Result<()> {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        if anchor.is_none() {
            let connection = rusqlite::Connection::open(path)?;
            connection.busy_timeout(Duration::ZERO)?;
            *anchor = Some(connection);
        }
        Ok(())
    }

    /// Has the anchor read, by which it notices that the file has a write-ahead log by now.
    fn hold(&self) {
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(anchor) = anchor.as_ref() {
            // If it fails, the log is folded back once more than needed.
            _ = anchor.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        }
    }
}

/// Guests may attach only databases that are not files.
fn forbid_attach(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { filename } if !matches!(filename, "" | ":memory:") => Authorization::Deny,
        _ => Authorization::Allow,
    }
}

impl Connection {
    pub(crate) async fn last_insert_rowid(&self) -> i64 {
        self.0.lock().await.sqlite.last_insert_rowid()
    }

    pub(crate) async fn changes(&self) -> u64 {
        self.0.lock().await.sqlite.changes()
    }

    /// Runs one statement to its end.
    pub(crate) async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Outcome {
        let kind = Kind::of(sql);
        let mut inner = self.0.clone().lock_owned().await;
        let mut parameters = parameters;
        let mut began = None;
        loop {
            let before = inner.state();
            let attempt = match inner.run_quick(kind, before, sql, &parameters) {
                Some(attempt) => attempt,
                None => {
                    let blocking = run_blocking(inner, before, sql.to_owned(), parameters).await;
                    match blocking {
                        Ok(done) => {
                            (inner, parameters) = (done.0, done.1);
                            done.2
                        }
                        Err(error) => return Outcome::failed(error),
                    }
                }
            };
            inner.tell_release(kind, before, attempt.is_ok());
            let error = match attempt {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            // A connection that has a lock already must not wait for more: SQLite calls that a
            // deadlock, and answers at once.
            let may_wait = before == TransactionState::None && is_busy(&error);
            let began = *began.get_or_insert_with(Instant::now);
            if !may_wait || began.elapsed() >= inner.busy_timeout {
                return Outcome::failed(io(error));
            }
            let file = inner.file.clone();
            _ = tokio::time::timeout(BUSY_RECHECK, file.released.notified()).await;
        }
    }
}

type Attempt = rusqlite::Result<Outcome>;

/// Runs a statement on a thread where it may block.
async fn run_blocking(
    mut inner: OwnedMutexGuard<Inner>,
    before: TransactionState,
    sql: String,
    parameters: Vec<Value>,
) -> Result<(OwnedMutexGuard<Inner>, Vec<Value>, Attempt), Error> {
    let work = move || {
        let attempt = inner.run_patiently(before, &sql, &parameters);
        (inner, parameters, attempt)
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Io(error.to_string()))
}

impl Inner {
    /// The strongest lock that the connection holds on any of its databases.
    fn state(&self) -> TransactionState {
        if self.sqlite.is_autocommit() {
            return TransactionState::None;
        }
        self.sqlite.transaction_state(None::<&str>).unwrap_or(TransactionState::None)
    }

    /// Tells one waiting writer if the statement has given up the write lock.
    fn tell_release(&self, kind: Kind, before: TransactionState, succeeded: bool) {
        let had_lock = match before {
            TransactionState::Write => true,
            // A write of its own takes the lock and gives it up. One that failed has not had it:
            // if it told others, waiting writers would wake each other without end.
            _ => succeeded && !matches!(kind, Kind::Quick | Kind::Setting),
        };
        if had_lock && self.state() != TransactionState::Write {
            self.file.released.notify_one();
        }
    }

    /// Runs the statement here, if it cannot block.
    fn run_quick(&mut self, kind: Kind, before: TransactionState, sql: &str, parameters: &[Value]) -> Option<Attempt> {
        let quick = match kind {
            Kind::Setting => return Some(self.run_patiently(before, sql, parameters)),
            Kind::Quick => true,
            Kind::Write => before == TransactionState::Write,
            Kind::With => before == TransactionState::Write || self.is_read(sql),
            Kind::Other => false,
        };
        quick.then(|| self.run(sql, parameters))
    }

    fn is_read(&self, sql: &str) -> bool {
        self.sqlite.prepare_cached(sql).is_ok_and(|statement| statement.readonly())
    }

    /// Runs the statement where it may wait for the disk, and, holding a lock, for other locks.
    fn run_patiently(&mut self, before: TransactionState, sql: &str, parameters: &[Value]) -> Attempt {
        let sets_timeout = sql.to_ascii_lowercase().contains("busy_timeout");
        if before == TransactionState::None && !sets_timeout {
            return self.run(sql, parameters);
        }
        self.sqlite.busy_timeout(self.busy_timeout)?;
        let attempt = self.run(sql, parameters);
        if sets_timeout {
            let query = "PRAGMA busy_timeout";
            let millis: u32 = self.sqlite.query_row(query, [], |row| row.get(0))?;
            self.busy_timeout = Duration::from_millis(millis.into());
        }
        self.sqlite.busy_timeout(Duration::ZERO)?;
        attempt
    }

    fn run(&self, sql: &str, parameters: &[Value]) -> Attempt {
        let mut statement = self.sqlite.prepare_cached(sql)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let width = columns.len();
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut rows = statement.query(params_from_iter(parameters.iter().map(Parameter)))?;
        while let Some(row) = rows.next()? {
            let row = read(row, width, &mut bytes)?;
            if bytes > MOST_RESULT_BYTES {
                let message = format!("query result exceeds limit of {MOST_RESULT_BYTES} bytes");
                return Ok(Outcome::failed(Error::Io(message)));
            }
            found.push(row);
        }
        Ok(Outcome { columns, rows: found, result: Ok(()) })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.file.hold();
        // An open transaction ends with the connection, just after this.
        if self.state() != TransactionState::None {
            _ = self.sqlite.execute_batch("ROLLBACK");
        }
        self.file.released.notify_one();
    }
}

fn read(row: &Row<'_>, width: usize, bytes: &mut usize) -> rusqlite::Result<RowResult> {
    let mut values = Vec::with_capacity(width);
    for index in 0..width {
        let value = match row.get_ref(index)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(integer) => Value::Integer(integer),
            ValueRef::Real(real) => Value::Real(real),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|error| rusqlite::Error::Utf8Error(index, error))?;
                Value::Text(text.to_owned())
            }
            ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
        };
        *bytes += size_of::<Value>();
        if let Value::Text(text) = &value {
            *bytes += text.len();
        } else if let Value::Blob(blob) = &value {
            *bytes += blob.len();
        }
        values.push(value);
    }
    Ok(RowResult { values })
}

struct Parameter<'a>(&'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(blob) => ValueRef::Blob(blob),
            Value::Null => ValueRef::Null,
        }))
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn io(error: rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_word() {
        assert_eq!(first_word("SELECT 1"), ("SELECT", " 1"));
        assert_eq!(first_word("  -- note\n /* more */ begin immediate"), ("begin", " immediate"));
        assert_eq!(first_word("-- only a comment"), ("", ""));
        assert_eq!(first_word("commit;"), ("commit", ";"));
        assert_eq!(first_word(" busy_timeout = 5"), ("busy_timeout", " = 5"));
    }

    #[tokio::test]
    async fn a_writer_waits_for_another_without_blocking() {
        let directory = tempfile::tempdir().unwrap();
        let file = DatabaseFile::new(Location { path: Some(directory.path().join("a.db")), allow_attach: false });
        let first = file.open().await.unwrap();
        let second = file.open().await.unwrap();
        let run =
            |connection: Connection, sql: &'static str| async move { connection.execute(sql, Vec::new()).await.result };
        run(first.clone(), "PRAGMA journal_mode=WAL").await.unwrap();
        run(first.clone(), "CREATE TABLE t(n INTEGER)").await.unwrap();
        run(first.clone(), "BEGIN IMMEDIATE").await.unwrap();
        run(second.clone(), "PRAGMA busy_timeout=30").await.unwrap();
        let refused = run(second.clone(), "BEGIN IMMEDIATE").await;
        assert!(format!("{refused:?}").contains("locked"), "{refused:?}");
        run(second.clone(), "PRAGMA busy_timeout=5000").await.unwrap();
        let waiting = tokio::spawn(run(second, "BEGIN IMMEDIATE"));
        tokio::task::yield_now().await;
        run(first.clone(), "INSERT INTO t VALUES (1)").await.unwrap();
        run(first, "COMMIT").await.unwrap();
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn refuses_to_attach_files() {
        let file = DatabaseFile::new(Location { path: None, allow_attach: false });
        let connection = file.open().await.unwrap();
        let attach = |what: &str| format!("ATTACH '{what}' AS other");
        let denied = connection.execute(&attach("/tmp/x.db"), Vec::new()).await;
        assert!(denied.result.is_err());
        let allowed = connection.execute(&attach(":memory:"), Vec::new()).await;
        assert!(allowed.result.is_ok());
    }
}
