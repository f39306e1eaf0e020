//! `spin:key-value`: key-value stores, by label, in SQLite files as Spin keeps them.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};
use tokio::sync::Mutex;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use crate::bindings::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::control::{Call, Gate};
use crate::instance::{Data, InstanceState};
use crate::runtime_config::Location;

const CREATE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (store TEXT NOT NULL, \
    key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))";

/// One store; all instances share its connection.
pub(crate) struct KeyValueStore {
    label: String,
    location: Location,
    connection: Mutex<Option<Arc<Mutex<rusqlite::Connection>>>>,
}

/// A guest's handle to a store.
#[derive(Clone)]
pub struct StoreHandle {
    label: Arc<str>,
    connection: Arc<Mutex<rusqlite::Connection>>,
}

impl KeyValueStore {
    pub(crate) fn new(label: &str, location: Location) -> Arc<Self> {
        Arc::new(Self { label: label.to_owned(), location, connection: Mutex::default() })
    }

    async fn open(&self) -> Result<StoreHandle, Error> {
        let mut connection = self.connection.lock().await;
        let connection = match connection.as_ref() {
            Some(connection) => connection.clone(),
            None => {
                let opened = self.connect().map_err(other)?;
                connection.insert(Arc::new(Mutex::new(opened))).clone()
            }
        };
        Ok(StoreHandle { label: self.label.as_str().into(), connection })
    }

    fn connect(&self) -> rusqlite::Result<rusqlite::Connection> {
        let connection = match &self.location.path {
            Some(path) => rusqlite::Connection::open(path)?,
            None => rusqlite::Connection::open_in_memory()?,
        };
        connection.execute(CREATE, [])?;
        Ok(connection)
    }
}

impl StoreHandle {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let connection = self.connection.lock().await;
        connection
            .prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")
            .and_then(|mut select| {
                let row = select.query_row(params![&*self.label, key], |row| row.get(0));
                row.optional()
            })
            .map_err(other)
    }

    async fn keys(&self) -> Result<Vec<String>, Error> {
        let connection = self.connection.lock().await;
        connection
            .prepare_cached("SELECT key FROM spin_key_value WHERE store = ?1")
            .and_then(|mut select| {
                let rows = select.query_map(params![&*self.label], |row| row.get(0))?;
                rows.collect()
            })
            .map_err(other)
    }

    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), Error> {
        const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3) \
            ON CONFLICT (store, key) DO UPDATE SET value = excluded.value";
        let (label, key) = (self.label.clone(), key.to_owned());
        self.write(move |connection| {
            let mut set = connection.prepare_cached(SET)?;
            set.execute(params![&*label, key, value]).map(drop)
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        const DELETE: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";
        let (label, key) = (self.label.clone(), key.to_owned());
        self.write(move |connection| {
            let mut delete = connection.prepare_cached(DELETE)?;
            delete.execute(params![&*label, key]).map(drop)
        })
        .await
    }

    /// Every write waits for the disk.
    async fn write(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let connection = self.connection.clone().lock_owned().await;
        tokio::task::spawn_blocking(move || work(&connection))
            .await
            .map_err(|error| Error::Other(error.to_string()))?
            .map_err(other)
    }
}

fn other(error: rusqlite::Error) -> Error {
    Error::Other(error.to_string())
}

fn call<'a>(function: &'static str, detail: &'a str) -> Call<'a> {
    Call { interface: "key-value", function, detail }
}

type Accessed<'a> = &'a Accessor<InstanceState, Data>;

fn found(accessor: Accessed<'_>, store: &Resource<StoreHandle>) -> wasmtime::Result<Found> {
    accessor.with(|mut access| {
        let state = access.get();
        Ok((state.table.get(store)?.clone(), state.gate.clone()))
    })
}

type Found = (StoreHandle, Arc<Gate>);

impl Host for InstanceState {}

impl HostStore for InstanceState {
    async fn drop(&mut self, store: Resource<StoreHandle>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl HostStoreWithStore<InstanceState> for Data {
    async fn open(accessor: Accessed<'_>, label: String) -> wasmtime::Result<Result<Resource<StoreHandle>, Error>> {
        let (store, gate) = accessor.with(|mut access| {
            let state = access.get();
            (state.shared.stores.get(&label).cloned(), state.gate.clone())
        });
        let Some(store) = store else {
            return Ok(Err(Error::AccessDenied));
        };
        let opened = gate.pass(call("open", &label), Error::Other, store.open());
        match opened.await? {
            Ok(handle) => {
                let handle = accessor.with(|mut access| access.get().table.push(handle))?;
                Ok(Ok(handle))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn get(
        accessor: Accessed<'_>,
        store: Resource<StoreHandle>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let (store, gate) = found(accessor, &store)?;
        let get = gate.pass(call("get", &key), Error::Other, store.get(&key));
        Ok(get.await?)
    }

    async fn set(
        accessor: Accessed<'_>,
        store: Resource<StoreHandle>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (store, gate) = found(accessor, &store)?;
        let set = gate.pass(call("set", &key), Error::Other, store.set(&key, value));
        Ok(set.await?)
    }

    async fn delete(
        accessor: Accessed<'_>,
        store: Resource<StoreHandle>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (store, gate) = found(accessor, &store)?;
        let delete = gate.pass(call("delete", &key), Error::Other, store.delete(&key));
        Ok(delete.await?)
    }

    async fn exists(
        accessor: Accessed<'_>,
        store: Resource<StoreHandle>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let (store, gate) = found(accessor, &store)?;
        let work = async { Ok(store.get(&key).await?.is_some()) };
        let exists = gate.pass(call("exists", &key), Error::Other, work);
        Ok(exists.await?)
    }

    async fn get_keys(
        accessor: Accessed<'_>,
        store: Resource<StoreHandle>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (store, gate) = found(accessor, &store)?;
        let keys = gate.pass(call("get-keys", ""), Error::Other, store.keys());
        let (keys, result) = match keys.await? {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let result = FutureReader::new(&mut access, async { wasmtime::error::Ok(result) })?;
            Ok((keys, result))
        })
    }
}
