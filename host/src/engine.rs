//! The WebAssembly engine, one for all hosts of a process, and what it offers to components.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::artifact::deny;
use crate::bindings::{key_value, mqtt, postgres, redis, sqlite, variables};
use crate::instance::{Data, InstanceState};
use crate::manifest::unsupported;

/// Instances that all hosts of this process can have at a time, as Spin has it.
const MOST_INSTANCES: u32 = 1000;

/// Memory that a slot of the pool keeps when its instance ends; the rest is given back.
const KEPT_MEMORY: usize = 256 << 10;

/// How long a guest may compute before others on its thread get a turn.
pub(crate) const TURN: Duration = Duration::from_millis(2);

/// The engine of this process.
///
/// # Errors
///
/// If the machine cannot reserve the address space for the pool of instances.
pub(crate) fn engine() -> Result<Engine> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine.clone());
    }
    let created = Engine::new(&config()).map_err(anyhow::Error::from)?;
    let engine = ENGINE.get_or_init(|| {
        let ticking = created.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(TURN);
                ticking.increment_epoch();
            }
        });
        created
    });
    Ok(engine.clone())
}

fn config() -> Config {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(MOST_INSTANCES)
        .total_core_instances(4 * MOST_INSTANCES)
        .total_memories(MOST_INSTANCES)
        .total_tables(2 * MOST_INSTANCES)
        .total_stacks(MOST_INSTANCES)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_core_instances_per_component(200)
        .max_memories_per_component(32)
        .max_tables_per_component(64)
        .max_memory_size(4 << 30)
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(64 << 10);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model_async(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Everything that components may import, except denied imports, which differ by component.
///
/// # Errors
///
/// If two definitions collide, which would be a mistake here.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    sqlite::add_to_linker::<_, Data>(&mut linker, |state| state)?;
    postgres::add_to_linker::<_, Data>(&mut linker, |state| state)?;
    key_value::add_to_linker::<_, Data>(&mut linker, |state| state)?;
    variables::add_to_linker::<_, Data>(&mut linker, |state| state)?;
    redis::add_to_linker::<_, Data>(&mut linker, |state| state)?;
    mqtt::add_to_linker::<_, Data>(&mut linker, |state| state)?;
    Ok(linker)
}

/// Checks that the host has what a component imports.
///
/// # Errors
///
/// Naming the first import that it has not.
pub(crate) fn check_imports(component: &Component) -> Result<()> {
    for (import, item) in component.component_type().imports(component.engine()) {
        if deny::is_denied_name(import) || is_offered(import) {
            continue;
        }
        // An interface that a component imports for its types only asks for nothing.
        if let ComponentItem::ComponentInstance(instance) = &item.ty {
            let mut exports = instance.exports(component.engine());
            if exports.all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))) {
                continue;
            }
        }
        return Err(unsupported(&format!("the import {import}")));
    }
    Ok(())
}

fn is_offered(import: &str) -> bool {
    const OWN: [&str; 6] = [
        "spin:key-value/key-value@3.0.0",
        "spin:mqtt/mqtt@3.0.0",
        "spin:postgres/postgres@4.2.0",
        "spin:redis/redis@3.0.0",
        "spin:sqlite/sqlite@3.1.0",
        "spin:variables/variables@3.0.0",
    ];
    const WASI: [&str; 7] =
        ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:http/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
    let version = import.split_once('@').map_or("", |(_, version)| version);
    let released = version.starts_with("0.2.") || version == "0.3.0";
    let wasi = WASI.iter().any(|package| import.starts_with(package));
    // Middleware calls the next handler, which nobody provides here.
    OWN.contains(&import) || (wasi && released && !import.starts_with("wasi:http/handler@"))
}
