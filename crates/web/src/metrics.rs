//! What a service counts of its requests, and what it tells the gateway's `/metrics`.
//!
//! Instances are many, live shortly, and share nothing but the database; and no request may wait for a disk. So each
//! counts in memory, and a task that goes on after the response writes down what the instance has counted, all of it as
//! one row: nobody waits for anybody's row, and a row that is written twice is there once. Housekeeping adds rows up.
//!
//! Nothing waits for more to come: a task that sleeps in an instance was seen to hold up its neighbours. What met no route,
//! such as a 429, is written down with what did: whoever is refused must not have the database write for it. What an
//! instance has in memory when it ends is lost. Not counted are the routes that the shop asks by
//! the clock (`UNCOUNTED`): they would have an idle shop write every second. Other internal calls are.

mod kept;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    task::Poll,
    time::{Duration, Instant},
};

use axum::extract::MatchedPath;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

pub(crate) use kept::{compact, flush, report};

/// The upper bounds of the histogram, in seconds as Prometheus writes them and in microseconds. Above is one more.
pub const BOUNDS: [(&str, u64); 13] = [
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1", 1_000_000),
    ("2.5", 2_500_000),
    ("5", 5_000_000),
    ("10", 10_000_000),
];

/// For what met no route: unknown paths, and what is refused before anybody looks at its path.
const NO_ROUTE: &str = "unmatched";
/// Asked by the clock.
const UNCOUNTED: [&str; 3] = ["/internal/health", "/internal/metrics", "/internal/tick"];
/// A busy instance writes down what it has counted at most so often.
const COLLECTING: Duration = Duration::from_millis(500);
/// So many requests, counted or not, and it does at once: on Spin it has then served its last.
const FULL: u32 = 128;

/// Requests of one method and route that were answered with one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// `GET`, or `other` for one that HTTP does not know.
    pub method: String,
    /// The route's template, such as `/api/v1/orders/{id}`; never a path.
    pub route: String,
    /// The status.
    pub status: u16,
    /// How long they took together.
    pub micros: u64,
    /// How many took up to each of [`BOUNDS`] and longer than the one before; at last, those that took longer.
    pub buckets: [u64; BOUNDS.len() + 1],
}

impl Counted {
    fn key(&self) -> (String, String, u16) {
        (self.route.clone(), self.method.clone(), self.status)
    }
}

/// Adds up, in the order of routes, methods and statuses.
fn sum(counted: impl IntoIterator<Item = Counted>) -> Vec<Counted> {
    let mut sums: BTreeMap<_, Counted> = BTreeMap::new();
    for more in counted {
        match sums.entry(more.key()) {
            std::collections::btree_map::Entry::Vacant(place) => _ = place.insert(more),
            std::collections::btree_map::Entry::Occupied(mut sum) => {
                let sum = sum.get_mut();
                sum.micros += more.micros;
                sum.buckets.iter_mut().zip(more.buckets).for_each(|(sum, more)| *sum += more);
            }
        }
    }
    sums.into_values().collect()
}

/// A number that a service knows of itself, for each value of a label.
#[derive(Debug, Serialize, Deserialize)]
pub struct Gauge {
    /// Its name in Prometheus.
    pub name: String,
    /// What it is.
    pub help: String,
    /// The name of the label.
    pub label: String,
    /// The label's values, and the number for each.
    pub values: Vec<(String, i64)>,
}

impl Gauge {
    /// One with what was `counted` for each of `words`, 0 where nothing was.
    pub fn new(
        name: &str,
        help: &str,
        label: &str,
        words: impl IntoIterator<Item = &'static str>,
        counted: Vec<(String, i64)>,
    ) -> Self {
        let count = |word: &str| counted.iter().find(|counted| counted.0 == word).map_or(0, |counted| counted.1);
        let values = words.into_iter().map(|word| (word.to_owned(), count(word))).collect();
        Self { name: name.to_owned(), help: help.to_owned(), label: label.to_owned(), values }
    }
}

/// What a service tells: the answer of `/internal/metrics`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What it was asked, since its database was made.
    pub requests: Vec<Counted>,
    /// Copies of events that some subscriber does not have, and that are still tried.
    pub backlog: i64,
    /// How long the oldest of these has waited, since it was emitted or replayed.
    pub oldest_age_ms: i64,
    /// Copies that were given up.
    pub parked: i64,
    /// The subscribers that take nothing at all, and for how many milliseconds.
    pub outages: Vec<(String, i64)>,
    /// What else there is.
    pub gauges: Vec<Gauge>,
}

