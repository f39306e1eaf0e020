//! A running host, and how it is started and stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::application::{Application, boxed};
use crate::assemble;
use crate::manifest::Manifest;
use crate::options::Options;
use crate::runtime::Runtime;
use crate::server::Server;
use crate::triggers::Triggers;

/// A running application.
pub struct Host {
    address: SocketAddr,
    application: Arc<Application>,
    runtime: Arc<Runtime>,
    /// Only if there is an HTTP trigger.
    server: Option<Server>,
    triggers: Triggers,
    ticks: JoinSet<()>,
    stop_timeout: Duration,
}

impl Host {
    /// Starts the application: reads the manifest, loads the components (compiling those that the
    /// cache does not have), subscribes to what brokers have for them, and serves.
    ///
    /// # Errors
    ///
    /// If the manifest asks for what this host lacks, a file is missing or wrong, a required variable
    /// has no value, the address is taken, or a broker cannot be reached. The message says what to do.
    pub async fn start(options: Options) -> Result<Self> {
        let mut manifest = Manifest::read(&options.manifest)?;
        if !options.components.is_empty() {
            manifest.retain(&options.components)?;
        }
        let (listener, address) = if manifest.http.is_empty() {
            (None, options.listen)
        } else {
            let listener = TcpListener::bind(options.listen)
                .await
                .with_context(|| format!("cannot listen at {}; --listen takes another address", options.listen))?;
            let address = listener.local_addr()?;
            (Some(listener), address)
        };
        let tick_interval = options.tick_interval;
        let stop_timeout = options.stop_timeout;
        let assembled = tokio::task::spawn_blocking(move || assemble::assemble(&manifest, &options)).await??;
        let (application, runtime) = (assembled.application, assembled.runtime);
        _ = runtime.application.set((address, Arc::downgrade(&application)));
        let triggers = Triggers::start(assembled.plan).await?;
        let mut ticks = JoinSet::new();
        if let Some(interval) = tick_interval {
            for (component, path) in assembled.ticks {
                ticks.spawn(tick(runtime.clone(), component, path, interval));
            }
        }
        Ok(Self {
            server: listener.map(|listener| Server::start(listener, application.clone())),
            triggers,
            address,
            application,
            runtime,
            ticks,
            stop_timeout,
        })
    }

    /// The address that the application is served at. Nothing listens there if it has no HTTP trigger.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of the application, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The public routes, as in the manifest, and their components.
    pub fn routes(&self) -> Vec<(String, String)> {
        self.application.router.routes().to_vec()
    }

    /// What the application hears of brokers, as `SERVER/CHANNEL`, and the components that handle it.
    pub fn subscriptions(&self) -> Vec<(String, String)> {
        self.triggers.listed().to_vec()
    }

    /// Waits until a trigger cannot go on because its broker is gone, and returns why. Spin ends then; of this host all
    /// else goes on, and it is for the caller to stop it. Without such triggers this waits forever.
    pub async fn failed(&mut self) -> anyhow::Error {
        self.triggers.failed().await
    }

    /// Sends a request to a component the way another component does, by service chaining, and
    /// collects the response. Only path and query of the URI count.
    ///
    /// # Errors
    ///
    /// If there is no such component with an HTTP trigger, or its response breaks off. That an
    /// instance fails is a response with status 500.
    pub async fn call(&self, component: &str, request: Request<Bytes>) -> Result<Response<Bytes>> {
        call(&self.runtime, component, request).await
    }

    /// Stops the application: accepts no more requests and messages, lets those in flight and the work they have
    /// spawned finish within [`Options::stop_timeout`], and ends what is left.
    ///
    /// # Errors
    ///
    /// None at present; a connection that does not end in time is closed.
    pub async fn stop(mut self) -> Result<()> {
        self.ticks.shutdown().await;
        let server = async {
            if let Some(server) = &mut self.server {
                server.stop(self.stop_timeout).await;
            }
        };
        tokio::join!(server, self.triggers.stop(self.stop_timeout));
        self.runtime.lifecycle.drain(self.stop_timeout).await;
        Ok(())
    }
}

/// Ends what an abandoned host has running, without waiting.
impl Drop for Host {
    fn drop(&mut self) {
        self.runtime.lifecycle.abandon();
    }
}

async fn call(runtime: &Runtime, component: &str, request: Request<Bytes>) -> Result<Response<Bytes>> {
    let mut request = request.map(|body| boxed(Full::new(body)));
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(format!("{component}.spin.internal"))
        .path_and_query(path.unwrap_or(PathAndQuery::from_static("/")))
        .build()?;
    let response = runtime.chain(component, request).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.context("the response broke off")?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Posts to a path of a component at each interval, one at a time, until the host stops.
async fn tick(runtime: Arc<Runtime>, component: String, path: String, interval: Duration) {
    let mut timer = tokio::time::interval(interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::POST;
        // The manifest's check has let through only what starts with a slash.
        let Ok(uri) = path.parse() else { return };
        *request.uri_mut() = uri;
        let failure = match call(&runtime, &component, request).await {
            Ok(response) if response.status().is_success() => continue,
            Ok(response) => response.status().to_string(),
            Err(error) => format!("{error:#}"),
        };
        if !runtime.quiet {
            eprintln!("[{component}] the tick at {path} failed: {failure}");
        }
    }
}

/// The directory that a manifest is in.
pub(crate) fn directory_of(manifest: &Path) -> PathBuf {
    let parent = manifest.parent().unwrap_or(Path::new("."));
    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() }
}
