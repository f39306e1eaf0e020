//! The relay: delivers copies of events to their subscribers, by service chaining.
//!
//! Each subscriber has a lane of its own, so that one that is slow or down holds up nobody else. While a lane is busy
//! with a batch, what is emitted meanwhile collects in the queue and leaves as the next batch.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::future::{Either, join_all, select};
use http_body_util::BodyExt;
use model::Timestamp;
use serde::Deserialize;
use store::Database;

use crate::{
    Receipt, lanes,
    outbox::{self, Delivery, ROUND},
    trace,
};

/// A subscriber that takes longer for a batch has failed it. Shorter than the lease of a claim.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer longer than this is not a receipt.
const LONGEST_RECEIPT: usize = 256 * 1024;

#[derive(Default)]
struct Lane {
    queue: VecDeque<Delivery>,
    running: bool,
}

thread_local! {
    static LANES: RefCell<BTreeMap<String, Lane>> = const { RefCell::new(BTreeMap::new()) };
}

/// Why a batch has no receipt.
enum Failure {
    /// The subscriber says that it can take nothing now: no event is to blame for that.
    Unreachable(String),
    /// It did not say. One of the batch may be why.
    Unknown(String),
}

/// Half a second, doubled up to five minutes, twelve times: about twenty minutes, then the copy is parked.
fn retry_after(attempts: u32) -> Option<Duration> {
    ExponentialBuilder::new()
        .with_jitter()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(300))
        .with_max_times(12)
        .build()
        .nth(usize::try_from(attempts).unwrap_or(usize::MAX))
}

/// Queues copies that this instance has claimed.
pub(crate) fn enqueue(claimed: Vec<Delivery>) {
    LANES.with_borrow_mut(|lanes| {
        for delivery in claimed {
            lanes.entry(delivery.subscriber.clone()).or_default().queue.push_back(delivery);
        }
    });
}

/// True when this instance has queued copies that no lane is delivering yet.
pub fn has_work() -> bool {
    LANES.with_borrow(|lanes| lanes.values().any(|lane| !lane.running && !lane.queue.is_empty()))
}

/// Delivers what this instance has queued, then whatever became deliverable by it, until nothing is left.
pub async fn relay(database: &Database) {
    loop {
        let ready = LANES.with_borrow_mut(|lanes| {
            let ready = lanes.iter_mut().filter(|(_, lane)| !lane.running && !lane.queue.is_empty());
            ready.map(|(subscriber, lane)| Running::start(subscriber, lane)).collect::<Vec<_>>()
        });
        if ready.is_empty() {
            return;
        }
        join_all(ready.into_iter().map(|running| drain(database, running))).await;
        // Events of the same subjects may have waited for these, emitted here or by another instance.
        claim(database).await;
    }
}

/// Takes up whatever is due, whoever emitted it, and delivers it: retries, and what a dead instance left behind.
pub async fn relay_due(database: &Database) {
    claim(database).await;
    relay(database).await;
}

async fn claim(database: &Database) {
    match outbox::claim(database, Timestamp::now()).await {
        Ok(claimed) => enqueue(claimed),
        Err(error) => eprintln!("relay: cannot claim deliveries: {error}"),
    }
}

/// A lane that somebody is draining. Whatever becomes of them, the lane is free again afterwards.
struct Running {
    subscriber: String,
    /// Of the batch that is out: nobody knows yet whether it has arrived.
    subjects: HashSet<String>,
}

