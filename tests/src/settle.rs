//! Bringing a shop to rest: housekeeping, and time.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::Value;

use crate::{Shop, server::Server};

/// How long a shop may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);
/// A shop that shows no change for so long, tick after tick, waits for time to pass.
const STALLED: Duration = Duration::from_millis(60);

/// What goes on in a shop at one moment.
#[derive(Debug, PartialEq, Eq)]
struct Pulse {
    /// Events that some subscriber has not got yet; parked ones do not count.
    undelivered: i64,
    /// Charges and refunds that are being sent for the first time.
    sending: i64,
    /// Charges and refunds that the provider has not answered.
    unknown: i64,
    /// When the next of all of these is due, in Unix milliseconds.
    next_due: Option<i64>,
    /// Changes whenever anything else does.
    trace: Vec<Value>,
}

const DELIVERIES: &str = "SELECT count(*), min(due_at), sum(due_at), sum(attempts), \
     (SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), (SELECT count(*) FROM inbox) \
     FROM deliveries WHERE parked_at IS NULL";
const MONEY: &str = "SELECT COALESCE(sum(attempts = 0), 0), COALESCE(sum(attempts > 0), 0), min(check_at), \
     sum(check_at) FROM (SELECT attempts, check_at FROM payments WHERE check_at IS NOT NULL \
     UNION ALL SELECT attempts, check_at FROM refunds WHERE check_at IS NOT NULL)";

impl Shop {
    /// One round of housekeeping in every service that has any. Not on Spin: there, requests bring it about.
    pub async fn tick_all(&self) {
        match &self.server {
            Server::Bench(_) => {
                join_all(self.manifest.ticking.iter().map(|service| self.tick(service))).await;
            }
            Server::Spin(..) => {
                let paths = ["auth/me", "products", "inventory/check?productId=1&quantity=1", "orders", "payments/1"];
                join_all(paths.map(|path| self.get(format!("/api/v1/{path}")).send())).await;
            }
        }
    }

    /// One round of housekeeping in one service. That it fails is not an error here: an instance may have been killed,
    /// and the next round does what this one did not.
    pub async fn tick(&self, service: &str) {
        let answer = self.internal(service, Method::POST, "/internal/tick", None).await;
        if !answer.status.is_success() && std::env::var_os("BODEGA_VERBOSE").is_some() {
            eprintln!("tick of {service}: {} {}", answer.status, answer.text);
        }
    }

    /// Ticks until every event has arrived and every charge has been answered, or is known to be unanswered. Time takes
    /// its usual course, and parked events stay parked.
    ///
    /// # Panics
    ///
    /// When that takes too long, with what is left.
    pub async fn settle(&self) {
        let end = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            self.tick_all().await;
            let pulse = self.pulse();
            let quiet = pulse.undelivered == 0 && pulse.sending == 0;
            // Two equal looks: an event may have moved on between the databases while the first was taken.
            if quiet && last.as_ref() == Some(&pulse) {
                return;
            }
            assert!(Instant::now() < end, "the shop does not come to rest: {pulse:?}");
            last = Some(pulse);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ticks until every event has arrived and the ending of every charge is known; whenever nothing happens any more,
    /// the clock jumps to when something is due. Not on Spin.
    pub async fn settle_over_time(&self) {
        let end = Instant::now() + PATIENCE;
        let mut last = self.pulse();
        let mut changed = Instant::now();
        loop {
            self.tick_all().await;
            let pulse = self.pulse();
            let quiet = pulse.undelivered == 0 && pulse.sending == 0 && pulse.unknown == 0;
            if pulse != last {
                changed = Instant::now();
            } else if quiet {
                return;
            } else if changed.elapsed() > STALLED {
                self.jump_to(pulse.next_due);
                changed = Instant::now();
            }
            assert!(Instant::now() < end, "the shop does not come to rest: {pulse:?}");
            last = pulse;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn jump_to(&self, due: Option<i64>) {
        let due = Duration::from_millis(due.and_then(|due| u64::try_from(due).ok()).unwrap_or(0));
        self.clock.advance(due.saturating_sub(self.clock.now()) + Duration::from_millis(1));
    }

    fn pulse(&self) -> Pulse {
        let mut pulse = Pulse { undelivered: 0, sending: 0, unknown: 0, next_due: None, trace: Vec::new() };
        let mut due = |at: &Value| pulse.next_due = pulse.next_due.into_iter().chain(at.as_i64()).min();
        for service in &self.manifest.databases {
            for row in self.query(service, DELIVERIES) {
                pulse.undelivered += row[0].as_i64().unwrap_or(0);
                due(&row[1]);
                pulse.trace.extend(row);
            }
        }
        for row in self.query("payments", MONEY) {
            pulse.sending += row[0].as_i64().unwrap_or(0);
            pulse.unknown += row[1].as_i64().unwrap_or(0);
            due(&row[2]);
            pulse.trace.extend(row);
        }
        pulse
    }
}
