//! Where a shop runs: on our host in this process, or on the `spin` program.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bodega_host::{Clock, Control, Host, Options, Output};
use tokio::sync::Mutex as AsyncMutex;

/// Whether shops run on the `spin` program: with `BODEGA_HOST=spin`.
pub fn on_spin() -> bool {
    match std::env::var("BODEGA_HOST").as_deref() {
        Ok("spin") => true,
        Ok("bodega-host") | Err(_) => false,
        Ok(other) => panic!("BODEGA_HOST is `{other}`; it must be `spin` or `bodega-host`"),
    }
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What the manifest says of the services.
#[derive(Clone)]
pub(crate) struct Manifest {
    /// Components with a tick.
    pub(crate) ticking: Vec<String>,
    pub(crate) databases: Vec<String>,
    pub(crate) stores: Vec<String>,
    /// Its text, when it is not that of the shop itself.
    changed: Option<String>,
    /// Files of `config/` that are not those of the shop itself.
    config: Vec<(String, String)>,
}

impl Manifest {
    /// That of the shop with `changes`: lines, each there once, and what stands there instead. `config` are further files
    /// of `config/`, or others than there are.
    pub(crate) fn read(changes: &[(String, String)], config: &[(String, String)]) -> Self {
        let mut text = fs::read_to_string(workspace().join("spin.toml")).unwrap();
        for (from, to) in changes {
            assert_eq!(text.matches(from.as_str()).count(), 1, "spin.toml must have this once: {from}");
            text = text.replace(from.as_str(), to);
        }
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let components = manifest["component"].as_table().unwrap();
        let labels = |grant: &str| {
            let granted = components.values().filter_map(|component| component.get(grant)?.as_array());
            let mut labels: Vec<_> = granted.flatten().map(|label| label.as_str().unwrap().to_owned()).collect();
            labels.sort();
            labels.dedup();
            labels
        };
        for component in components.values() {
            let source = workspace().join(component["source"].as_str().unwrap());
            assert!(source.exists(), "{} is missing: run `make build` first", source.display());
        }
        let ticks = |component: &toml::Value| component.get("tool")?.get("bodega")?.get("tick").cloned();
        let ticking = components.iter().filter(|(_, component)| ticks(component).is_some());
        Self {
            ticking: ticking.map(|(id, _)| id.clone()).collect(),
            databases: labels("sqlite_databases"),
            stores: labels("key_value_stores"),
            changed: (!changes.is_empty() || !config.is_empty()).then_some(text),
            config: config.to_vec(),
        }
    }

    /// Where it is: that of the shop itself, or a changed copy beside the data.
    fn path(&self, data: &Path) -> PathBuf {
        let Some(text) = &self.changed else { return workspace().join("spin.toml") };
        let sources = format!("source = \"{}/target/", workspace().display());
        let path = data.join("spin.toml");
        fs::write(&path, text.replace("source = \"target/", &sources)).unwrap();
        // What is mounted must be beside the manifest.
        let config = data.join("config");
        fs::create_dir_all(&config).unwrap();
        for entry in fs::read_dir(workspace().join("config")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), config.join(entry.file_name())).unwrap();
        }
        for (name, text) in &self.config {
            fs::write(config.join(name), text).unwrap();
        }
        path
    }
}

/// What a server is started with.
pub(crate) struct Settings<'a> {
    pub(crate) data: &'a Path,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) clock: Clock,
    /// Takes the lines of the components' stdout. On Spin they are in files below `logs`.
    pub(crate) output: Arc<Output>,
    pub(crate) control: Option<Arc<dyn Control>>,
    pub(crate) tick_interval: Option<Duration>,
    pub(crate) max_instance_reuse: Option<usize>,
    pub(crate) max_guest_memory: Option<usize>,
    /// Whether it is a program of its own, also on our host.
    pub(crate) program: bool,
}

/// A running server.
pub(crate) enum Server {
    /// In this process.
    Bench(Box<Host>),
    /// `spin`, or our host.
    Program(Box<Program>),
}

/// A server that is a program of its own. It ends with this value.
pub struct Program {
    command: Mutex<Command>,
    /// The leader of a process group: `spin up` starts another process, which serves.
    child: Mutex<Child>,
    url: String,
}

impl Program {
    fn start(mut command: Command, url: String) -> Self {
        let child = Mutex::new(spawn(&mut command));
        Self { command: Mutex::new(command), child, url }
    }