impl Running {
    fn start(subscriber: &str, lane: &mut Lane) -> Self {
        lane.running = true;
        Self { subscriber: subscriber.to_owned(), subjects: HashSet::new() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Dropped midway: the batch comes again when its claim expires, and what follows in its subjects after it.
        hold_back(&self.subscriber, &self.subjects);
        LANES.with_borrow_mut(|lanes| {
            if let Some(lane) = lanes.get_mut(&self.subscriber) {
                lane.running = false;
            }
        });
    }
}

/// Takes out of a lane what is of these subjects: it must not overtake an earlier event that has not arrived.
fn hold_back(subscriber: &str, subjects: &HashSet<String>) -> Vec<i64> {
    LANES.with_borrow_mut(|lanes| {
        let Some(lane) = lanes.get_mut(subscriber) else { return Vec::new() };
        let (held, rest): (VecDeque<_>, _) =
            lane.queue.drain(..).partition(|delivery| subjects.contains(&delivery.subject));
        lane.queue = rest;
        held.into_iter().map(|delivery| delivery.id).collect()
    })
}

/// Takes everything out of a lane.
fn empty(subscriber: &str) -> Vec<i64> {
    LANES.with_borrow_mut(|lanes| {
        let queue = lanes.get_mut(subscriber).map(|lane| std::mem::take(&mut lane.queue)).unwrap_or_default();
        queue.into_iter().map(|delivery| delivery.id).collect()
    })
}

/// Delivers one lane's queue, batch by batch.
async fn drain(database: &Database, mut running: Running) {
    let subscriber = running.subscriber.clone();
    let subscriber = subscriber.as_str();
    loop {
        let batch: Vec<Delivery> = LANES.with_borrow_mut(|lanes| {
            let Some(lane) = lanes.get_mut(subscriber) else { return Vec::new() };
            let size = lane.queue.len().min(ROUND);
            lane.queue.drain(..size).collect()
        });
        if batch.is_empty() {
            return;
        }
        running.subjects = batch.iter().map(|delivery| delivery.subject.clone()).collect();
        let receipt = deliver(subscriber, &batch).await;
        running.subjects.clear();
        if let Err(error) = settle(database, subscriber, &batch, receipt).await {
            // Their claims expire, and they are delivered again.
            eprintln!("relay: cannot note {} deliveries to {subscriber}: {error}", batch.len());
        }
    }
}

/// Hands a batch to its subscriber: what it refused, or why it could not be asked.
async fn deliver(subscriber: &str, batch: &[Delivery]) -> Result<Receipt, Failure> {
    let envelopes: Vec<&str> = batch.iter().map(|delivery| delivery.envelope.as_str()).collect();
    let mut request = http::Request::post(format!("http://{subscriber}.spin.internal/internal/events"))
        .header(http::header::CONTENT_TYPE, "application/json");
    if let Some(traceparent) = common_trace(&envelopes) {
        request = request.header("traceparent", traceparent);
    }
    let request = request
        .body(http_body_util::Full::new(Bytes::from(format!("[{}]", envelopes.join(",")))))
        .map_err(|error| Failure::Unknown(error.to_string()))?;
    let exchange = Box::pin(async {
        let unknown = |error: &dyn std::fmt::Display| Failure::Unknown(error.to_string());
        let response = spin_sdk::http::send(request).await.map_err(|error| unknown(&error))?;
        let status = response.status();
        let body = http_body_util::Limited::new(response.into_body(), LONGEST_RECEIPT)
            .collect()
            .await
            .map_err(|error| unknown(&error))?
            .to_bytes();
        match status {
            http::StatusCode::SERVICE_UNAVAILABLE => Err(Failure::Unreachable(format!("{subscriber} is unavailable"))),
            status if !status.is_success() => Err(unknown(&format!("{subscriber} answered {status}"))),
            _ => serde_json::from_slice(&body)
                .map_err(|error| unknown(&format!("{subscriber} sent no receipt: {error}"))),
        }
    });
    match select(exchange, Box::pin(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            Err(Failure::Unknown(format!("{subscriber} did not answer within {} s", PATIENCE.as_secs())))
        }
    }
}

/// The trace of a batch, when all its events belong to the same one. Others keep theirs, each for itself.
fn common_trace<'a>(envelopes: &[&'a str]) -> Option<&'a str> {
    #[derive(Deserialize)]
    struct Traced<'a> {
        #[serde(borrow)]
        traceparent: Option<&'a str>,
    }
    let mut all = envelopes.iter().map(|envelope| serde_json::from_str::<Traced>(envelope).ok()?.traceparent);
    let first = all.next()??;
    all.all(|other| other.and_then(trace::id) == trace::id(first)).then_some(first)
}

