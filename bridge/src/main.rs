//! Carries the shop's events between Redis or MQTT and Kafka, its mails to an SMTP server, and wakes it.
//!
//! Whatever it reads it acknowledges when the far side has it: so nothing is lost, and something may come twice.

mod backoff;
mod config;
mod event;
mod http;
mod inbound;
mod kafka;
mod lease;
mod mail;
mod mqtt;
mod parts;
mod redis;
mod status;
mod tick;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, Log};

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// A TOML file. Variables BODEGA_BRIDGE_TABLE__KEY go before it.
    #[arg(long, env = "BODEGA_BRIDGE_CONFIG")]
    config: Option<PathBuf>,
    /// Only says whether the configuration is valid.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}"), ExitCode::FAILURE),
    };
    // Each of the clients would ask for one when it first speaks TLS. If there is one already it is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    let read = || {
        // Connections that are pooled belong to a runtime.
        let _runtime = runtime.enter();
        let config = Config::read(arguments.config.as_deref())?;
        parts::check(&config).map(|()| config)
    };
    let config = match read() {
        Ok(config) => config,
        Err(error) => return fail(&format!("the configuration is not valid: {error:#}"), ExitCode::from(2)),
    };
    if arguments.check {
        println!("The configuration is valid. It does: {}", config.parts().join(", "));
        return ExitCode::SUCCESS;
    }
    start_log(config.log);
    let done = runtime.block_on(run(&config));
    // A thread that waits for Kafka does not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(500));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}"), ExitCode::FAILURE),
    }
}

fn fail(why: &str, code: ExitCode) -> ExitCode {
    eprintln!("bodega-bridge: {why}");
    code
}

fn start_log(format: Log) {
    let usual = || EnvFilter::new("info,librdkafka=error,rdkafka=error");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| usual());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        Log::Text => log.with_ansi(false).init(),
        Log::Json => log.json().init(),
    }
}

async fn run(config: &Config) -> Result<()> {
    let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let mut tasks = parts::start(config, &stop)?;
    tracing::info!(parts = config.parts().join(", "), listen = %config.http.listen, "the bridge has started");
    let early = tokio::select! {
        _ = terminated.recv() => None,
        _ = interrupted.recv() => None,
        ended = tasks.join_next() => ended,
    };
    tracing::info!("the bridge stops: what is in flight still arrives");
    stop.cancel();
    let drained = timeout(config.drain, drain(&mut tasks)).await;
    match early {
        Some(Ok(Err(error))) => return Err(error),
        Some(Err(error)) => return Err(error).context("a part of the bridge has ended"),
        Some(Ok(Ok(()))) => anyhow::bail!("a part of the bridge has ended"),
        None => {}
    }
    drained.with_context(|| format!("what was in flight did not arrive within {:?}; it comes again", config.drain))?
}

async fn drain(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
