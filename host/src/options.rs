//! What a host is started with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::control::Control;
use crate::output::Output;

/// What a host is started with. [`Options::new`] has the defaults.
#[derive(Clone)]
pub struct Options {
    /// The manifest, or the directory that has it as `spin.toml`.
    pub manifest: PathBuf,
    /// The components whose triggers are served. Default: none are named, which is all.
    pub components: Vec<String>,
    /// The address to serve at; port 0 takes a free one. Default: a free port of 127.0.0.1.
    pub listen: SocketAddr,
    /// `runtime-config.toml`, if any.
    pub runtime_config: Option<PathBuf>,
    /// Where the stores with the label `default` are. Default: `.spin` beside the manifest.
    pub state_dir: PathBuf,
    /// If set, all SQLite databases and key-value stores are files below this directory, whatever
    /// the runtime configuration says: for tests, which start each shop empty.
    pub data_root: Option<PathBuf>,
    /// Where compiled components are kept. Default: `bodega-host` in the user's cache directory.
    pub cache_dir: PathBuf,
    /// Values of application variables; they go before the environment and `.env`.
    pub variables: BTreeMap<String, String>,
    /// Whether to print nothing: no progress, no output of components, no failures.
    pub quiet: bool,
    /// If set, takes what components write to their stdout, in place of the host's stdout, also when it is quiet.
    pub output: Option<Arc<Output>>,
    /// How many requests an instance serves before a new one takes its place. Default: 128.
    pub max_instance_reuse: usize,
    /// How many requests an instance serves at a time. Default: 16.
    pub max_concurrent: usize,
    /// Bytes that a memory of an instance may have; what asks for more is refused. Default: as many as an instance asks for.
    pub max_guest_memory: Option<usize>,
    /// How long an instance may take for a request, and for its work after the last one. Default:
    /// 60 seconds.
    pub request_timeout: Duration,
    /// How long [`Host::stop`](crate::Host::stop) waits for requests and spawned work. Default: 10
    /// seconds.
    pub stop_timeout: Duration,
    /// How often components with a `tick` in the manifest get one. Default: never.
    pub tick_interval: Option<Duration>,
    /// Decides about every call of a component to the outside.
    pub control: Option<Arc<dyn Control>>,
    /// The wall clock of all guests.
    pub clock: Clock,
    /// If set, guests get random numbers that depend on it and on the number of their instance only.
    pub random_seed: Option<u64>,
}

impl Options {
    /// The defaults for the application with this manifest.
    pub fn new(manifest: impl Into<PathBuf>) -> Self {
        let mut manifest = manifest.into();
        if manifest.is_dir() {
            manifest.push("spin.toml");
        }
        let state_dir = manifest.with_file_name(".spin");
        Self {
            manifest,
            components: Vec::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            runtime_config: None,
            cache_dir: cache_dir().unwrap_or_else(|| state_dir.join("cache")),
            state_dir,
            data_root: None,
            variables: BTreeMap::new(),
            quiet: false,
            output: None,
            max_instance_reuse: 128,
            max_concurrent: 16,
            max_guest_memory: None,
            request_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
            tick_interval: None,
            control: None,
            clock: Clock::new(),
            random_seed: None,
        }
    }
}

fn cache_dir() -> Option<PathBuf> {
    let of_user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_user = of_user.filter(|path| path.is_absolute());
    let base = of_user.or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        home.map(|home| home.join(".cache"))
    });
    Some(base?.join("bodega-host"))
}
