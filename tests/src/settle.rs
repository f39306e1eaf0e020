//! Bringing a shop to rest: housekeeping, and time.

use std::time::{Duration, Instant};

use futures::future::join_all;
use reqwest::Method;
use serde_json::Value;

use crate::{Shop, server::Server};

/// How long a shop may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);
/// A shop that shows no change for so long waits for something. To be wrong about that costs a tick too many.
const STALLED: Duration = Duration::from_millis(25);

/// What goes on in a shop at one moment.
#[derive(Debug, PartialEq, Eq)]
struct Pulse {
    /// Events that some subscriber has not got yet; parked ones do not count.
    undelivered: i64,
    /// Charges and refunds that are being sent for the first time.
    sending: i64,
    /// Charges and refunds that the provider has not answered, refunds that are made again later; checkouts and uses of
    /// codes that orders have not; mails that have not left the shop.
    unknown: i64,
    /// When each of all of these is due, in Unix milliseconds.
    due: Vec<i64>,
    /// Changes whenever anything else does.
    trace: Vec<Value>,
}

/// What is held for a subscriber that cannot be reached is due when somebody looks whether it can be again.
const DELIVERIES: &str = "SELECT CASE WHEN d.due_at < 9007199254740991 THEN d.due_at ELSE coalesce((SELECT probe_at \
     FROM lanes l WHERE l.subscriber = d.subscriber), 0) END, attempts FROM deliveries d WHERE parked_at IS NULL ORDER BY id";
const MONEY: &str = "SELECT check_at, attempts FROM payments WHERE check_at IS NOT NULL \
     UNION ALL SELECT check_at, attempts + declined FROM refunds WHERE check_at IS NOT NULL";
const PLACEMENTS: &str = "SELECT try_at, attempts FROM checkouts WHERE try_at IS NOT NULL \
     UNION ALL SELECT check_at, 1 FROM redemptions WHERE check_at IS NOT NULL AND status = 'held'";
const MAILS: &str = "SELECT due_at, attempts FROM mails WHERE due_at IS NOT NULL ORDER BY id";

impl Shop {
    /// One round of housekeeping in every service that has any. Not on Spin: there, requests bring it about.
    pub async fn tick_all(&self) {
        match &self.server {
            Server::Bench(_) => {
                join_all(self.manifest.ticking.iter().map(|service| self.tick(service))).await;
            }
            Server::Program(_) => {
                let paths = ["auth/me", "products", "inventory/check?productId=1&quantity=1", "orders", "payments/1"];
                join_all(paths.map(|path| self.get(format!("/api/v1/{path}")).send())).await;
            }
        }
    }

    /// One round of housekeeping in one service, after the one that may be running. That it fails is not an error here: an
    /// instance may have been killed, and the next round does what this one did not.
    pub async fn tick(&self, service: &str) {
        let end = Instant::now() + Duration::from_secs(2);
        let mut answer = self.internal(service, Method::POST, "/internal/tick", None).await;
        while answer.status == 202 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
            answer = self.internal(service, Method::POST, "/internal/tick", None).await;
        }
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

    /// Waits until every event has arrived and the ending of every charge is known. Housekeeping is done only when
    /// nothing happens by itself any more, and when that does not help, the clock jumps to when something is due. Not on
    /// Spin.
    pub async fn settle_over_time(&self) {
        let end = Instant::now() + PATIENCE;
        let mut last = self.pulse();
        let mut changed = Instant::now();
        let mut ticked = false;
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let pulse = self.pulse();
            let quiet = pulse.undelivered == 0 && pulse.sending == 0 && pulse.unknown == 0;
            if pulse != last {
                (changed, ticked) = (Instant::now(), false);
            } else if quiet {
                return;
            } else if changed.elapsed() > STALLED {
                if ticked {
                    self.jump(&pulse.due);
                }
                self.tick_all().await;
                (changed, ticked) = (Instant::now(), true);
            }
            assert!(Instant::now() < end, "the shop does not come to rest: {pulse:?}");
            last = pulse;
        }
    }

    /// To when the next is due. What is due already and yet does not happen waits for one that is not.
    fn jump(&self, due: &[i64]) {
        let due = due.iter().filter_map(|due| Some(Duration::from_millis(u64::try_from(*due).ok()?)));
        if let Some(wait) = due.filter_map(|due| due.checked_sub(self.clock.now())).min() {
            self.clock.advance(wait + Duration::from_millis(1));
        }
    }

    fn pulse(&self) -> Pulse {
        let mut pulse = Pulse { undelivered: 0, sending: 0, unknown: 0, due: Vec::new(), trace: Vec::new() };
        for service in &self.manifest.databases {
            for row in self.query(service, DELIVERIES) {
                pulse.undelivered += 1;
                pulse.due.extend(row[0].as_i64());
                pulse.trace.extend(row);
            }
            pulse.trace.push(self.last_id(service, "outbox"));
            pulse.trace.extend(self.query(service, "SELECT count(*) FROM inbox").concat());
        }
        for row in self.query("payments", MONEY) {
            *(if row[1] == 0 { &mut pulse.sending } else { &mut pulse.unknown }) += 1;
            pulse.due.extend(row[0].as_i64());
            pulse.trace.extend(row);
        }
        for row in [self.query("carts", PLACEMENTS), self.query("notifications", MAILS)].concat() {
            pulse.unknown += 1;
            pulse.due.extend(row[0].as_i64());
            pulse.trace.extend(row);
        }
        pulse
    }
}
