//! `spin:sqlite`: SQLite databases, by label.

mod database;

use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

pub use self::database::Connection;
pub(crate) use self::database::DatabaseFile;
use self::database::Outcome;
use crate::bindings::sqlite::{Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value};
use crate::control::Call;
use crate::instance::{Data, InstanceState};

/// Connections that an instance may have open, as in Spin.
const MOST_CONNECTIONS: usize = 256;

/// What `execute-async` answers with.
type Answer = (Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>);

fn call<'a>(function: &'static str, detail: &'a str) -> Call<'a> {
    Call { interface: "sqlite", function, detail }
}

impl InstanceState {
    fn database(&self, label: &str) -> Result<std::sync::Arc<DatabaseFile>, Error> {
        let file = self.shared.databases.get(label);
        file.cloned().ok_or(Error::AccessDenied)
    }

    fn push_connection(&mut self, connection: Connection) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        if self.connections >= MOST_CONNECTIONS {
            let message = "too many connections opened".into();
            return Ok(Err(Error::Io(message)));
        }
        self.connections += 1;
        Ok(Ok(self.table.push(connection)?))
    }
}

impl Host for InstanceState {}

impl HostConnection for InstanceState {
    async fn open(&mut self, database: String) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let file = match self.database(&database) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let opened = self.gate.pass(call("open", &database), Error::Io, file.open()).await?;
        match opened {
            Ok(connection) => self.push_connection(connection),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let connection = self.table.get(&connection)?.clone();
        let work = async {
            let outcome = connection.execute(&statement, parameters).await;
            outcome.result.map(|()| QueryResult { columns: outcome.columns, rows: outcome.rows })
        };
        Ok(self.gate.pass(call("execute", &statement), Error::Io, work).await?)
    }

    async fn last_insert_rowid(&mut self, connection: Resource<Connection>) -> wasmtime::Result<i64> {
        let connection = self.table.get(&connection)?.clone();
        Ok(connection.last_insert_rowid().await)
    }

    async fn changes(&mut self, connection: Resource<Connection>) -> wasmtime::Result<u64> {
        let connection = self.table.get(&connection)?.clone();
        Ok(connection.changes().await)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        self.connections -= 1;
        Ok(())
    }
}

impl HostConnectionWithStore<InstanceState> for Data {
    async fn open_async(
        accessor: &Accessor<InstanceState, Self>,
        database: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let (file, gate) = accessor.with(|mut access| {
            let state = access.get();
            (state.database(&database), state.gate.clone())
        });
        let file = match file {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let opened = gate.pass(call("open", &database), Error::Io, file.open()).await?;
        match opened {
            Ok(connection) => accessor.with(|mut access| access.get().push_connection(connection)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn execute_async(
        accessor: &Accessor<InstanceState, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Answer, Error>> {
        let (connection, gate) = accessor.with(|mut access| {
            let state = access.get();
            let connection = state.table.get(&connection)?.clone();
            wasmtime::error::Ok((connection, state.gate.clone()))
        })?;
        let work = async { Ok(connection.execute(&statement, parameters).await) };
        // As in Spin, whatever goes wrong with a statement is told by the future, after the rows.
        let outcome = gate.pass(call("execute", &statement), Error::Io, work).await?.unwrap_or_else(Outcome::failed);
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, outcome.rows)?;
            let result = outcome.result;
            let result = FutureReader::new(&mut access, async { wasmtime::error::Ok(result) })?;
            Ok(Ok((outcome.columns, rows, result)))
        })
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<InstanceState, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        let connection = cloned(accessor, &connection)?;
        Ok(connection.last_insert_rowid().await)
    }

    async fn changes_async(
        accessor: &Accessor<InstanceState, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<u64> {
        let connection = cloned(accessor, &connection)?;
        Ok(connection.changes().await)
    }
}

fn cloned(accessor: &Accessor<InstanceState, Data>, connection: &Resource<Connection>) -> wasmtime::Result<Connection> {
    accessor.with(|mut access| Ok(access.get().table.get(connection)?.clone()))
}