    /// Kills it as a power failure would.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let ended =
            Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
        if ended.is_ok() {
            _ = child.wait();
        }
    }

    /// Starts it again with the same data, at the same address. It answers a moment later.
    pub fn start_again(&self) {
        self.kill();
        *self.child.lock().unwrap() = spawn(&mut self.command.lock().unwrap());
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()))
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Shops that start together would all compile the same components.
static STARTING: AsyncMutex<()> = AsyncMutex::const_new(());

impl Server {
    pub(crate) async fn start(settings: Settings<'_>, manifest: &Manifest) -> Self {
        let path = manifest.path(settings.data);
        if !settings.program && !on_spin() {
            return Self::host(Self::options(settings, path)).await;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = settings.data.join("runtime-config.toml");
        fs::write(&config, runtime_config(settings.data, manifest)).unwrap();
        let mut command = Self::up(&settings, &path);
        command.args(["--listen", &address]).arg("--runtime-config-file").arg(config);
        Self::Program(Box::new(Program::start(command, format!("http://{address}"))))
    }

    /// Starts the triggers that this component of `spin.brokers.toml` has.
    pub(crate) async fn start_inbound(settings: Settings<'_>, component: &str) -> Self {
        let manifest = workspace().join("spin.brokers.toml");
        if settings.program || on_spin() {
            let mut command = Self::up(&settings, &manifest);
            command.args(["--component-id", component]);
            return Self::Program(Box::new(Program::start(command, String::new())));
        }
        let mut options = Self::options(settings, manifest);
        options.components = vec![component.to_owned()];
        Self::host(options).await
    }

    fn options(settings: Settings<'_>, manifest: PathBuf) -> Options {
        let mut options = Options::new(manifest);
        options.runtime_config = Some(workspace().join("runtime-config.toml"));
        options.data_root = Some(settings.data.to_owned());
        options.state_dir = settings.data.join("state");
        options.cache_dir = target().join("bodega-host-cache");
        options.variables = settings.variables;
        options.quiet = std::env::var_os("BODEGA_VERBOSE").is_none();
        options.clock = settings.clock;
        options.output = Some(settings.output);
        options.control = settings.control;
        options.tick_interval = settings.tick_interval;
        options.max_guest_memory = settings.max_guest_memory;
        options.max_instance_reuse = settings.max_instance_reuse.unwrap_or(options.max_instance_reuse);
        options
    }

    async fn host(options: Options) -> Self {
        let _one_at_a_time = STARTING.lock().await;
        Self::Bench(Box::new(Host::start(options).await.unwrap_or_else(|error| panic!("{error:?}"))))
    }

    fn up(settings: &Settings<'_>, manifest: &Path) -> Command {
        let mut command;
        if on_spin() {
            command = Command::new("spin");
            command.arg("up").arg("--log-dir").arg(settings.data.join("logs"));
        } else {
            command = Command::new(program("bodega-host"));
            command.arg("up").arg("--cache-dir").arg(target().join("bodega-host-cache"));
        }
        command.arg("--from").arg(manifest).arg("--state-dir").arg(settings.data.join("state"));
        for (name, value) in &settings.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        if std::env::var_os("BODEGA_VERBOSE").is_none() {
            command.arg("--quiet").stdout(Stdio::null()).stderr(Stdio::null());
        }
        command.process_group(0);
        command
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Bench(host) => host.url(),
            Self::Program(program) => program.url.clone(),
        }
    }
}

/// The same files as on our host, so that the same audit reads them.
fn runtime_config(data: &Path, manifest: &Manifest) -> String {
    let mut config = String::new();
    for (table, labels) in [("sqlite_database", &manifest.databases), ("key_value_store", &manifest.stores)] {
        fs::create_dir_all(data.join(table)).unwrap();
        for label in labels {
            let path = data.join(table).join(format!("{label}.db"));
            config += &format!("[{table}.{label}]\ntype = \"spin\"\npath = {path:?}\n");
        }
    }
    config
}

/// A program of the workspace, which is built beside the tests.
pub fn program(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join(name);
    assert!(program.exists(), "{} is missing: `cargo test --workspace` builds it", program.display());
    program
}

fn target() -> PathBuf {
    let moved = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    workspace().join(moved.unwrap_or("target".into()))
}
