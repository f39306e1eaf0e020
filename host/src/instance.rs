//! What a component has, shared by its instances, and what each instance has for itself.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wasmtime::component::{HasData, ResourceTable};
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::address::Address;
use crate::allowed_hosts::AllowedHosts;
use crate::capabilities::key_value::KeyValueStore;
use crate::capabilities::outbound_http::Hooks;
use crate::capabilities::postgres::Pools;
use crate::capabilities::sqlite::DatabaseFile;
use crate::control::{Gate, KillSwitch};
use crate::files::Files;
use crate::output::{Lines, Target};
use crate::runtime::Runtime;

/// What all instances of a component share: its grants, resolved.
pub(crate) struct Shared {
    pub(crate) id: Arc<str>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) files: Option<Files>,
    pub(crate) variables: HashMap<String, String>,
    pub(crate) allowed_hosts: AllowedHosts,
    pub(crate) databases: HashMap<String, Arc<DatabaseFile>>,
    pub(crate) stores: HashMap<String, Arc<KeyValueStore>>,
    pub(crate) pools: Pools,
}

impl Shared {
    /// Where this address is, if the component may connect to it.
    pub(crate) fn permit(&self, address: &str, scheme: &str) -> Option<Address> {
        let address = Address::parse(address, scheme);
        let permitted = address.as_ref().is_some_and(|address| self.allowed_hosts.allows_address(address));
        if !permitted && !self.runtime.quiet {
            let told = address.as_ref().map_or("an address that is none".to_owned(), Address::to_string);
            let component = &self.id;
            eprintln!(
                "[{component}] may not connect to {told}: allowed_outbound_hosts of the component does not have it"
            );
        }
        address.filter(|_| permitted)
    }
}

/// The state of one instance.
pub(crate) struct InstanceState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) table: ResourceTable,
    /// SQLite connections in `table`.
    pub(crate) connections: usize,
    /// Connections to Redis in `table`.
    pub(crate) redis_connections: usize,
    /// Connections to MQTT brokers in `table`.
    pub(crate) mqtt_connections: usize,
    pub(crate) limits: StoreLimits,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
}

/// Gives the capabilities their access to an [`InstanceState`].
pub(crate) struct Data;

impl HasData for Data {
    type Data<'a> = &'a mut InstanceState;
}

impl InstanceState {
    /// The state of a new instance, with the switch that ends it.
    ///
    /// # Errors
    ///
    /// If the component's files are gone.
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Self> {
        let runtime = &shared.runtime;
        let instance = runtime.next_instance();
        let gate = Arc::new(Gate {
            component: shared.id.clone(),
            instance,
            control: runtime.control.clone(),
            sequence: runtime.sequence.clone(),
            switch: Arc::new(KillSwitch::default()),
        });
        Ok(Self {
            hooks: Hooks::new(shared.clone(), gate.clone()),
            wasi: wasi(shared, instance)?,
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            connections: 0,
            redis_connections: 0,
            mqtt_connections: 0,
            limits: runtime
                .max_guest_memory
                .map_or_else(StoreLimits::default, |bytes| StoreLimitsBuilder::new().memory_size(bytes).build()),
            shared: shared.clone(),
            gate,
        })
    }
}

fn wasi(shared: &Shared, instance: u64) -> Result<WasiCtx> {
    let runtime = &shared.runtime;
    let or = |target| if runtime.quiet { Target::Nowhere } else { target };
    let stdout = runtime.output.clone().map_or_else(|| or(Target::Stdout), Target::Given);
    let mut wasi = WasiCtxBuilder::new();
    wasi.envs(&shared.environment)
        .stdout(Lines::new(&shared.id, stdout))
        .stderr(Lines::new(&shared.id, or(Target::Stderr)))
        .wall_clock(runtime.clock.clone());
    if let Some(seed) = runtime.random_seed {
        // Instances must differ, or all of them would make the same ids.
        let mut random = StdRng::seed_from_u64(seed ^ instance.rotate_left(32));
        wasi.insecure_random_seed(u128::from(random.next_u64()))
            .insecure_random(StdRng::seed_from_u64(random.next_u64()))
            .secure_random(random);
    }
    if let Some(files) = &shared.files {
        wasi.preopened_dir(files.path(), "/", FsPerms::ReadOnly)
            .map_err(anyhow::Error::from)
            .with_context(|| format!("the files of {}", shared.id))?;
    }
    Ok(wasi.build())
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
