//! The running application: its components, what connects them, and which instances live.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tokio::sync::Notify;
use wasmtime::Engine;
use wasmtime_wasi_http::handler::ProxyHandler;
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, WasiBody};

use crate::application::{Application, empty_response};
use crate::clock::Clock;
use crate::control::{Control, KillSwitch};
use crate::output::Output;
use crate::routes::RouteMatch;
use crate::worker::Factory;

/// The address that a service-chained request comes from, as in Spin.
const CHAINED_CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// What all components of a host share.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    pub(crate) control: Option<Arc<dyn Control>>,
    pub(crate) sequence: Arc<AtomicU64>,
    pub(crate) clock: Clock,
    pub(crate) random_seed: Option<u64>,
    pub(crate) quiet: bool,
    pub(crate) output: Option<Arc<Output>>,
    pub(crate) max_instance_reuse: usize,
    pub(crate) max_concurrent: usize,
    pub(crate) max_guest_memory: Option<usize>,
    pub(crate) request_timeout: Duration,
    pub(crate) header_filter: ForbiddenHeaderFilter,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) instances: AtomicU64,
    /// Set once the application is complete: its components refer to each other through it.
    pub(crate) application: OnceLock<(SocketAddr, Weak<Application>)>,
}

impl Runtime {
    pub(crate) fn next_instance(&self) -> u64 {
        self.instances.fetch_add(1, Ordering::Relaxed)
    }

    /// The application's public address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.application.get().map_or(CHAINED_CLIENT, |(address, _)| *address)
    }

    /// Hands a request to a component of the application, as another component makes it.
    ///
    /// # Errors
    ///
    /// If there is no component of that name with an HTTP trigger.
    pub(crate) async fn chain(&self, component: &str, request: Request<WasiBody>) -> Result<Response<WasiBody>, Error> {
        let application = self.application.get().and_then(|(_, weak)| weak.upgrade());
        let unknown = || {
            let message = format!("no component {component:?} with an HTTP trigger");
            Error::InternalError(Some(message))
        };
        let application = application.ok_or_else(unknown)?;
        let service = application.services.get(component).ok_or_else(unknown)?;
        let path = request.uri().path().to_owned();
        let matched = RouteMatch::chained(component, &path);
        Ok(service.respond(request, &matched, CHAINED_CLIENT).await)
    }
}

/// A component that answers HTTP requests.
pub(crate) struct Service {
    pub(crate) handler: ProxyHandler<Factory>,
}

impl Service {
    /// Has an instance answer; a request that its instance fails on is answered 500.
    pub(crate) async fn respond(
        &self,
        mut request: Request<WasiBody>,
        matched: &RouteMatch<'_>,
        client: SocketAddr,
    ) -> Response<WasiBody> {
        let uri = request.uri().clone();
        crate::headers::insert_spin_headers(request.headers_mut(), &uri, matched, client);
        match self.handler.handle((), request).await {
            Ok(response) => response,
            Err(error) => {
                let shared = &self.handler.state().shared;
                if !shared.runtime.quiet {
                    let (component, path) = (&shared.id, uri.path());
                    eprintln!("[{component}] no answer to a request for {path}: {error}");
                }
                empty_response(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// The instances that live, so that a host can wait for them and end them.
#[derive(Default)]
pub(crate) struct Lifecycle {
    draining: AtomicBool,
    living: Mutex<HashMap<u64, Arc<KillSwitch>>>,
    died: Notify,
}

impl Lifecycle {
    fn living(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<KillSwitch>>> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn born(&self, instance: u64, switch: Arc<KillSwitch>) {
        self.living().insert(instance, switch);
    }

    pub(crate) fn died(&self, instance: u64) {
        self.living().remove(&instance);
        self.died.notify_waiters();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Lets instances end as soon as they have nothing to do, and waits until all have, at most for
    /// `bound`; then ends those that are left.
    pub(crate) async fn drain(&self, bound: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        self.living().values().for_each(|switch| switch.nudge());
        if tokio::time::timeout(bound, self.all_dead()).await.is_err() {
            self.living().values().for_each(|switch| switch.kill());
            _ = tokio::time::timeout(bound, self.all_dead()).await;
        }
    }

    /// Ends all instances, without waiting for them.
    pub(crate) fn abandon(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.living().values().for_each(|switch| switch.kill());
    }

    async fn all_dead(&self) {
        loop {
            let died = self.died.notified();
            tokio::pin!(died);
            died.as_mut().enable();
            if self.living().is_empty() {
                return;
            }
            died.await;
        }
    }
}
