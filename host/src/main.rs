//! The command line of the host.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bodega_host::{Host, Options};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// A small Spin-compatible host, for development and tests.
#[derive(Parser)]
#[command(name = "bodega-host", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the application of a manifest.
    Up(Up),
}

#[derive(Args)]
struct Up {
    /// Where to serve.
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The manifest, or its directory.
    #[arg(long, short = 'f', alias = "from", default_value = "spin.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// Serve the triggers of this component, and of others that are named, only.
    #[arg(long, short = 'c', value_name = "ID")]
    component_id: Vec<String>,
    /// Where SQLite databases and key-value stores are, by label.
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,
    /// Where the stores with the label `default` are [default: .spin beside the manifest].
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// Where compiled components are kept [default: bodega-host in your cache directory].
    #[arg(long, value_name = "DIRECTORY")]
    cache_dir: Option<PathBuf>,
    /// The value of an application variable.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    variable: Vec<(String, String)>,
    /// Print nothing, not even the output of components.
    #[arg(long, short)]
    quiet: bool,
    /// How many requests an instance serves before a new one takes its place.
    #[arg(long, default_value_t = 128, value_name = "NUMBER")]
    max_instance_reuse: usize,
    /// How many requests an instance serves at a time.
    #[arg(long, default_value_t = 16, value_name = "NUMBER")]
    max_concurrent: usize,
    /// How often components with a `tool.bodega.tick` in the manifest get one; 0 is never.
    #[arg(long, default_value_t = 1000, value_name = "MILLISECONDS")]
    tick_interval_ms: u64,
    /// How long an instance may take for a request.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    request_timeout: u64,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Up {
    fn options(self) -> Options {
        let mut options = Options::new(self.manifest);
        options.components = self.component_id;
        options.listen = self.listen;
        options.runtime_config = self.runtime_config_file;
        options.state_dir = self.state_dir.unwrap_or(options.state_dir);
        options.cache_dir = self.cache_dir.unwrap_or(options.cache_dir);
        options.variables = BTreeMap::from_iter(self.variable);
        options.quiet = self.quiet;
        options.max_instance_reuse = self.max_instance_reuse;
        options.max_concurrent = self.max_concurrent;
        options.request_timeout = Duration::from_secs(self.request_timeout);
        options.tick_interval = match self.tick_interval_ms {
            0 => None,
            millis => Some(Duration::from_millis(millis)),
        };
        options
    }
}

/// Threads for what waits for the disk. Commits to one database come one after the other anyway, and
/// every thread keeps memory.
const BLOCKING_THREADS: usize = 8;

fn main() -> Result<()> {
    let Command::Up(up) = Cli::parse().command;
    tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start threads")?
        .block_on(serve(up))
}

async fn serve(up: Up) -> Result<()> {
    let quiet = up.quiet;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle signals")?;
    let mut host = Host::start(up.options()).await?;
    if !quiet {
        announce(&host);
    }
    let ended = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        error = host.failed() => Err(error),
    };
    if !quiet {
        eprintln!("Stopping");
    }
    host.stop().await.and(ended)
}

fn announce(host: &Host) {
    let lists = [(format!("Serving {}", host.url()), host.routes()), ("Listening to".to_owned(), host.subscriptions())];
    for (title, entries) in lists.into_iter().filter(|(_, entries)| !entries.is_empty()) {
        eprintln!("{title}");
        let width = entries.iter().map(|(entry, _)| entry.len()).max();
        for (entry, component) in entries {
            eprintln!("  {entry:width$}  {component}", width = width.unwrap_or(0));
        }
    }
}
