//! The choke point: every call that a component makes to the outside passes a [`Gate`], where a test
//! can observe it, delay it, fail it, or kill the instance before or after it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use futures::task::AtomicWaker;

/// A call from a component to the outside, as a [`Control`] sees it.
#[derive(Clone, Copy, Debug)]
pub struct HostCall<'a> {
    /// The id in the manifest of the component that calls.
    pub component: &'a str,
    /// The instance of that component, a number unique within the host.
    pub instance: u64,
    /// Counts the calls of all components. Both phases of one call have the same number.
    pub sequence: u64,
    /// `sqlite`, `postgres`, `key-value`, `variables`, `redis`, `mqtt` or `http`.
    pub interface: &'static str,
    /// The function of the interface: `open`, `execute`, `get`, `send`, …
    pub function: &'static str,
    /// What the call is about: the SQL text, `METHOD URL`, the key, the label, the channel, the topic, the command of Redis
    /// without its arguments, the server without user and password.
    pub detail: &'a str,
    /// Whether the call is about to be carried out, or has been.
    pub phase: Phase,
}

/// When a [`Control`] is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing of the call has happened yet.
    Before,
    /// The call has had its effect; the component does not know its result yet.
    After,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it happen.
    Proceed,
    /// Let it happen after this time.
    Delay(Duration),
    /// Answer the component with an error that has this message. In [`Phase::After`] the effect
    /// stays: only the answer is lost.
    Fail(String),
    /// End the instance at this point, with all requests it serves and all work it has spawned, as
    /// if it had trapped. Open transactions roll back; callers get a 500.
    Kill,
}

/// Decides about every call from a component to the outside. It must not block.
pub trait Control: Send + Sync {
    /// Decides about one call, in one phase.
    fn on_call(&self, call: &HostCall<'_>) -> Verdict;
}

/// Ends an instance from the outside, or tells it that it was ended.
#[derive(Debug, Default)]
pub(crate) struct KillSwitch {
    killed: AtomicBool,
    waker: AtomicWaker,
}

impl KillSwitch {
    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::SeqCst)
    }

    /// Has `waker` woken at the next [`KillSwitch::kill`] or [`KillSwitch::nudge`].
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Makes the worker of the instance look at its state.
    pub(crate) fn nudge(&self) {
        self.waker.wake();
    }
}

/// The error with which a killed instance traps.
#[derive(Debug, thiserror::Error)]
#[error("the instance was killed by the test's control")]
pub(crate) struct Killed;

/// What identifies a call at the gate; see the fields of [`HostCall`].
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) interface: &'static str,
    pub(crate) function: &'static str,
    pub(crate) detail: &'a str,
}

/// The gate of one instance.
pub(crate) struct Gate {
    pub(crate) component: Arc<str>,
    pub(crate) instance: u64,
    pub(crate) control: Option<Arc<dyn Control>>,
    pub(crate) sequence: Arc<AtomicU64>,
    pub(crate) switch: Arc<KillSwitch>,
}

impl Gate {
    /// Carries out `work`, unless the control decides otherwise. `refuse` makes the component's
    /// error from the message of [`Verdict::Fail`].
    ///
    /// Without a control this is `work` and one comparison. The outer error ends the instance.
    pub(crate) async fn pass<T, E>(
        &self,
        call: Call<'_>,
        refuse: impl Fn(String) -> E,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Killed> {
        let Some(control) = &self.control else {
            return Ok(work.await);
        };
        let sequence = self.sequence.fetch_add(1, Ordering::SeqCst);
        if let Err(message) = self.ask(control, call, sequence, Phase::Before).await? {
            return Ok(Err(refuse(message)));
        }
        let result = work.await;
        if let Err(message) = self.ask(control, call, sequence, Phase::After).await? {
            return Ok(Err(refuse(message)));
        }
        Ok(result)
    }

    async fn ask(
        &self,
        control: &Arc<dyn Control>,
        call: Call<'_>,
        sequence: u64,
        phase: Phase,
    ) -> Result<Result<(), String>, Killed> {
        // Other tasks of a killed instance may run once more before the instance is gone: they must
        // not have any effect.
        if self.switch.is_killed() {
            return Err(Killed);
        }
        let verdict = control.on_call(&HostCall {
            component: &self.component,
            instance: self.instance,
            sequence,
            interface: call.interface,
            function: call.function,
            detail: call.detail,
            phase,
        });
        match verdict {
            Verdict::Proceed => Ok(Ok(())),
            Verdict::Fail(message) => Ok(Err(message)),
            Verdict::Delay(time) => {
                tokio::time::sleep(time).await;
                if self.switch.is_killed() {
                    return Err(Killed);
                }
                Ok(Ok(()))
            }
            Verdict::Kill => {
                self.switch.kill();
                Err(Killed)
            }
        }
    }
}