/// Requests of an instance that are not written down yet.
struct Entry {
    /// None: met no route.
    route: Option<MatchedPath>,
    method: &'static str,
    status: u16,
    micros: u64,
    buckets: [u64; BOUNDS.len() + 1],
}

impl Entry {
    fn route(&self) -> &str {
        self.route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str)
    }

    /// Whether it is written down also when nothing else is. 503 has no route when a service cannot start.
    fn presses(&self) -> bool {
        self.route.is_some() || self.status >= 500
    }
}

#[derive(Default)]
struct Instance {
    entries: Vec<Entry>,
    /// Requests that it has answered, counted or not.
    served: u32,
    /// Requests that it is answering.
    under_way: u32,
    /// True while a task writes down what was counted.
    flushing: bool,
    /// True when that task has written once.
    written: bool,
    /// When such a task began.
    flushed: Option<Instant>,
}

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::default();
    static MATCHED: RefCell<Option<MatchedPath>> = const { RefCell::new(None) };
}

/// Notes which route the request that is being polled has met.
pub(crate) fn met(extensions: &http::Extensions) {
    MATCHED.set(extensions.get::<MatchedPath>().cloned());
}

/// Makes an answer, and says which route its request has met. All that happens between the beginning and the end of a poll
/// is this request's own.
pub(crate) async fn routed<F: Future>(answer: F) -> (F::Output, Option<MatchedPath>) {
    let mut answer = std::pin::pin!(answer);
    let mut route = None;
    let answer = std::future::poll_fn(|context| {
        let poll: Poll<F::Output> = answer.as_mut().poll(context);
        if let Some(met) = MATCHED.take() {
            route = Some(met);
        }
        poll
    })
    .await;
    (answer, route)
}

/// A request that is being answered, until this is dropped.
pub(crate) struct UnderWay(());

impl Drop for UnderWay {
    fn drop(&mut self) {
        INSTANCE.with_borrow_mut(|instance| instance.under_way -= 1);
    }
}

/// A request has come.
pub(crate) fn arrived() -> UnderWay {
    INSTANCE.with_borrow_mut(|instance| instance.under_way += 1);
    UnderWay(())
}

/// Counts a request that came at `begun` and took so long. True when [`flush`] must be started to write it down.
pub(crate) fn count(
    request: UnderWay,
    method: &Method,
    route: Option<MatchedPath>,
    status: StatusCode,
    begun: Instant,
    took: Duration,
) -> bool {
    drop(request);
    INSTANCE.with_borrow_mut(|instance| {
        instance.count(method, route, status, took);
        instance.must_flush(begun + took)
    })
}

