use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};

use crate::{
    Error, Result, Row, Turns, Value,
    connection::{Connection, Source},
    migrations::{self, Migrations},
    postgres,
};

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Power loss: the commit is on disk when it returns.
    Durable,
    /// A crash of the program. After power loss the commit may be undone, but never a later `Durable` one alone: use it
    /// for what would only be done again, such as noting that an event was delivered.
    Relaxed,
}

impl Durability {
    fn other(self) -> Self {
        match self {
            Self::Durable => Self::Relaxed,
            Self::Relaxed => Self::Durable,
        }
    }
}

/// Whose SQL a service's database speaks. Most statements are the same for both; a repository has the others side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Spin's SQLite.
    Sqlite,
    /// Postgres.
    Postgres,
}

/// Idle connections of one kind that an instance keeps to Postgres, where all instances share those of a pool. The others go
/// back to it.
const KEPT: usize = 2;

/// A service's database. A handle: connections are opened when needed and kept by the instance.
#[derive(Debug, Clone, Copy)]
pub struct Database {
    label: &'static str,
    migrations: &'static [Migrations],
}

/// What an instance knows of one database.
struct State {
    /// Known once it has been asked for.
    source: OnceCell<Source>,
    durable: RefCell<Vec<Connection>>,
    /// Also what reads use, which commit nothing: most instances need no other connection.
    relaxed: RefCell<Vec<Connection>>,
    /// One writer of this instance at a time: waiting here is cheaper than finding the database busy.
    writers: Rc<Turns>,
    /// One new connection at a time: what waits for it may find that it needs none.
    opening: Rc<Turns>,
    migrating: Rc<Turns>,
    migrated: Cell<bool>,
}

thread_local! {
    static STATES: RefCell<Vec<(&'static str, Rc<State>)>> = const { RefCell::new(Vec::new()) };
}

/// Waits between attempts at a busy database: 1 ms and growing, about two seconds in all.
fn patience() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(50))
        .with_max_times(50)
}

impl Database {
    /// The database that `spin.toml` grants as `label`, with the migrations of each folder applied in order.
    pub const fn new(label: &'static str, migrations: &'static [Migrations]) -> Self {
        Self { label, migrations }
    }

    /// Runs one reading statement.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let state = self.ready().await?;
        let read = || async {
            let connection = state.take(Durability::Relaxed).await?;
            let rows = connection.query(sql, params.clone()).await?;
            // A connection that failed is not used again, whatever was wrong with it.
            state.put(Durability::Relaxed, connection);
            Ok(rows)
        };
        match persist(read).await {
            // Of a server that was started again the instance has connections that are none any more.
            Err(Error::Away(_)) => {
                state.forget();
                persist(read).await
            }
            other => other,
        }
    }

    /// Whose SQL this database speaks.
    pub async fn engine(&self) -> Result<Engine> {
        Ok(self.ready().await?.source()?.engine())
    }

    /// Like [`query`](Self::query), for at most one row.
    pub async fn query_one(&self, sql: &str, params: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs one writing statement in a transaction of its own and returns its rows.
    pub async fn execute(&self, durability: Durability, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let state = self.ready().await?;
        if state.source()?.engine() == Engine::Postgres {
            // There a statement alone would not wait for the write lock.
            return self.transaction(durability, async |transaction| transaction.query(sql, params).await).await;
        }
        let _turn = state.writers.take().await;
        let connection = state.take(durability).await?;
        let rows = persist(|| connection.write(sql, params.clone())).await?;
        state.put(durability, connection);
        Ok(rows)
    }

    /// Deletes up to 500 rows of `table` that are `due`, as they would be again after power loss. Most of the time there are
    /// none, and finding that out does not take the write lock. `key` are the columns of the primary key.
    pub async fn prune(&self, table: &str, key: &str, due: &str, params: Vec<Value>) -> Result<()> {
        let any = format!("SELECT 1 FROM {table} WHERE {due} LIMIT 1");
        if self.query_one(&any, params.clone()).await?.is_some() {
            let delete =
                format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {due} LIMIT 500)");
            self.execute(Durability::Relaxed, &delete, params).await?;
        }
        Ok(())
    }

    /// Runs `work` in one transaction that holds the write lock from its start: all of it happens, or, when `work` fails
    /// or the instance dies, nothing. `work` must not write to this database except through the transaction it is given.
    pub async fn transaction<T, E: From<Error>>(
        &self,
        durability: Durability,
        work: impl AsyncFnOnce(&Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let state = self.ready().await?;
        let turn = state.writers.take().await;
        let connection = state.begin(durability).await?;
        // From here to the COMMIT every early exit drops the connection, inside its transaction: SQLite rolls back then,
        // and of Postgres whoever has the connection next.
        let transaction = Transaction { connection, on_commit: RefCell::default() };
        match work(&transaction).await {
            Ok(value) => {
                persist(|| transaction.connection.commit()).await?;
                let Transaction { connection, on_commit } = transaction;
                state.put(durability, connection);
                drop(turn);
                on_commit.into_inner().into_iter().for_each(|then| then());
                Ok(value)
            }
            Err(error) => {
                if transaction.connection.roll_back().await.is_ok() {
                    state.put(durability, transaction.connection);
                }
                Err(error)
            }
        }
    }

    fn state(&self) -> Rc<State> {
        STATES.with_borrow_mut(|states| match states.iter().find(|(label, _)| *label == self.label) {
            Some((_, state)) => state.clone(),
            None => {
                let state = Rc::new(State {
                    source: OnceCell::new(),
                    durable: RefCell::default(),
                    relaxed: RefCell::default(),
                    writers: Turns::new(1),
                    opening: Turns::new(1),
                    migrating: Turns::new(1),
                    migrated: Cell::new(false),
                });
                states.push((self.label, state.clone()));
                state
            }
        })
    }

    /// The state, once the schema is up to date.
    async fn ready(&self) -> Result<Rc<State>> {
        let state = self.state();
        if !state.migrated.get() {
            let _one_at_a_time = state.migrating.take().await;
            if !state.migrated.get() {
                if state.source.get().is_none() {
                    _ = state.source.set(self.find().await?);
                }
                // A migration that a power failure undoes is applied again; whatever is durable takes it along.
                let connection = state.take(Durability::Relaxed).await?;
                persist(|| migrations::apply(&connection, self.migrations)).await?;
                state.put(Durability::Relaxed, connection);
                state.migrated.set(true);
            }
        }
        Ok(state)
    }

    /// Where the data is: at the address in the variable `<label>_database_url`, or in Spin's SQLite.
    async fn find(&self) -> Result<Source> {
        let variable = format!("{}_database_url", self.label);
        let url = match spin_sdk::variables::get(&variable).await {
            Ok(url) => url,
            // Components that have SQLite alone need not declare it.
            Err(spin_sdk::variables::Error::Undefined(_)) => String::new(),
            Err(error) => return Err(Error::Engine(format!("the variable {variable}: {error}"))),
        };
        match url.trim() {
            "" => Ok(Source::Sqlite(self.label)),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(postgres::source(url, self.label))
            }
            _ => Err(Error::Engine(format!("the variable {variable} must begin with postgres://"))),
        }
    }
}

