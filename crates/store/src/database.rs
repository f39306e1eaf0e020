use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};

use crate::{
    Error, Result, Row, Turn, Turns, Value,
    connection::{Connection, Kept, Source},
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

/// Whose SQL a service's database speaks. Most statements are the same for both; a repository has the others side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Spin's SQLite.
    Sqlite,
    /// Postgres.
    Postgres,
}

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
    durable: Kept,
    /// Also what reads use, which commit nothing: most instances need no other connection.
    relaxed: Kept,
    /// One writer of this instance at a time: waiting here is cheaper than finding the database busy.
    writers: Rc<Turns>,
    /// How often one of them has waited in vain.
    failures: Cell<u64>,
    migrating: Rc<Turns>,
    migrated: Cell<bool>,
}

thread_local! {
    static STATES: RefCell<Vec<(&'static str, Rc<State>)>> = const { RefCell::new(Vec::new()) };
}

/// Waits between attempts at a busy database: 1 ms and growing, about two seconds in all. In Postgres each attempt waits in
/// line itself, and all take six: less than a relay waits for an answer.
fn patience(engine: Engine) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(50))
        .with_max_times(match engine {
            Engine::Sqlite => 50,
            Engine::Postgres => 20,
        })
}

impl Database {
    /// The database that `spin.toml` grants as `label`, with the migrations of each folder applied in order.
    pub const fn new(label: &'static str, migrations: &'static [Migrations]) -> Self {
        Self { label, migrations }
    }

