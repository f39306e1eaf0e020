//! Servers as processes of their own, so that what they take is theirs alone.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::connection::Connection;
use crate::facts;

/// A server that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two attempts to get the first answer.
const PAUSE: Duration = Duration::from_millis(1);

/// The root of the workspace.
pub(crate) fn workspace() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package is not in a workspace")
}

/// Builds the host and the component that is the floor; returns the host's program. The shop's components are built
/// by `make build`.
pub(crate) fn build() -> Result<PathBuf> {
    let root = workspace()?;
    eprintln!("Building the host and hello-world");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    // All packages, as everywhere: cargo builds the dependencies anew for another choice of packages.
    let host = ["build", "--quiet", "--workspace", "--bin", "bodega-host"];
    run(Command::new(cargo).current_dir(root).args(host))?;
    let wasm = ["build", "--quiet", "--release", "--package", "hello"];
    // The script finds a tool chain of its own, which need not be the one that runs this.
    let mut script = Command::new(root.join("scripts/cargo-wasm"));
    run(script.current_dir(root).args(wasm).env_remove("RUSTUP_TOOLCHAIN"))?;
    let mut program = std::env::current_exe()?;
    program.set_file_name("bodega-host");
    ensure!(program.exists(), "{} is missing", program.display());
    Ok(program)
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// A running `bodega-host`.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process to its first answer with a 2xx.
    pub(crate) first_answer: Duration,
}

impl Server {
    /// Starts `program up` with the manifest and `arguments`, and waits until it answers to `path`. Its output goes to
    /// `log`.
    pub(crate) async fn start<A: AsRef<OsStr>>(
        program: &Path,
        manifest: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
        path: &str,
    ) -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let log_file = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.arg("up").arg("--listen").arg(address.to_string()).arg("--manifest").arg(manifest).args(arguments);
        command.stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut server = Self { child, address, first_answer: Duration::ZERO };
        let mut connection = Connection::new(address)?;
        loop {
            if connection.get(path, None).await.is_ok_and(|reply| reply.status.is_success()) {
                server.first_answer = started.elapsed();
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended ({status}):\n{}", std::fs::read_to_string(log)?);
            }
            ensure!(started.elapsed() < PATIENCE, "no answer to {path}:\n{}", std::fs::read_to_string(log)?);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Fails when the process has ended, and says how.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server at {} has ended: {status}", self.address),
            None => Ok(()),
        }
    }

    /// What the process has taken of the processors and holds of the memory so far.
    pub(crate) fn usage(&self) -> facts::Usage {
        facts::Usage::of(&self.child.id().to_string())
    }

    /// Ends the server the way an operator does.
    pub(crate) async fn stop(mut self) -> Result<()> {
        run(Command::new("kill").arg(self.child.id().to_string()))?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(asked.elapsed() < PATIENCE, "the server does not stop");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to do about a process that cannot be ended, or has ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
