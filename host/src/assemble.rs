//! From the options to an application that is ready to serve.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use wasmtime::component::{Component as Compiled, InstancePre, Linker};
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
use crate::manifest::{Component, Manifest, MqttBroker};
use crate::options::Options;
use crate::routes::Router;
use crate::runtime::{Runtime, Service};
use crate::runtime_config::{Location, RuntimeConfig};
use crate::template;
use crate::triggers::{Entry, Handler, Plan, mqtt, redis};
use crate::variables;
use crate::worker::Factory;

/// An application and what belongs to it.
pub(crate) struct Assembled {
    pub(crate) application: Arc<Application>,
    pub(crate) runtime: Arc<Runtime>,
    /// Components and the paths at which they want ticks.
    pub(crate) ticks: Vec<(String, String)>,
    pub(crate) plan: Plan,
}

/// Does all that can be done before the first request, and fails for all that can be known by then.
///
/// # Errors
///
/// See [`Host::start`](crate::Host::start).
pub(crate) fn assemble(manifest: &Manifest, options: &Options) -> Result<Assembled> {
    let directory = directory_of(&options.manifest);
    let router = Router::new(&manifest.http)?;
    let values = variables::resolve(manifest, &options.variables, &directory)?;
    let stores = Stores::configure(manifest, options)?;
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
    let loader =
        Loader { engine: &engine, manifest, directory: &directory, cache: &options.cache_dir, progress: &tell };
    let runtime = Arc::new(runtime(options, engine.clone()));
    let prepare = |id: &str| -> Result<Prepared> {
        let component = &manifest.components[id];
        let shared = share(id, component, &values, &stores, &directory, runtime.clone())
            .with_context(|| format!("component {id:?}"))?;
        let compiled = loader.load(id)?;
        let pre = link(&linker, &compiled).with_context(|| format!("component {id:?}"))?;
        Ok((Arc::new(shared), pre))
    };
    let mut prepared = BTreeMap::new();
    for id in manifest.triggered() {
        prepared.insert(id, prepare(id)?);
    }
    let mut services = HashMap::new();
    let mut ticks = Vec::new();
    for id in manifest.http.iter().map(|trigger| trigger.component.as_str()).collect::<BTreeSet<_>>() {
        let (shared, pre) = prepared[id].clone();
        let pre = proxy(pre).with_context(|| format!("component {id:?}"))?;
        let handler = ProxyHandler::new(Factory { shared, pre });
        services.insert(id.to_owned(), Service { handler });
        if let Some(path) = manifest.components[id].tick()? {
            ticks.push((id.to_owned(), path.to_owned()));
        }
    }
    let plan = plan(manifest, &values, &prepared)?;
    let application = Arc::new(Application {
        name: manifest.application.name.clone(),
        version: manifest.application.version.clone(),
        router,
        services,
    });
    Ok(Assembled { application, runtime, ticks, plan })
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

/// A component's grants and its code, ready to become instances.
type Prepared = (Arc<Shared>, InstancePre<InstanceState>);

/// Who hears what of the brokers.
fn plan(manifest: &Manifest, values: &BTreeMap<String, String>, prepared: &BTreeMap<&str, Prepared>) -> Result<Plan> {
    let render = |text: &str| template::render(text, values);
    let handler = |id: &str, entry: fn(InstancePre<InstanceState>) -> Result<Entry>| {
        let (shared, pre) = prepared[id].clone();
        let entry = entry(pre).with_context(|| format!("component {id:?}"))?;
        anyhow::Ok(Handler { shared, entry })
    };
    let mut plan = Plan::default();
    let mut servers: BTreeMap<String, BTreeMap<String, Vec<Arc<Handler>>>> = BTreeMap::new();
    for trigger in &manifest.brokers.redis {
        let channels = servers.entry(render(&trigger.address)?).or_default();
        let handlers = channels.entry(render(&trigger.channel)?).or_default();
        handlers.push(Arc::new(handler(&trigger.component, Entry::redis)?));
    }
    for (address, channels) in servers {
        plan.redis.push(redis::Subscriber::new(&address, channels)?);
    }
    if let Some(broker) = &manifest.brokers.mqtt_broker {
        let broker = MqttBroker {
            address: render(&broker.address)?,
            username: render(&broker.username)?,
            password: render(&broker.password)?,
            keep_alive_interval: broker.keep_alive_interval.clone(),
        };
        for trigger in &manifest.brokers.mqtt {
            let handler = handler(&trigger.component, Entry::mqtt)?;
            plan.mqtt.push(mqtt::Subscriber::new(&broker, render(&trigger.topic)?, &trigger.qos, handler)?);
        }
    }
    Ok(plan)
}

fn link(linker: &Linker<InstanceState>, component: &Compiled) -> Result<InstancePre<InstanceState>> {
    engine::check_imports(component)?;
    let mut linker = linker.clone();
    deny::define(&mut linker, component)?;
    Ok(linker.instantiate_pre(component)?)
}

fn proxy(pre: InstancePre<InstanceState>) -> Result<ProxyPre<InstanceState>> {
    if let Ok(service) = p3::bindings::ServicePre::new(pre.clone()) {
        return Ok(ProxyPre::P3(service));
    }
    p2::bindings::ProxyPre::new(pre)
        .map(ProxyPre::P2)
        .map_err(anyhow::Error::from)
        .context("it exports neither wasi:http/handler@0.3.0 nor wasi:http/incoming-handler@0.2")
}