    /// Runs one reading statement.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let read = async |connection: &Connection| connection.query(sql, params.clone()).await;
        self.ready().await?.with(Durability::Relaxed, read).await
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
        let _turn = state.turn().await?;
        let connection = state.take(durability).await?;
        let written = persist(Engine::Sqlite, || connection.write(sql, params.clone())).await;
        let rows = written.inspect_err(|error| state.note(error))?;
        state.put(durability, connection);
        Ok(rows)
    }

    /// Runs one writing statement without the write lock, for what is right whatever others write meanwhile, and also when it
    /// happens twice: after a failure nobody knows whether it has happened. In Postgres it is one statement instead of
    /// four, and waits for nobody but who writes the same row. SQLite has one writer at a time anyway.
    pub async fn execute_unlocked(&self, durability: Durability, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let state = self.ready().await?;
        match state.source()?.engine() {
            Engine::Sqlite => self.execute(durability, sql, params).await,
            Engine::Postgres => {
                let write = async |connection: &Connection| connection.write(sql, params.clone()).await;
                state.with(durability, write).await
            }
        }
    }

    /// Runs one writing statement without a result, when the write lock is free. It ends with its condition, which names its
    /// rows one by one, and may happen twice: then it is one statement in Postgres, too, instead of four.
    pub async fn execute_in_turn(&self, durability: Durability, sql: &str, params: Vec<Value>) -> Result<()> {
        let state = self.ready().await?;
        match state.source()?.lock() {
            None => self.execute(durability, sql, params).await.map(drop),
            Some(lock) => {
                let sql = postgres::in_turn(sql, lock);
                let write = async |connection: &Connection| connection.write(&sql, params.clone()).await;
                state.with(durability, write).await.map(drop)
            }
        }
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
        let turn = state.turn().await?;
        let connection = state.begin(durability).await.inspect_err(|error| state.note(error))?;
        // From here to the COMMIT every early exit drops the connection, inside its transaction: SQLite rolls back then,
        // and of Postgres whoever has the connection next.
        let transaction = Transaction { connection, on_commit: RefCell::default(), failure: RefCell::default() };
        let outcome = match (work(&transaction).await, transaction.failure.take()) {
            // Postgres would answer a COMMIT with a ROLLBACK then, and call it a success.
            (Ok(_), Some(failure)) => Err(failure.into()),
            (outcome, _) => outcome,
        };
        match outcome {
            Ok(value) => {
                persist(transaction.engine(), || transaction.connection.commit()).await?;
                let Transaction { connection, on_commit, .. } = transaction;
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
                    durable: Kept::new(Durability::Durable),
                    relaxed: Kept::new(Durability::Relaxed),
                    writers: Turns::new(1),
                    failures: Cell::new(0),
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
                persist(connection.engine(), || migrations::apply(&connection, self.migrations)).await?;
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

    fn kept(&self, durability: Durability) -> &Kept {
        match durability {
            Durability::Durable => &self.durable,
            Durability::Relaxed => &self.relaxed,
        }
    }

    async fn take(&self, durability: Durability) -> Result<Connection> {
        self.kept(durability).take(self.source()?).await
    }

    fn put(&self, durability: Durability, connection: Connection) {
        self.kept(durability).put(connection);
    }

    /// Gives up all idle connections.
    fn forget(&self) {
        self.durable.forget();
        self.relaxed.forget();
    }

    /// Does `work` on a connection that is in no transaction.
    async fn with<T>(&self, durability: Durability, work: impl AsyncFn(&Connection) -> Result<T>) -> Result<T> {
        self.insist(|| async {
            let connection = self.take(durability).await?;
            let value = work(&connection).await?;
            // A connection that failed is not used again, whatever was wrong with it.
            self.put(durability, connection);
            Ok(value)
        })
        .await
    }

    /// The turn of a writer. Those who have waited behind one who waited in vain do not all do so, one after the other.
    async fn turn(&self) -> Result<Turn> {
        let failures = self.failures.get();
        let turn = self.writers.take().await;
        if self.failures.get() == failures { Ok(turn) } else { Err(Error::Busy) }
    }

    fn note(&self, error: &Error) {
        if let Error::Busy | Error::Away(_) = error {
            self.failures.set(self.failures.get() + 1);
        }
    }

    /// A connection inside a transaction that holds the write lock.
    async fn begin(&self, durability: Durability) -> Result<Connection> {
        self.insist(|| async {
            let connection = self.take(durability).await?;
            match connection.begin().await {
                Ok(()) => Ok(connection),
                Err(Error::Busy) => {
                    let abandoned = connection.is_abandoned().await?;
                    self.put(durability, connection);
                    if abandoned {
                        self.search().await?;
                    }
                    Err(Error::Busy)
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// An instance may have died with the write lock of Postgres. Its connection lies in one of the two pools, and whoever is
    /// given it rolls it back: so all that lie there are taken, until one was the right one, or a new one says that there
    /// are no more.
    async fn search(&self) -> Result<()> {
        let mut met = Vec::new();
        for kept in [&self.durable, &self.relaxed] {
            loop {
                let connection = kept.open(self.source()?).await?;
                let (abandoned, new) = (connection.is_abandoned().await?, connection.is_new().await?);
                met.push(connection);
                if !abandoned {
                    return Ok(());
                }
                if new {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Repeats `attempt` while the database is busy, and once more when it was away: of a server that was started again
    /// the instance has connections that are none any more.
    async fn insist<T, F: Future<Output = Result<T>>>(&self, mut attempt: impl FnMut() -> F) -> Result<T> {
        let engine = self.source()?.engine();
        match persist(engine, &mut attempt).await {
            Err(Error::Away(_)) => {
                self.forget();
                persist(engine, attempt).await
            }
            other => other,
        }
    }
}

/// Repeats `attempt` while the database is busy.
async fn persist<T, F: Future<Output = Result<T>>>(engine: Engine, attempt: impl FnMut() -> F) -> Result<T> {
    attempt.retry(patience(engine)).sleep(spin_sdk::time::sleep).when(Error::is_busy).await
}

/// A transaction that has begun and holds the write lock.
pub struct Transaction {
    connection: Connection,
    on_commit: RefCell<Vec<Box<dyn FnOnce()>>>,
    /// Why a statement has failed, and with it the transaction.
    failure: RefCell<Option<Error>>,
}

impl Transaction {
    /// Whose SQL it speaks.
    pub fn engine(&self) -> Engine {
        self.connection.engine()
    }

    /// Runs one statement and returns its rows. When it fails, the transaction has failed.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let outcome = self.connection.query(sql, params).await;
        if let Err(error) = &outcome {
            self.failure.replace(Some(error.clone()));
        }
        outcome
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
