use std::{cell::RefCell, rc::Rc, time::Duration};

use futures::future::{Either, select};

use crate::{Durability, Engine, Error, Result, Row, Turns, Value, postgres, sqlite};

/// Idle connections of one kind that an instance keeps to Postgres, where all instances share those of a pool. The others go
/// back to it.
const KEPT: usize = 2;
/// How often somebody who waits for a connection looks whether there is another one, and how many times: a pool that has none
/// for three seconds has none.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: usize = 150;

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

    /// The number of the write lock, where a statement can take it.
    pub(crate) fn lock(&self) -> Option<i64> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres { lock, .. } => Some(*lock),
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

    /// Whether whoever holds the write lock has died with it, as it seems: only in Postgres anything is left of them.
    pub(crate) async fn is_abandoned(&self) -> Result<bool> {
        match self {
            Self::Sqlite(_) => Ok(false),
            Self::Postgres(postgres) => postgres.is_abandoned().await,
        }
    }

    /// Whether it was made just now, because there was no other.
    pub(crate) async fn is_new(&self) -> Result<bool> {
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Postgres(postgres) => postgres.is_new().await,
        }
    }
}

/// The idle connections of one kind that an instance keeps.
pub(crate) struct Kept {
    durability: Durability,
    idle: RefCell<Vec<Connection>>,
    /// One new connection at a time: what waits for it may find that it needs none.
    opening: Rc<Turns>,
}

impl Kept {
    pub(crate) fn new(durability: Durability) -> Self {
        Self { durability, idle: RefCell::default(), opening: Turns::new(1) }
    }

    fn pop(&self) -> Option<Connection> {
        self.idle.borrow_mut().pop()
    }

    pub(crate) async fn take(&self, source: &Source) -> Result<Connection> {
        if let Some(connection) = self.pop() {
            return Ok(connection);
        }
        let _one_at_a_time = self.opening.take().await;
        match (self.pop(), source.engine()) {
            (Some(connection), _) => Ok(connection),
            (None, Engine::Sqlite) => source.open(self.durability).await,
            (None, Engine::Postgres) => self.open(source).await,
        }
    }

    /// A new one, or the first that another request of the instance needs no more: where each instance has one and waits for
    /// a second, nobody gets any.
    pub(crate) async fn open(&self, source: &Source) -> Result<Connection> {
        let mut opening = Box::pin(source.open(self.durability));
        for _ in 0..LOOKS {
            match select(opening, Box::pin(spin_sdk::time::sleep(LOOK))).await {
                Either::Left((opened, _)) => return opened,
                Either::Right((_, still)) => opening = still,
            }
            if let Some(connection) = self.pop() {
                return Ok(connection);
            }
        }
        Err(Error::Away("no connection of the pool is free".into()))
    }

    pub(crate) fn put(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        if connection.engine() == Engine::Sqlite || idle.len() < KEPT {
            idle.push(connection);
        }
    }

    pub(crate) fn forget(&self) {
        self.idle.take();
    }
}
