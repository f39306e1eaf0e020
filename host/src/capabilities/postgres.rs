//! `spin:postgres`: pools of connections to Postgres servers, recycled the way Spin recycles them.

// The interface's error says all that a server says.
#![allow(clippy::result_large_err)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures::TryStreamExt;
use tokio_postgres::config::{Host as Server, SslMode};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};
use tokio_postgres::{Config, NoTls};
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::allowed_hosts::AllowedHosts;
use crate::bindings::postgres::{
    Column, DbDataType, DbError, DbValue, Error, Host, HostConnection, HostConnectionBuilder,
    HostConnectionBuilderWithStore, HostConnectionWithStore, ParameterValue, QueryError, RowSet,
};
use crate::control::Call;
use crate::instance::{Data, InstanceState};

/// Connections that a component may have to one address, as in Spin.
const POOL_SIZE: usize = 64;

/// A row of a result.
type Row = Vec<DbValue>;
/// What `query-async` answers with.
type Answer = (Vec<Column>, StreamReader<Row>, FutureReader<Result<(), Error>>);

/// The pools of one component, by address.
#[derive(Default)]
pub(crate) struct Pools(Mutex<HashMap<String, Pool>>);

/// A guest's connection. It goes back to its pool when it is dropped, in whatever state it is then, as in Spin: also
/// inside a transaction.
#[derive(Clone)]
pub struct Connection(Arc<Object>);

/// An address on its way to become a connection.
pub struct Builder {
    address: String,
    has_ca: bool,
}

impl Pools {
    fn pool(&self, address: &str, config: Config) -> Result<Pool, Error> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(address) {
            return Ok(pool.clone());
        }
        if config.get_ssl_mode() == SslMode::Require {
            let message = "this host speaks no TLS with Postgres (sslmode=require); `spin` does";
            return Err(Error::ConnectionFailed(message.into()));
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Clean };
        let manager = Manager::from_config(config, NoTls, recycling);
        let pool = Pool::builder(manager).max_size(POOL_SIZE).build();
        let pool = pool.map_err(|error| Error::ConnectionFailed(error.to_string()))?;
        pools.insert(address.to_owned(), pool.clone());
        Ok(pool)
    }

    async fn open(&self, address: &str, allowed: &AllowedHosts) -> Result<Connection, Error> {
        let refuse = |message: String| Error::ConnectionFailed(message);
        let config: Config = address.parse().map_err(|error: tokio_postgres::Error| refuse(error.to_string()))?;
        for (place, server) in config.get_hosts().iter().enumerate() {
            let Server::Tcp(host) = server else {
                return Err(refuse("Unix sockets are not supported on WebAssembly".into()));
            };
            let ports = config.get_ports();
            let port = ports.get(place).or(if ports.len() == 1 { ports.first() } else { None });
            let url = format!("postgres://{host}:{}", port.unwrap_or(&5432));
            if !url.parse().is_ok_and(|uri| allowed.allows(&uri)) {
                return Err(refuse(format!("address {url} is not permitted")));
            }
        }
        let pool = self.pool(address, config)?;
        let connection = pool.get().await.map_err(|error| refuse(format!("{error:?}")))?;
        Ok(Connection(Arc::new(connection)))
    }
}

impl Connection {
    /// Prepares, runs and forgets a statement, as Spin does each time.
    async fn query(&self, statement: &str, parameters: Vec<ParameterValue>) -> Result<RowSet, Error> {
        let rows = self.0.query_raw(statement, parameters.into_iter().map(Parameter)).await.map_err(failed)?;
        let rows: Vec<_> = rows.try_collect().await.map_err(failed)?;
        let column = |column: &tokio_postgres::Column| Column {
            name: column.name().to_owned(),
            data_type: data_type(column.type_()),
        };
        Ok(RowSet {
            columns: rows.first().map(|row| row.columns().iter().map(column).collect()).unwrap_or_default(),
            rows: rows.iter().map(read_row).collect::<Result<_, _>>()?,
        })
    }

    async fn execute(&self, statement: &str, parameters: Vec<ParameterValue>) -> Result<u64, Error> {
        self.0.execute_raw(statement, parameters.into_iter().map(Parameter)).await.map_err(failed)
    }
}

/// A parameter in the type that the guest has given it.
#[derive(Debug)]
struct Parameter(ParameterValue);

