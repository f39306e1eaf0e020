//! What the bridge says of itself: counts, and which sides it is connected with.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

type Sides = Arc<Mutex<BTreeMap<&'static str, bool>>>;

/// All counts and sides.
#[derive(Clone)]
pub struct Status {
    registry: Registry,
    messages: IntCounterVec,
    failures: IntCounterVec,
    pending: IntGaugeVec,
    active: IntGaugeVec,
    success: IntGaugeVec,
    up: IntGaugeVec,
    reconnects: IntCounterVec,
    sides: Sides,
}

impl Status {
    /// One with nothing in it.
    ///
    /// # Errors
    ///
    /// Never: the names are valid and differ.
    pub fn new() -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let route = &["route"];
        let status = Self {
            registry: Registry::new(),
            messages: counter(
                "bodega_bridge_messages_total",
                "Messages by what became of them: read, delivered, skipped, parked.",
                &["route", "outcome"],
            )?,
            failures: counter("bodega_bridge_failures_total", "Attempts that failed and are repeated.", route)?,
            pending: gauge("bodega_bridge_pending", "Messages that wait at the source, or are in flight.", route)?,
            active: gauge("bodega_bridge_active", "1 if this bridge carries the route, 0 if it stands by.", route)?,
            success: gauge(
                "bodega_bridge_last_success_timestamp_seconds",
                "When something last arrived at the far side.",
                route,
            )?,
            up: gauge("bodega_bridge_connected", "1 if this side is connected.", &["side"])?,
            reconnects: counter("bodega_bridge_reconnects_total", "Connections that came back.", &["side"])?,
            sides: Sides::default(),
        };
        status.registry.register(Box::new(status.messages.clone()))?;
        status.registry.register(Box::new(status.failures.clone()))?;
        status.registry.register(Box::new(status.pending.clone()))?;
        status.registry.register(Box::new(status.active.clone()))?;
        status.registry.register(Box::new(status.success.clone()))?;
        status.registry.register(Box::new(status.up.clone()))?;
        status.registry.register(Box::new(status.reconnects.clone()))?;
        Ok(status)
    }

    /// The counts of a route.
    pub fn route(&self, name: &'static str) -> Route {
        Route {
            read: self.messages.with_label_values(&[name, "read"]),
            delivered: self.messages.with_label_values(&[name, "delivered"]),
            skipped: self.messages.with_label_values(&[name, "skipped"]),
            parked: self.messages.with_label_values(&[name, "parked"]),
            failures: self.failures.with_label_values(&[name]),
            pending: self.pending.with_label_values(&[name]),
            active: self.active.with_label_values(&[name]),
            success: self.success.with_label_values(&[name]),
        }
    }

    /// A side that must be connected for the bridge to be well. At first it is not.
    pub fn side(&self, name: &'static str) -> Side {
        lock(&self.sides).insert(name, false);
        let reconnects = self.reconnects.with_label_values(&[name]);
        Side { name, up: self.up.with_label_values(&[name]), reconnects, seen: false, sides: self.sides.clone() }
    }

    /// Each side, and whether it is connected.
    pub fn sides(&self) -> BTreeMap<&'static str, bool> {
        lock(&self.sides).clone()
    }

    /// The metrics in Prometheus' format.
    ///
    /// # Errors
    ///
    /// If they cannot be written down.
    pub fn metrics(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

fn lock(sides: &Sides) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, bool>> {
    sides.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counts of a route.
#[derive(Clone)]
pub struct Route {
    /// Messages that were read, also repeatedly.
    pub read: IntCounter,
    /// Messages that the far side has.
    pub delivered: IntCounter,
    /// Messages that are not for the far side.
    pub skipped: IntCounter,
    /// Messages that are among the dead letters.
    pub parked: IntCounter,
    /// Attempts that failed.
    pub failures: IntCounter,
    /// Messages that wait.
    pub pending: IntGauge,
    /// Whether this bridge carries the route.
    pub active: IntGauge,
    success: IntGauge,
}

impl Route {
    /// Notes that so many messages have arrived.
    pub fn delivered(&self, count: usize) {
        if count > 0 {
            self.delivered.inc_by(count as u64);
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.success.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        }
    }
}

/// A side that must be connected.
pub struct Side {
    name: &'static str,
    up: IntGauge,
    reconnects: IntCounter,
    /// Whether it ever was connected.
    seen: bool,
    sides: Sides,
}

impl Side {
    /// Notes that it is connected.
    pub fn up(&mut self) {
        if self.set(true) {
            if self.seen {
                self.reconnects.inc();
            }
            self.seen = true;
            tracing::info!(side = self.name, "connected");
        }
    }

    /// Notes that it is not connected, and why.
    pub fn down(&mut self, why: impl std::fmt::Display) {
        if self.set(false) {
            tracing::warn!(side = self.name, %why, "the connection is lost");
        }
    }

    /// Whether that is news.
    fn set(&self, up: bool) -> bool {
        self.up.set(i64::from(up));
        lock(&self.sides).insert(self.name, up) != Some(up)
    }
}
