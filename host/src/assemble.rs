//! From the options to an application that is ready to serve.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use wasmtime::component::{Component as Compiled, Linker};
use wasmtime_wasi_http::handler::{ProxyHandler, ProxyPre};
use wasmtime_wasi_http::{p2, p3};

use crate::allowed_hosts::AllowedHosts;
use crate::application::Application;
use crate::artifact::{Loader, deny};
use crate::capabilities::key_value::KeyValueStore;
use crate::capabilities::outbound_http::header_filter;
use crate::capabilities::postgres::Pools;
use crate::capabilities::sqlite::DatabaseFile;
use crate::engine;
use crate::files::Files;
use crate::host::directory_of;
use crate::instance::{InstanceState, Shared};
use crate::manifest::{Component, Manifest};
use crate::options::Options;
use crate::routes::Router;
use crate::runtime::{Runtime, Service};
use crate::runtime_config::{Location, RuntimeConfig};
use crate::template;
use crate::variables;
use crate::worker::Factory;

/// An application and what belongs to it.
pub(crate) struct Assembled {
    pub(crate) application: Arc<Application>,
    pub(crate) runtime: Arc<Runtime>,
    /// Components and the paths at which they want ticks.
    pub(crate) ticks: Vec<(String, String)>,
}

/// Does all that can be done before the first request, and fails for all that can be known by then.
///
/// # Errors
///
/// See [`Host::start`](crate::Host::start).
pub(crate) fn assemble(options: Options) -> Result<Assembled> {
    let manifest = Manifest::read(&options.manifest)?;
    let directory = directory_of(&options.manifest);
    let router = Router::new(&manifest.http)?;
    let values = variables::resolve(&manifest, &options.variables, &directory)?;
    let stores = Stores::configure(&manifest, &options)?;
    let engine = engine::engine()?;
    let linker = engine::linker(&engine)?;
    let quiet = options.quiet;
    let tell = move |message: &str| {
        if !quiet {
            eprintln!("{message}");
        }
    };
    for warning in router.warnings() {
        tell(&format!("warning: {warning}"));
    }
    let loader = Loader {
        engine: &engine,
        manifest: &manifest,
        directory: &directory,
        cache: &options.cache_dir,
        progress: &tell,
    };
    let triggered: BTreeSet<&str> = manifest.http.iter().map(|t| t.component.as_str()).collect();
    let runtime = Arc::new(runtime(&options, engine.clone()));
    let mut services = HashMap::new();
    let mut ticks = Vec::new();
    for id in triggered {
        let component = &manifest.components[id];
        let shared = share(id, component, &values, &stores, &directory, runtime.clone())
            .with_context(|| format!("component {id:?}"))?;
        let compiled = loader.load(id)?;
        let pre = prepare(&linker, &compiled).with_context(|| format!("component {id:?}"))?;
        let shared = Arc::new(shared);
        let handler = ProxyHandler::new(Factory { shared, pre });
        services.insert(id.to_owned(), Service { handler });
        if let Some(path) = component.tick()? {
            ticks.push((id.to_owned(), path.to_owned()));
        }
    }
    let application = Arc::new(Application {
        name: manifest.application.name.clone(),
        version: manifest.application.version.clone(),
        router,
        services,
    });
    Ok(Assembled { application, runtime, ticks })
}

fn runtime(options: &Options, engine: wasmtime::Engine) -> Runtime {
    Runtime {
        engine,
        control: options.control.clone(),
        sequence: Arc::new(AtomicU64::new(0)),
        clock: options.clock.clone(),
        random_seed: options.random_seed,
        quiet: options.quiet,
        output: options.output.clone(),
        max_instance_reuse: options.max_instance_reuse.max(1),
        max_concurrent: options.max_concurrent.max(1),
        max_guest_memory: options.max_guest_memory,
        request_timeout: options.request_timeout,
        header_filter: header_filter(),
        lifecycle: Default::default(),
        instances: AtomicU64::new(0),
        application: OnceLock::new(),
    }
}

/// The stores of an application, by label; components with the same label share one.
#[derive(Default)]
struct Stores {
    databases: HashMap<String, Arc<DatabaseFile>>,
    key_value: HashMap<String, Arc<KeyValueStore>>,
}

impl Stores {
    fn configure(manifest: &Manifest, options: &Options) -> Result<Self> {
        let config =
            RuntimeConfig::read(options.runtime_config.as_deref(), &options.state_dir, options.data_root.as_deref())?;
        let mut stores = Self::default();
        for (id, component) in &manifest.components {
            let context = || format!("component {id:?}");
            for label in &component.sqlite_databases {
                let location = config.sqlite(label).with_context(context)?;
                make_directory(&location)?;
                let database = || DatabaseFile::new(location);
                stores.databases.entry(label.clone()).or_insert_with(database);
            }
            for label in &component.key_value_stores {
                let location = config.key_value(label).with_context(context)?;
                make_directory(&location)?;
                let store = || KeyValueStore::new(label, location);
                stores.key_value.entry(label.clone()).or_insert_with(store);
            }
        }
        Ok(stores)
    }
}

fn make_directory(location: &Location) -> Result<()> {
    let Some(directory) = location.path.as_deref().and_then(std::path::Path::parent) else {
        return Ok(());
    };
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create the directory {}", directory.display()))
}

fn share(
    id: &str,
    component: &Component,
    values: &BTreeMap<String, String>,
    stores: &Stores,
    directory: &Path,
    runtime: Arc<Runtime>,
) -> Result<Shared> {
    let hosts = component
        .allowed_outbound_hosts
        .iter()
        .map(|entry| template::render(entry, values))
        .collect::<Result<Vec<_>>>()?;
    Ok(Shared {
        id: id.into(),
        runtime,
        environment: component.environment.clone().into_iter().collect(),
        files: Files::copy(&component.files, &component.exclude_files, directory)?,
        variables: variables::of_component(&component.variables, values)?,
        allowed_hosts: AllowedHosts::parse(hosts)?,
        databases: component
            .sqlite_databases
            .iter()
            .filter_map(|label| Some((label.clone(), stores.databases.get(label)?.clone())))
            .collect(),
        stores: component
            .key_value_stores
            .iter()
            .filter_map(|label| Some((label.clone(), stores.key_value.get(label)?.clone())))
            .collect(),
        pools: Pools::default(),
    })
}

fn prepare(linker: &Linker<InstanceState>, component: &Compiled) -> Result<ProxyPre<InstanceState>> {
    engine::check_imports(component)?;
    let mut linker = linker.clone();
    deny::define(&mut linker, component)?;
    let pre = linker.instantiate_pre(component)?;
    if let Ok(service) = p3::bindings::ServicePre::new(pre.clone()) {
        return Ok(ProxyPre::P3(service));
    }
    p2::bindings::ProxyPre::new(pre)
        .map(ProxyPre::P2)
        .map_err(anyhow::Error::from)
        .context("it exports neither wasi:http/handler@0.3.0 nor wasi:http/incoming-handler@0.2")
}
