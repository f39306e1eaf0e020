use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};

use crate::{
    Error, Result, Row, Turns, Value,
    migrations::{self, Migrations},
    sqlite::Connection,
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

/// A service's database. A handle: connections are opened when needed and kept by the instance.
#[derive(Debug, Clone, Copy)]
pub struct Database {
    label: &'static str,
    migrations: &'static [Migrations],
}

/// What an instance knows of one database.
struct State {
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
            let connection = state.take(self.label, Durability::Relaxed).await?;
            let rows = connection.query(sql, params.clone())?;
            // A connection that failed is not used again, whatever was wrong with it.
            state.put(Durability::Relaxed, connection);
            Ok(rows)
        };
        persist(read).await
    }

    /// Like [`query`](Self::query), for at most one row.
    pub async fn query_one(&self, sql: &str, params: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs one writing statement in a transaction of its own and returns its rows.
    pub async fn execute(&self, durability: Durability, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        let state = self.ready().await?;
        let _turn = state.writers.take().await;
        let connection = state.take(self.label, durability).await?;
        let rows = persist(|| connection.execute(sql, params.clone())).await?;
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
        let connection = state.take(self.label, durability).await?;
        persist(|| connection.execute("BEGIN IMMEDIATE", Vec::new())).await?;
        // From here to the COMMIT every early exit drops the connection, which rolls back.
        let transaction = Transaction { connection, on_commit: RefCell::default() };
        match work(&transaction).await {
            Ok(value) => {
                persist(|| transaction.connection.execute("COMMIT", Vec::new())).await?;
                let Transaction { connection, on_commit } = transaction;
                state.put(durability, connection);
                drop(turn);
                on_commit.into_inner().into_iter().for_each(|then| then());
                Ok(value)
            }
            Err(error) => {
                if transaction.connection.execute("ROLLBACK", Vec::new()).await.is_ok() {
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
                // A migration that a power failure undoes is applied again; whatever is durable takes it along.
                let connection = state.take(self.label, Durability::Relaxed).await?;
                persist(|| migrations::apply(&connection, self.migrations)).await?;
                state.put(Durability::Relaxed, connection);
                state.migrated.set(true);
            }
        }
        Ok(state)
    }
}

impl State {
    fn idle(&self, durability: Durability) -> &RefCell<Vec<Connection>> {
        match durability {
            Durability::Durable => &self.durable,
            Durability::Relaxed => &self.relaxed,
        }
    }

    async fn take(&self, label: &str, durability: Durability) -> Result<Connection> {
        let idle = || self.idle(durability).borrow_mut().pop();
        if let Some(connection) = idle() {
            return Ok(connection);
        }
        let _one_at_a_time = self.opening.take().await;
        match idle() {
            Some(connection) => Ok(connection),
            None => Connection::open(label, durability).await,
        }
    }

    fn put(&self, durability: Durability, connection: Connection) {
        self.idle(durability).borrow_mut().push(connection);
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
    /// Runs one statement and returns its rows.
    pub async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>> {
        self.connection.query(sql, params)
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