/// Notes what became of each copy of a batch.
async fn settle(
    database: &Database,
    subscriber: &str,
    batch: &[Delivery],
    receipt: Result<Receipt, Failure>,
) -> store::Result<()> {
    let now = Timestamp::now();
    let outage = batch.iter().map(|delivery| delivery.outage).max().unwrap_or(0);
    if let Err(Failure::Unreachable(error)) = &receipt {
        let held: Vec<_> = batch.iter().map(|delivery| delivery.id).chain(empty(subscriber)).collect();
        eprintln!("relay: {error}; {} deliveries to {subscriber} are held", held.len());
        return lanes::unreachable(database, subscriber, &held, outage, now).await;
    }
    if outage > 0 {
        match &receipt {
            Ok(_) => lanes::reachable(database, subscriber, now).await?,
            Err(_) => lanes::unreachable(database, subscriber, &[], outage, now).await?,
        }
    }
    let mut arrived = Vec::new();
    let mut waiting = Vec::new();
    let mut failures = Vec::new();
    match &receipt {
        Ok(receipt) => {
            for (position, delivery) in batch.iter().enumerate() {
                match receipt.refused.iter().find(|refused| refused.position == position) {
                    None => arrived.push(delivery.id),
                    Some(refused) if refused.waiting => waiting.push(delivery.id),
                    Some(refused) => failures.push((delivery, refused.error.as_str())),
                }
            }
        }
        Err(Failure::Unreachable(error) | Failure::Unknown(error)) => {
            failures.extend(batch.iter().map(|delivery| (delivery, error.as_str())))
        }
    }
    // Before anything is awaited, and so before the next batch is taken.
    let stopped = failures.iter().map(|(delivery, _)| delivery.subject.clone()).collect();
    waiting.extend(hold_back(subscriber, &stopped));
    if !arrived.is_empty() {
        outbox::delivered(database, &arrived).await?;
    }
    for (delivery, error) in failures {
        let due_at = retry_after(delivery.attempts).map(|delay| now.after(delay));
        let next = due_at.map_or_else(|| "parked".to_owned(), |due_at| format!("again at {due_at}"));
        eprintln!("relay: {} to {}: {error}; {next}", delivery.id, delivery.subscriber);
        outbox::failed(database, delivery.id, error, due_at, now).await?;
    }
    if !waiting.is_empty() {
        outbox::release(database, &waiting, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_leaves_the_lane() {
        let delivery = |id: i64, subject: &str| Delivery {
            id,
            subscriber: "test".into(),
            subject: subject.into(),
            envelope: String::new(),
            attempts: 0,
            outage: 0,
        };
        enqueue(vec![delivery(1, "order/1"), delivery(2, "order/2"), delivery(3, "order/1"), delivery(4, "order/3")]);
        assert_eq!(hold_back("test", &HashSet::from(["order/1".into(), "order/9".into()])), [1, 3]);
        let left =
            LANES.with_borrow(|lanes| lanes["test"].queue.iter().map(|delivery| delivery.id).collect::<Vec<_>>());
        assert_eq!(left, [2, 4]);
        assert!(hold_back("nobody", &HashSet::new()).is_empty());
    }

    #[test]
    fn a_batch_goes_under_the_trace_that_all_of_it_has() {
        let event = |trace: char, span: char| {
            let (trace, span) = (trace.to_string().repeat(32), span.to_string().repeat(16));
            format!(r#"{{"eventId":"x","traceparent":"00-{trace}-{span}-01","data":{{"traceparent":1}}}}"#)
        };
        let (one, same, other) = (event('a', '1'), event('a', '2'), event('b', '3'));
        let first = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1111111111111111-01";
        assert_eq!(common_trace(&[&one]), Some(first));
        assert_eq!(common_trace(&[&one, &same]), Some(first));
        assert_eq!(common_trace(&[&one, &other]), None);
        assert_eq!(common_trace(&[&one, r#"{"data":{}}"#]), None);
        assert_eq!(common_trace(&[r#"{"data":{}}"#]), None);
        assert_eq!(common_trace(&[]), None);
    }

    #[test]
    fn retries_grow_and_end() {
        let mut total = Duration::ZERO;
        for attempt in 0..12 {
            let delay = retry_after(attempt).unwrap();
            assert!(delay >= Duration::from_millis(500));
            assert!(delay <= Duration::from_secs(600));
            total += delay;
        }
        assert!(total > Duration::from_secs(15 * 60));
        assert_eq!(retry_after(12), None);
    }
}
