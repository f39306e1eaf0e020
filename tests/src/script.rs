//! What happens to the calls of components to the outside, as a test wants it.

use std::sync::{Arc, Mutex, RwLock};

use bodega_host::{Control, HostCall, Phase, Verdict};

/// A call that was seen, before it was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The component that called.
    pub component: String,
    /// Its instance.
    pub instance: u64,
    /// `sqlite`, `postgres`, `key-value`, `variables` or `http`.
    pub interface: &'static str,
    /// The function of the interface.
    pub function: &'static str,
    /// What the call was about.
    pub detail: String,
}

/// Whether calls of this interface go to the database of a service, whichever engine it is on.
pub fn is_database(interface: &str) -> bool {
    matches!(interface, "sqlite" | "postgres")
}

type Rule = dyn Fn(&HostCall<'_>) -> Verdict + Send + Sync;

/// A control whose rule can be changed while the shop runs. Without a rule everything proceeds.
#[derive(Default)]
pub struct Script {
    rule: RwLock<Option<Box<Rule>>>,
    record: Mutex<Option<Vec<Seen>>>,
}

impl Script {
    /// One without a rule; hand a clone to [`ShopOptions::control`](crate::ShopOptions::control).
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Decides by `rule` from now on.
    pub fn rule(&self, rule: impl Fn(&HostCall<'_>) -> Verdict + Send + Sync + 'static) {
        *self.rule.write().unwrap() = Some(Box::new(rule));
    }

    /// Lets everything proceed again.
    pub fn clear(&self) {
        *self.rule.write().unwrap() = None;
    }

    /// Writes down calls from now on.
    pub fn record(&self) {
        *self.record.lock().unwrap() = Some(Vec::new());
    }

    /// Stops writing down, and returns what was.
    pub fn recorded(&self) -> Vec<Seen> {
        self.record.lock().unwrap().take().unwrap_or_default()
    }
}

impl Control for Script {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        if call.phase == Phase::Before
            && let Some(record) = self.record.lock().unwrap().as_mut()
        {
            record.push(Seen {
                component: call.component.to_owned(),
                instance: call.instance,
                interface: call.interface,
                function: call.function,
                detail: call.detail.to_owned(),
            });
        }
        self.rule.read().unwrap().as_ref().map_or(Verdict::Proceed, |rule| rule(call))
    }
}
