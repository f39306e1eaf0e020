use crate::{Durability, Engine, Result, Row, Value, postgres, sqlite};

/// Where a service's data is, and so which SQL it is asked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A label of `spin.toml`.
    Sqlite(&'static str),
    /// Addresses of one database: for commits that last, and for those that may be done again.
    Postgres { durable: String, relaxed: String, lock: i64 },
}

impl Source {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres { .. } => Engine::Postgres,
        }
    }

    pub(crate) async fn open(&self, durability: Durability) -> Result<Connection> {
        Ok(match (self, durability) {
            (Self::Sqlite(label), _) => Connection::Sqlite(sqlite::Connection::open(label, durability).await?),
            (Self::Postgres { durable, lock, .. }, Durability::Durable) => {
                Connection::Postgres(postgres::Connection::open(durable, *lock).await?)
            }
            (Self::Postgres { relaxed, lock, .. }, Durability::Relaxed) => {
                Connection::Postgres(postgres::Connection::open(relaxed, *lock).await?)
            }
        })
    }
}

/// An open connection to either engine.
pub(crate) enum Connection {
    Sqlite(sqlite::Connection),
    Postgres(postgres::Connection),
}

impl Connection {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Begins a transaction that holds the write lock. [`Error::Busy`](crate::Error::Busy) when somebody else holds it;
    /// then none has begun.
    pub(crate) async fn begin(&self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute("BEGIN IMMEDIATE", Vec::new()).await.map(drop),
            Self::Postgres(postgres) => postgres.begin().await,
        }
    }

    pub(crate) async fn commit(&self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute("COMMIT", Vec::new()).await.map(drop),
            Self::Postgres(postgres) => postgres.execute("COMMIT").await,
        }
    }

    pub(crate) async fn roll_back(&self) -> Result<()> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute("ROLLBACK", Vec::new()).await.map(drop),
            Self::Postgres(postgres) => postgres.execute("ROLLBACK").await,
        }
    }

    /// Runs one statement that commits by itself and returns its rows.
    pub(crate) async fn write(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            // What commits waits for the lock and for the disk.
            Self::Sqlite(sqlite) => sqlite.execute(sql, params).await,
            Self::Postgres(postgres) => postgres.query(sql, params).await,
        }
    }

    /// Runs one statement that reads, or that is within a transaction, and returns its rows.
    pub(crate) async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(sql, params),
            Self::Postgres(postgres) => postgres.query(sql, params).await,
        }
    }
}
