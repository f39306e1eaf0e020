//! When instances begin, how much each does, and when they end; the work between is that of
//! `wasmtime_wasi_http::handler`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

use crate::control::KillSwitch;
use crate::instance::{InstanceState, Shared};

/// How long an instance waits for its next request, as in Spin.
const IDLE: Duration = Duration::from_secs(1);

/// What a new instance of a component lives in.
///
/// # Errors
///
/// If the component's files are gone.
pub(crate) fn new_store(shared: &Arc<Shared>) -> anyhow::Result<Store<InstanceState>> {
    let runtime = &shared.runtime;
    let mut store = Store::new(&runtime.engine, InstanceState::new(shared)?);
    if runtime.max_guest_memory.is_some() {
        store.limiter(|state| &mut state.limits);
    }
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    Ok(store)
}

/// Makes the instances of one component.
pub(crate) struct Factory {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pre: ProxyPre<InstanceState>,
}

impl HandlerState for Factory {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Policy;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Policy>> {
        let runtime = &self.shared.runtime;
        let mut store = new_store(&self.shared).map_err(wasmtime::Error::from_anyhow)?;
        let (number, switch) = (store.data().gate.instance, store.data().gate.switch.clone());
        let proxy = self.pre.instantiate_async(&mut store).await?;
        runtime.lifecycle.born(number, switch.clone());
        Ok(Instance {
            store,
            proxy,
            view: InstanceState::http,
            expiration: Expiration { shared: self.shared.clone(), switch, sleep: Box::pin(tokio::time::sleep(IDLE)) },
            state: Policy { shared: self.shared.clone() },
        })
    }
}

/// Ends an instance that is idle, is over its time, or was killed.
pub(crate) struct Expiration {
    shared: Arc<Shared>,
    switch: Arc<KillSwitch>,
    sleep: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, since: Instant) -> Poll<()> {
        self.switch.register(context.waker());
        let idle = status == WorkerStatus::Idle;
        if self.switch.is_killed() || (idle && self.shared.runtime.lifecycle.is_draining()) {
            return Poll::Ready(());
        }
        let allowed = if idle { IDLE } else { self.shared.runtime.request_timeout };
        // The timer is set anew only when it has run out, not at each request. It is never set for
        // later than `IDLE`, so that it is in time whatever the status is by then.
        while self.sleep.as_mut().poll(context).is_ready() {
            let elapsed = since.elapsed();
            if elapsed >= allowed {
                return Poll::Ready(());
            }
            let rest = (allowed - elapsed).min(IDLE);
            self.sleep.as_mut().reset(tokio::time::Instant::now() + rest);
        }
        Poll::Pending
    }
}

/// Decides which requests an instance takes.
pub(crate) struct Policy {
    shared: Arc<Shared>,
}

impl WorkerState for Policy {
    type StoreData = InstanceState;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        let runtime = &self.shared.runtime;
        if total >= runtime.max_instance_reuse {
            ShouldAccept::Never
        } else if concurrent >= runtime.max_concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, InstanceState>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(tokio::time::sleep(self.shared.runtime.request_timeout))
    }

    fn drop(&self, store: Store<InstanceState>, result: wasmtime::Result<()>) {
        let gate = store.data().gate.clone();
        if let Err(error) = result {
            let told = self.shared.runtime.quiet || gate.switch.is_killed();
            if !told {
                eprintln!("[{}] the instance failed: {error:?}", self.shared.id);
            }
        }
        drop(store);
        self.shared.runtime.lifecycle.died(gate.instance);
    }
}
