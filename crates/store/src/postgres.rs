//! The other engine: Postgres, over Spin's pool of connections.
//!
//! The pool hands on a connection in whatever state it comes back, also inside a transaction whose instance has trapped,
//! with its locks. So whoever opens one rolls back first; and until somebody does, the server ends a transaction in which
//! nothing happens for ten seconds.

use futures::future::join;
use spin_sdk::pg::wit::postgres::{Connection as Native, DbValue, Error as NativeError, ParameterValue, QueryError};

use crate::{Error, Result, Row, Value, connection::Source};

/// What every connection is set to: how long a transaction may do nothing, and how long a statement waits for a lock
/// before the work is given up and tried again on another connection.
const SETTINGS: &str =
    "-c idle_in_transaction_session_timeout=10s -c lock_timeout=250ms -c default_transaction_deferrable=off";
/// For commits that may be done again after a crash of the server.
const RELAXED: &str = " -c synchronous_commit=off";

/// The database at `url`, for the service with that `label`.
pub(crate) fn source(url: &str, label: &str) -> Source {
    let with = |settings: &str| {
        let options: String = settings.replace(' ', "%20").replace('=', "%3D");
        // What the address says itself comes last, and wins.
        match url.split_once("options=") {
            Some((before, own)) => format!("{before}options={options}%20{own}"),
            None => format!("{url}{}options={options}", if url.contains('?') { '&' } else { '?' }),
        }
    };
    Source::Postgres { durable: with(SETTINGS), relaxed: with(&format!("{SETTINGS}{RELAXED}")), lock: number(label) }
}

/// FNV-1a: the number of a service's write lock, so that services can share a database.
fn number(label: &str) -> i64 {
    let hash = label
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash.cast_signed()
}

/// The statement, which ends with its condition, when the write lock is free. It sees what was there before it waited, but
/// each row that its condition names as it is then.
pub(crate) fn in_turn(sql: &str, lock: i64) -> String {
    format!("{sql} AND EXISTS (SELECT 1 FROM pg_advisory_xact_lock({lock}))")
}

/// An open connection. Dropping it gives it back to the pool.
pub(crate) struct Connection {
    native: Native,
    lock: i64,
}

impl Connection {
    /// Opens one, when the pool has one: that may take for ever.
    pub(crate) async fn open(address: &str, lock: i64) -> Result<Self> {
        let native = Native::open_async(address.to_owned()).await.map_err(error)?;
        let connection = Self { native, lock };
        connection.execute("ROLLBACK").await?;
        Ok(connection)
    }

    /// Begins a transaction that holds the write lock of the service: like on the other engine, nobody else decides on
    /// what this one is about to change.
    pub(crate) async fn begin(&self) -> Result<()> {
        // Both are under way at once, so that the lock costs no round trip of its own. That the first arrives first nobody
        // promises: a transaction that is deferrable, which says nothing to one that writes, is known by that.
        let lock = "SELECT 1 FROM pg_advisory_xact_lock($1) WHERE current_setting('transaction_deferrable') = 'on'";
        let lock = || self.query(lock, vec![Value::Integer(self.lock)]);
        let (begun, locked) = join(self.execute("BEGIN DEFERRABLE"), lock()).await;
        begun?;
        let locked = match locked {
            Ok(rows) if rows.is_empty() => lock().await,
            other => other,
        };
        if locked.is_err() {
            self.execute("ROLLBACK").await?;
        }
        locked.map(drop)
    }

    /// Whether somebody holds the write lock who has done nothing for a while: an instance that has died, or is very slow.
    pub(crate) async fn is_abandoned(&self) -> Result<bool> {
        let held = "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' \
             AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.objsubid = 1 \
             AND (l.classid::bigint << 32) | l.objid::bigint = $1 AND l.granted AND a.state = 'idle in transaction' \
             AND a.state_change < clock_timestamp() - interval '200 milliseconds'";
        Ok(!self.query(held, vec![Value::Integer(self.lock)]).await?.is_empty())
    }

    /// Whether this connection was made just now, because the pool had none.
    pub(crate) async fn is_new(&self) -> Result<bool> {
        let new = "SELECT 1 FROM pg_stat_activity WHERE pid = pg_backend_pid() \
             AND backend_start > clock_timestamp() - interval '100 milliseconds'";
        Ok(!self.query(new, Vec::new()).await?.is_empty())
    }

    pub(crate) async fn execute(&self, sql: &str) -> Result<()> {
        self.native.execute_async(sql.to_owned(), Vec::new()).await.map(drop).map_err(error)
    }

    pub(crate) async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let params = params.into_iter().map(into_native).collect();
        let (_, rows, end) = self.native.query_async(without_hints(sql), params).await.map_err(error)?;
        // The statement has run only when its result is drained.
        let rows = rows.collect().await;
        end.await.map_err(error)?;
        rows.into_iter().map(into_row).collect()
    }
}

