//! Shops whose services keep their data in Postgres: with `BODEGA_DATABASE=postgres`.
//!
//! All shops of a process share a server. Each has a database there, and each of its services a schema in that.

use std::{
    collections::HashMap,
    sync::{
        LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use postgres::{Client, NoTls, SimpleQueryMessage, error::SqlState, types::Type};
use serde_json::{Value, json};
use servers::Postgres;

use crate::Rows;

/// Whether services keep their data in Postgres.
pub fn on_postgres() -> bool {
    match std::env::var("BODEGA_DATABASE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("BODEGA_DATABASE is `{other}`; it must be `sqlite` or `postgres`"),
    }
}

/// What tests call SQLite's by name. A number or a truth value out of JSON begins with a mark, so that it is not taken for a
/// text.
const NAMED_LIKE_SQLITES: &str = r"
    CREATE SCHEMA sqlite;
    SET search_path = sqlite;
    CREATE FUNCTION marked(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
      SELECT CASE jsonb_typeof(value) WHEN 'null' THEN NULL WHEN 'string' THEN value #>> '{}'
        WHEN 'number' THEN chr(1) || value::text WHEN 'boolean' THEN chr(1) || value::bool::int ELSE value::text END $$;
    CREATE FUNCTION unmarked(value text) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT ltrim(value, chr(1))::numeric $$;
    CREATE FUNCTION json_extract(json text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
      SELECT sqlite.marked(jsonb_path_query_first(json::jsonb, path::jsonpath)) $$;
    CREATE FUNCTION json_get(json text, path text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
      SELECT sqlite.json_extract(json, CASE WHEN path LIKE '$%' THEN path ELSE '$.' || path END) $$;
    CREATE OPERATOR ->> (leftarg = text, rightarg = text, function = sqlite.json_get);
    CREATE FUNCTION json_each(json text) RETURNS TABLE (key text, value text) LANGUAGE sql IMMUTABLE AS $$
      SELECT (row_number() OVER () - 1)::text, sqlite.marked(element) FROM jsonb_array_elements(json::jsonb) AS element $$;
    CREATE FUNCTION printf(text, bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
      SELECT regexp_replace($1, '%0\d+d', lpad($2::text, (regexp_match($1, '%0(\d+)d'))[1]::int, '0')) $$;
    CREATE FUNCTION json_array_length(json text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
      SELECT jsonb_array_length(json::jsonb) $$;
    CREATE FUNCTION add(total numeric, value text) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
      SELECT CASE WHEN value IS NULL THEN total ELSE coalesce(total, 0) + sqlite.unmarked(value) END $$;
    CREATE AGGREGATE sum(text) (sfunc = sqlite.add, stype = numeric);
    CREATE FUNCTION add(total bigint, value boolean) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
      SELECT CASE WHEN value IS NULL THEN total ELSE coalesce(total, 0) + value::int END $$;
    CREATE AGGREGATE sum(boolean) (sfunc = sqlite.add, stype = bigint);
    CREATE FUNCTION append(list text, value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
      SELECT CASE WHEN value IS NULL THEN list ELSE concat(list || ',', value) END $$;
    CREATE AGGREGATE group_concat(text) (sfunc = sqlite.append, stype = text);
";

/// By what rows stand as they were written, where they are never changed. In Postgres first by transaction: the place of a
/// row whose transaction failed is used again.
pub fn as_written() -> &'static str {
    if on_postgres() { "xmin::text::bigint, ctid" } else { "rowid" }
}

static SERVER: LazyLock<Mutex<Postgres>> = LazyLock::new(|| Mutex::new(Postgres::start().until_exit()));

/// The server of all shops of this process. Whoever kills it is alone with it, and brings it back.
pub fn server() -> MutexGuard<'static, Postgres> {
    SERVER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The database of one shop. It goes with this value.
pub(crate) struct Schemas {
    database: String,
    sessions: Mutex<HashMap<String, Session>>,
}

/// The way to one schema.
struct Session {
    client: Client,
    /// The types of the columns of what was asked, by its SQL: the same is asked again and again.
    columns: HashMap<String, Vec<Type>>,
}

impl Schemas {
    /// A new database with an empty schema for each of these services.
    pub(crate) fn empty(services: &[String]) -> Self {
        let new = Self::create("template1");
        let schemas: Vec<_> = services.iter().map(|service| format!("CREATE SCHEMA {service};")).collect();
        aside(|| connect(&new.database, "").batch_execute(&(schemas.concat() + NAMED_LIKE_SQLITES))).unwrap();
        new
    }

    /// A new database that is like this one, which is closed.
    pub(crate) fn copy(&self) -> Self {
        Self::create(&self.database)
    }

    fn create(template: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let database = format!("shop_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let create = format!("CREATE DATABASE {database} TEMPLATE {template}");
        aside(|| connect("postgres", "").batch_execute(&create)).unwrap();
        Self { database, sessions: Mutex::default() }
    }

    /// Ends all connections to it, and lets in nobody any more: it can be copied.
    pub(crate) fn close(&self) {
        let database = &self.database;
        let refuse = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false");
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
        aside(|| {
            let mut client = connect("postgres", "");
            client.batch_execute(&refuse)?;
            client.batch_execute(&end)
        })
        .unwrap();
    }

    /// What tells these services where their schemas are.
    pub(crate) fn variables<'a>(&self, services: &'a [String]) -> impl Iterator<Item = (String, String)> + use<'a> {
        let server = server().url(&self.database);
        services.iter().map(move |service| {
            (format!("{service}_database_url"), format!("{server}?options=-c%20search_path%3D{service}"))
        })
    }

    pub(crate) fn query(&self, service: &str, sql: &str) -> Rows {
        self.with(service, |session| match rows(session, sql) {
            Ok(rows) => rows,
            // The service has not started yet.
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
            Err(error) => panic!("{service}: {error:?}: {sql}"),
        })
    }

    pub(crate) fn tamper(&self, service: &str, sql: &str) {
        self.with(service, |session| session.client.batch_execute(sql))
            .unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    fn with<T: Send>(&self, service: &str, work: impl FnOnce(&mut Session) -> T + Send) -> T {
        let mut guard = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = &mut *guard;
        // The server may have been started anew.
        sessions.retain(|_, session| !session.client.is_closed());
        let session = || Session { client: connect(&self.database, service), columns: HashMap::new() };
        aside(|| work(sessions.entry(service.to_owned()).or_insert_with(session)))
    }
}

impl Drop for Schemas {
    fn drop(&mut self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        aside(|| {
            drop(sessions);
            // Of what is left behind nobody ever asks again.
            _ = connect("postgres", "").batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
        });
    }
}

/// Does what must not be done on a thread that serves others: the client waits by blocking.
fn aside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn connect(database: &str, schema: &str) -> Client {
    let url = match schema {
        "" => server().url(database),
        schema => format!("{}?options=-c%20search_path%3D{schema},sqlite", server().url(database)),
    };
    Client::connect(&url, NoTls).unwrap()
}

/// The rows as SQLite would give them: truth values as 0 and 1.
fn rows(session: &mut Session, sql: &str) -> Result<Rows, postgres::Error> {
    let Session { client, columns } = session;
    let types = match columns.get(sql) {
        Some(types) => types,
        None => {
            let statement = client.prepare(sql)?;
            let types = statement.columns().iter().map(|column| column.type_().clone()).collect();
            &*columns.entry(sql.to_owned()).or_insert(types)
        }
    };
    let messages = client.simple_query(sql)?;
    let value = |kind: &Type, text: &str| match *kind {
        Type::BOOL => json!(i32::from(text == "t")),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC | Type::FLOAT8 => serde_json::from_str(text).unwrap(),
        _ => text.strip_prefix('\u{1}').map_or_else(|| json!(text), |number| serde_json::from_str(number).unwrap()),
    };
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => {
            let columns = types.iter().enumerate();
            Some(columns.map(|(place, kind)| row.get(place).map_or(Value::Null, |text| value(kind, text))).collect())
        }
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}