impl State {
    fn source(&self) -> Result<&Source> {
        self.source.get().ok_or_else(|| Error::Engine("nobody has asked yet where the database is".into()))
    }

    fn idle(&self, durability: Durability) -> &RefCell<Vec<Connection>> {
        match durability {
            Durability::Durable => &self.durable,
            Durability::Relaxed => &self.relaxed,
        }
    }

    async fn take(&self, durability: Durability) -> Result<Connection> {
        let idle = || self.idle(durability).borrow_mut().pop();
        if let Some(connection) = idle() {
            return Ok(connection);
        }
        let source = self.source()?;
        // SQLite is opened one at a time; a server may answer late.
        let _one_at_a_time = match source.engine() {
            Engine::Sqlite => Some(self.opening.take().await),
            Engine::Postgres => None,
        };
        match idle() {
            Some(connection) => Ok(connection),
            None => source.open(durability).await,
        }
    }

    fn put(&self, durability: Durability, connection: Connection) {
        let mut idle = self.idle(durability).borrow_mut();
        if connection.engine() == Engine::Sqlite || idle.len() < KEPT {
            idle.push(connection);
        }
    }

    /// Gives up all idle connections.
    fn forget(&self) {
        self.durable.take();
        self.relaxed.take();
    }

    /// A connection inside a transaction that holds the write lock.
    async fn begin(&self, durability: Durability) -> Result<Connection> {
        // Those that were in vain. In one of the two pools there may be a connection on which a dead instance holds the lock:
        // whoever is given that one frees it. So one of each is taken at each attempt, and stays out of its pool until then.
        let spent = RefCell::new(Vec::new());
        let begin = || async {
            let connection = self.take(durability).await?;
            match (connection.begin().await, connection.engine()) {
                (Ok(()), _) => Ok(connection),
                (Err(error), Engine::Sqlite) => {
                    self.put(durability, connection);
                    Err(error)
                }
                (Err(Error::Busy), Engine::Postgres) => {
                    let other = self.source()?.open(durability.other()).await?;
                    spent.borrow_mut().extend([connection, other]);
                    Err(Error::Busy)
                }
                (Err(error), Engine::Postgres) => Err(error),
            }
        };
        match persist(begin).await {
            Err(Error::Away(_)) => {
                self.forget();
                persist(begin).await
            }
            other => other,
        }
    }
}

/// Repeats `attempt` while the database is busy.
async fn persist<T, F: Future<Output = Result<T>>>(attempt: impl FnMut() -> F) -> Result<T> {
    attempt.retry(patience()).sleep(spin_sdk::time::sleep).when(Error::is_busy).await
}

/// A transaction that has begun and holds the write lock.
pub struct Transaction {
    connection: Connection,
    on_commit: RefCell<Vec<Box<dyn FnOnce()>>>,
}

impl Transaction {
    /// Whose SQL it speaks.
    pub fn engine(&self) -> Engine {
        self.connection.engine()
    }

    /// Runs one statement and returns its rows.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        self.connection.query(sql, params).await
    }

    /// Like [`query`](Self::query), for at most one row.
    pub async fn query_one(&self, sql: &str, params: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs one statement for its effect.
    pub async fn execute(&self, sql: &str, params: Vec<Value>) -> Result<()> {
        self.query(sql, params).await.map(drop)
    }

    /// Calls `then` if and when this transaction has committed. An instance that dies in between never calls it: only
    /// for what would be found and done later anyway.
    pub fn on_commit(&self, then: impl FnOnce() + 'static) {
        self.on_commit.borrow_mut().push(Box::new(then));
    }
}