/// Without what is said to SQLite's planner alone, and so changes nothing: which index to take, in which order to join, that
/// an id is compared as it is.
fn without_hints(sql: &str) -> String {
    let mut parts = sql.split(" INDEXED BY ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // The name of the index.
        plain
            .push_str(part.trim_start_matches(|character: char| character.is_ascii_alphanumeric() || character == '_'));
    }
    let mut parts = plain.split(" CROSS JOIN ");
    let mut joined = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // With a condition it is an inner join, whose order SQLite keeps.
        let place = |word: &str| part.find(word).unwrap_or(usize::MAX);
        joined.push_str(if place(" ON ") < place(" WHERE ") { " JOIN " } else { " CROSS JOIN " });
        joined.push_str(part);
    }
    joined.replace(" COLLATE BINARY", "")
}

fn into_native(value: Value) -> ParameterValue {
    match value {
        Value::Null => ParameterValue::DbNull,
        Value::Integer(value) => ParameterValue::Int64(value),
        Value::Boolean(value) => ParameterValue::Boolean(value),
        Value::Real(value) => ParameterValue::Floating64(value),
        Value::Text(value) => ParameterValue::Str(value),
        Value::Blob(value) => ParameterValue::Binary(value),
    }
}

fn into_row(row: Vec<DbValue>) -> Result<Row> {
    Ok(Row::new(row.into_iter().map(from_native).collect::<Result<_>>()?))
}

fn from_native(value: DbValue) -> Result<Value> {
    Ok(match value {
        DbValue::DbNull => Value::Null,
        DbValue::Boolean(value) => Value::Boolean(value),
        DbValue::Int8(value) => Value::Integer(value.into()),
        DbValue::Int16(value) => Value::Integer(value.into()),
        DbValue::Int32(value) => Value::Integer(value.into()),
        DbValue::Int64(value) => Value::Integer(value),
        DbValue::Floating32(value) => Value::Real(value.into()),
        DbValue::Floating64(value) => Value::Real(value),
        DbValue::Str(value) => Value::Text(value),
        DbValue::Binary(value) => Value::Blob(value),
        // What Postgres makes of the sum of integers.
        DbValue::Decimal(value) => {
            Value::Integer(value.parse().map_err(|_| Error::Engine(format!("{value} is not an integer")))?)
        }
        other => return Err(Error::Engine(format!("a column has a type that nothing here has: {other:?}"))),
    })
}

/// By SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn error(error: NativeError) -> Error {
    let server = match error {
        NativeError::QueryFailed(QueryError::DbError(server)) => server,
        NativeError::QueryFailed(QueryError::Text(text)) => return lost(text),
        NativeError::ConnectionFailed(text) if text.contains("is not permitted") => {
            return Error::Engine(format!("{text}: allowed_outbound_hosts in spin.toml does not have it"));
        }
        NativeError::ConnectionFailed(text) => return Error::Away(text),
        other => return Error::Engine(format!("{other:?}")),
    };
    let text = format!("{} ({})", server.message, server.code);
    match server.code.as_str() {
        // Lock not available, serialization failure, deadlock.
        "55P03" | "40001" | "40P01" => Error::Busy,
        "23505" => Error::NotUnique(text),
        // The server shuts down, or starts, or has ended this session.
        "57P01" | "57P02" | "57P03" | "25P03" => Error::Away(text),
        code if code.starts_with("08") || code.starts_with("53") => Error::Away(text),
        _ => Error::Engine(text),
    }
}

/// What was said without the server: mostly that it has gone.
fn lost(text: String) -> Error {
    let gone = ["Closed", "Io", "closed", "reset", "broken"].iter().any(|word| text.contains(word));
    if gone { Error::Away(text) } else { Error::Engine(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_settings_and_keeps_its_own() {
        let durable = |url| match source(url, "orders") {
            Source::Postgres { durable, .. } => durable,
            Source::Sqlite(_) => unreachable!(),
        };
        let settings = "-c%20idle_in_transaction_session_timeout%3D10s%20-c%20lock_timeout%3D250ms%20-c%20default_transaction_deferrable%3Doff";
        assert_eq!(durable("postgres://a:b@c/d"), format!("postgres://a:b@c/d?options={settings}"));
        assert_eq!(durable("postgres://c/d?x=y"), format!("postgres://c/d?x=y&options={settings}"));
        assert_eq!(
            durable("postgres://c/d?options=-c%20search_path%3Dorders&x=y"),
            format!("postgres://c/d?options={settings}%20-c%20search_path%3Dorders&x=y")
        );
    }

    #[test]
    fn hints_to_the_other_engine_are_left_out() {
        let sql = "SELECT 1 FROM a INDEXED BY a_b CROSS JOIN c ON c.d = a.e WHERE a.f > $1 COLLATE BINARY";
        assert_eq!(without_hints(sql), "SELECT 1 FROM a JOIN c ON c.d = a.e WHERE a.f > $1");
        let product = "SELECT 1 FROM a CROSS JOIN b WHERE a.c = $1";
        assert_eq!(without_hints(product), product);
    }

    #[test]
    fn each_service_has_a_lock_of_its_own() {
        let services = ["accounts", "catalog", "inventory", "carts", "orders", "payments", "notifications"];
        let locks: std::collections::HashSet<_> = services.iter().map(|service| number(service)).collect();
        assert_eq!(locks.len(), services.len());
    }
}