impl ToSql for Parameter {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            ParameterValue::Boolean(value) => value.to_sql_checked(kind, out),
            ParameterValue::Int8(value) => value.to_sql_checked(kind, out),
            ParameterValue::Int16(value) => value.to_sql_checked(kind, out),
            ParameterValue::Int32(value) => value.to_sql_checked(kind, out),
            ParameterValue::Int64(value) => value.to_sql_checked(kind, out),
            ParameterValue::Floating32(value) => value.to_sql_checked(kind, out),
            ParameterValue::Floating64(value) => value.to_sql_checked(kind, out),
            ParameterValue::Str(value) => value.to_sql_checked(kind, out),
            ParameterValue::Binary(value) => value.to_sql_checked(kind, out),
            ParameterValue::DbNull => Ok(IsNull::Yes),
            other => Err(format!("this host has no parameters such as {other:?}; `spin` has").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        // What a value is not made for it refuses itself.
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// The interface's word for a type.
fn data_type(kind: &Type) -> DbDataType {
    match *kind {
        Type::BOOL => DbDataType::Boolean,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
        Type::BYTEA => DbDataType::Binary,
        Type::NUMERIC => DbDataType::Decimal,
        ref other => DbDataType::Other(other.name().to_owned()),
    }
}

fn read_row(row: &tokio_postgres::Row) -> Result<Row, Error> {
    (0..row.len()).map(|place| read(row, place)).collect()
}

fn read(row: &tokio_postgres::Row, place: usize) -> Result<DbValue, Error> {
    fn get<'a, T: FromSql<'a>>(
        row: &'a tokio_postgres::Row,
        place: usize,
        make: impl Fn(T) -> DbValue,
    ) -> Result<DbValue, Error> {
        let value = row.try_get::<_, Option<T>>(place);
        let value = value.map_err(|error| Error::ValueConversionFailed(error.to_string()))?;
        Ok(value.map_or(DbValue::DbNull, make))
    }
    let text = |value: &str| DbValue::Str(value.to_owned());
    match *row.columns()[place].type_() {
        Type::BOOL => get(row, place, DbValue::Boolean),
        Type::INT2 => get(row, place, DbValue::Int16),
        Type::INT4 => get(row, place, DbValue::Int32),
        Type::INT8 => get(row, place, DbValue::Int64),
        Type::FLOAT4 => get(row, place, DbValue::Floating32),
        Type::FLOAT8 => get(row, place, DbValue::Floating64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => get(row, place, text),
        Type::BYTEA => get(row, place, |value: &[u8]| DbValue::Binary(value.to_vec())),
        Type::NUMERIC => get(row, place, |Numeric(value)| DbValue::Decimal(value)),
        ref other => Err(Error::ValueConversionFailed(format!("this host reads no {}; `spin` does", other.name()))),
    }
}

/// A number of any length, as text.
struct Numeric(String);

impl<'a> FromSql<'a> for Numeric {
    /// The format on the wire: four words (how many digits, the weight of the first, sign, scale), then the digits, each
    /// from 0 to 9999.
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let words: Vec<u16> = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let [_, weight, sign, scale, digits @ ..] = words.as_slice() else { return Err("a NUMERIC is cut off".into()) };
        let (weight, scale) = (weight.cast_signed(), usize::from(*scale));
        let digit = |place: i16| {
            let place = usize::try_from(place).ok();
            place.and_then(|place| digits.get(place)).copied().unwrap_or(0)
        };
        let mut text = match sign {
            0x0000 => String::new(),
            0x4000 => "-".to_owned(),
            _ => return Ok(Self("NaN".to_owned())),
        };
        let whole: String = (0..=weight).map(|place| format!("{:04}", digit(place))).collect();
        let whole = whole.trim_start_matches('0');
        text.push_str(if whole.is_empty() { "0" } else { whole });
        if scale > 0 {
            let places = i16::try_from(scale.div_ceil(4))?;
            let fraction: String = (1..=places).map(|place| format!("{:04}", digit(weight + place))).collect();
            text.push('.');
            text.push_str(&fraction[..scale]);
        }
        Ok(Self(text))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}

/// What the server, or the way to it, said.
fn failed(error: tokio_postgres::Error) -> Error {
    let text = format!("{error:?}");
    Error::QueryFailed(match error.as_db_error() {
        None => QueryError::Text(text),
        Some(server) => {
            let extras = [("constraint", server.constraint()), ("table", server.table()), ("column", server.column())];
            QueryError::DbError(DbError {
                as_text: text,
                severity: server.severity().to_owned(),
                code: server.code().code().to_owned(),
                message: server.message().to_owned(),
                detail: server.detail().map(str::to_owned),
                extras: extras.into_iter().filter_map(|(name, value)| Some((name.into(), value?.into()))).collect(),
            })
        }
    })
}

fn call<'a>(function: &'static str, detail: &'a str) -> Call<'a> {
    Call { interface: "postgres", function, detail }
}

/// What a call is about. Never the address, which has a password in it.
const OPEN: Call<'static> = Call { interface: "postgres", function: "open", detail: "" };

fn lost(message: String) -> Error {
    Error::QueryFailed(QueryError::Text(message))
}

impl InstanceState {
    async fn open_postgres(&mut self, address: &str) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let opened = self.shared.pools.open(address, &self.shared.allowed_hosts);
        match self.gate.pass(OPEN, Error::ConnectionFailed, opened).await? {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl Host for InstanceState {}

impl HostConnectionBuilder for InstanceState {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<Builder>> {
        Ok(self.table.push(Builder { address, has_ca: false })?)
    }

    async fn set_ca_root(&mut self, builder: Resource<Builder>, _: String) -> wasmtime::Result<Result<(), Error>> {
        self.table.get_mut(&builder)?.has_ca = true;
        Ok(Ok(()))
    }

    async fn build(&mut self, builder: Resource<Builder>) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let address = match self.table.get(&builder)?.address() {
            Ok(address) => address,
            Err(error) => return Ok(Err(error)),
        };
        self.open_postgres(&address).await
    }

    async fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl Builder {
    fn address(&self) -> Result<String, Error> {
        if self.has_ca {
            return Err(Error::Other("this host speaks no TLS with Postgres; `spin` does".into()));
        }
        Ok(self.address.clone())
    }
}

impl HostConnectionBuilderWithStore<InstanceState> for Data {
    async fn build_async(
        accessor: &Accessor<InstanceState, Self>,
        builder: Resource<Builder>,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let address = accessor.with(|mut access| {
            let builder = access.get().table.get(&builder)?;
            wasmtime::error::Ok(builder.address())
        })?;
        match address {
            Ok(address) => Data::open_async(accessor, address).await,
            Err(error) => Ok(Err(error)),
        }
    }
}

impl HostConnection for InstanceState {
    async fn open(&mut self, address: String) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        self.open_postgres(&address).await
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<RowSet, Error>> {
        let connection = self.table.get(&connection)?.clone();
        Ok(self.gate.pass(call("query", &statement), lost, connection.query(&statement, parameters)).await?)
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let connection = self.table.get(&connection)?.clone();
        Ok(self.gate.pass(call("execute", &statement), lost, connection.execute(&statement, parameters)).await?)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl HostConnectionWithStore<InstanceState> for Data {
    async fn open_async(
        accessor: &Accessor<InstanceState, Self>,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let (shared, gate) = accessor.with(|mut access| {
            let state = access.get();
            (state.shared.clone(), state.gate.clone())
        });
        let opened = shared.pools.open(&address, &shared.allowed_hosts);
        match gate.pass(OPEN, Error::ConnectionFailed, opened).await? {
            Ok(connection) => {
                let connection = accessor.with(|mut access| access.get().table.push(connection))?;
                Ok(Ok(connection))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn query_async(
        accessor: &Accessor<InstanceState, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<Answer, Error>> {
        let (connection, gate) = found(accessor, &connection)?;
        let rows = match gate.pass(call("query", &statement), lost, connection.query(&statement, parameters)).await? {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        accessor.with(|mut access| {
            let stream = StreamReader::new(&mut access, rows.rows)?;
            let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?;
            Ok(Ok((rows.columns, stream, end)))
        })
    }

    async fn execute_async(
        accessor: &Accessor<InstanceState, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let (connection, gate) = found(accessor, &connection)?;
        Ok(gate.pass(call("execute", &statement), lost, connection.execute(&statement, parameters)).await?)
    }
}

type Found = (Connection, Arc<crate::control::Gate>);

fn found(accessor: &Accessor<InstanceState, Data>, connection: &Resource<Connection>) -> wasmtime::Result<Found> {
    accessor.with(|mut access| {
        let state = access.get();
        Ok((state.table.get(connection)?.clone(), state.gate.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_are_read() {
        let numeric = |words: &[u16]| {
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            Numeric::from_sql(&Type::NUMERIC, &raw).unwrap().0
        };
        assert_eq!(numeric(&[0, 0, 0, 0]), "0");
        assert_eq!(numeric(&[1, 0, 0, 0, 7]), "7");
        assert_eq!(numeric(&[1, 1, 0, 0, 3]), "30000");
        assert_eq!(numeric(&[2, 1, 0x4000, 0, 12, 345]), "-120345");
        assert_eq!(numeric(&[2, 0, 0, 2, 19, 9900]), "19.99");
        assert_eq!(numeric(&[1, 0xffff, 0, 4, 5]), "0.0005");
        assert_eq!(numeric(&[0, 0, 0xc000, 0]), "NaN");
    }
}