impl Instance {
    fn count(&mut self, method: &Method, route: Option<MatchedPath>, status: StatusCode, took: Duration) {
        self.served = self.served.wrapping_add(1);
        if !route.as_ref().is_some_and(|route| UNCOUNTED.contains(&route.as_str())) {
            self.add(known(method), route, status.as_u16(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Whether it is time to write down what there is, and nobody does. While others are under way it need not be now: the
    /// last of them finds what the others have left. What does not press waits for what does, or until it is much.
    fn must_flush(&mut self, now: Instant) -> bool {
        let collected = self.flushed.is_none_or(|flushed| now.duration_since(flushed) >= COLLECTING);
        let full = self.served.is_multiple_of(FULL);
        let time = full || (self.under_way == 0 || collected) && self.presses();
        let start = time && !self.entries.is_empty() && !self.flushing;
        if start {
            self.flushing = true;
            self.flushed = Some(now);
        }
        start
    }

    /// What the task that flushes writes down next; `None` when it is done. What was counted while it wrote is the business
    /// of the requests that are under way, or its own when there is none.
    fn next(&mut self) -> Option<Vec<Counted>> {
        let later = self.written && (self.under_way > 0 || !self.presses());
        let counted = if later { Vec::new() } else { self.take() };
        self.written = !counted.is_empty();
        self.flushing = self.written;
        self.written.then_some(counted)
    }

    fn presses(&self) -> bool {
        self.entries.iter().any(Entry::presses)
    }

    fn add(&mut self, method: &'static str, route: Option<MatchedPath>, status: u16, micros: u64) {
        let name = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
        let same = |entry: &&mut Entry| entry.status == status && entry.method == method && entry.route() == name;
        let bucket = BOUNDS.iter().position(|(_, bound)| micros <= *bound).unwrap_or(BOUNDS.len());
        match self.entries.iter_mut().find(same) {
            Some(entry) => {
                entry.micros += micros;
                entry.buckets[bucket] += 1;
            }
            None => {
                let mut buckets = [0; BOUNDS.len() + 1];
                buckets[bucket] = 1;
                self.entries.push(Entry { route, method, status, micros, buckets });
            }
        }
    }

    /// What is there, as it is written down. Nothing of it is left.
    fn take(&mut self) -> Vec<Counted> {
        let counted = |entry: Entry| Counted {
            method: entry.method.to_owned(),
            route: entry.route().to_owned(),
            status: entry.status,
            micros: entry.micros,
            buckets: entry.buckets,
        };
        std::mem::take(&mut self.entries).into_iter().map(counted).collect()
    }
}

/// A method of RFC 9110 or PATCH. Clients may make up others, and labels must not grow with what clients make up.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(instance: &mut Instance, status: u16, micros: u64) {
        let status = StatusCode::from_u16(status).unwrap();
        instance.count(&Method::GET, None, status, Duration::from_micros(micros));
    }

    #[test]
    fn who_is_refused_has_nothing_written_until_there_is_more() {
        let mut instance = Instance::default();
        let mut now = Instant::now();
        for _ in 1..FULL {
            count(&mut instance, 429, 1);
            now += COLLECTING;
            assert!(!instance.must_flush(now));
        }
        count(&mut instance, 404, 1);
        assert!(instance.must_flush(now), "an instance that has served its last keeps nothing");
        assert_eq!(instance.next().map(|counted| counted.len()), Some(2));
        count(&mut instance, 429, 1);
        assert_eq!(instance.next(), None, "that it came meanwhile makes no difference");
        count(&mut instance, 500, 1);
        assert!(instance.must_flush(now), "a failure is told at once");
        assert_eq!(instance.next().map(|counted| counted.len()), Some(2), "and takes the others along");
    }

    #[test]
    fn one_task_writes_down_what_many_requests_count() {
        let mut instance = Instance { under_way: 2, ..Instance::default() };
        let now = Instant::now();
        assert!(!instance.must_flush(now), "there is nothing");
        count(&mut instance, 500, 1_000);
        assert!(instance.must_flush(now), "the first one starts it");
        count(&mut instance, 500, 1_001);
        assert!(!instance.must_flush(now + COLLECTING), "that task is there");
        count(&mut instance, 503, 60_000_000);
        let counted = instance.next().unwrap();
        let buckets: Vec<_> = counted.iter().map(|counted| counted.buckets).collect();
        assert_eq!(
            counted.iter().map(|counted| (counted.status, counted.micros)).collect::<Vec<_>>(),
            [(500, 2_001), (503, 60_000_000)]
        );
        assert_eq!((buckets[0][..3].to_vec(), buckets[1][13]), (vec![1, 1, 0], 1), "a bound is within");
        count(&mut instance, 500, 1);
        assert_eq!(instance.next(), None, "two are under way and will see to it");
        assert!(!instance.must_flush(now), "not so soon");
        assert!(instance.must_flush(now + COLLECTING));
        assert_eq!(instance.next().map(|counted| counted.len()), Some(1));
        count(&mut instance, 500, 1);
        instance.under_way = 0;
        assert_eq!(instance.next().map(|counted| counted.len()), Some(1), "nobody else would");
        assert_eq!(instance.next(), None);
        count(&mut instance, 500, 1);
        assert!(instance.must_flush(now), "the last one leaves nothing behind");
    }

    #[test]
    fn methods_that_clients_make_up_are_one() {
        for (method, label) in [("GET", "GET"), ("get", "other"), ("BREW", "other"), ("PATCH", "PATCH")] {
            assert_eq!(known(&Method::from_bytes(method.as_bytes()).unwrap()), label);
        }
    }

    #[test]
    fn sums_are_by_method_route_and_status() {
        let one = |route: &str, status, micros| {
            let mut buckets = [0; BOUNDS.len() + 1];
            buckets[2] = 1;
            Counted { method: "GET".into(), route: route.into(), status, micros, buckets }
        };
        let sums = sum([one("/b", 200, 3), one("/a", 200, 4), one("/b", 200, 5), one("/b", 404, 6)]);
        let seen: Vec<_> =
            sums.iter().map(|sum| (sum.route.as_str(), sum.status, sum.micros, sum.buckets[2])).collect();
        assert_eq!(seen, [("/a", 200, 4, 1), ("/b", 200, 8, 2), ("/b", 404, 6, 1)]);
        let json = serde_json::to_string(&sums).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Counted>>(&json).unwrap(), sums);
    }
}
