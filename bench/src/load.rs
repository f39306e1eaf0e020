//! What the clients do, over and over, and what comes of it. The counting and timing is `rlt`'s.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use clap::Parser;
use http::{HeaderValue, StatusCode, Uri};
use rlt::cli::BenchCli;
use rlt::{BenchSuite, IterInfo, IterReport, Status};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::connection::{Connection, Token, get, post};

/// What came of one load.
#[derive(Clone, Default)]
pub(crate) struct Figures {
    /// Iterations that ended within the time, whatever their outcome.
    pub(crate) count: u64,
    /// Of these, a second.
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// HTTP requests of one iteration, on average.
    pub(crate) requests: f64,
    /// What went wrong, and how often.
    pub(crate) errors: BTreeMap<String, u64>,
}

/// Runs `suite` with `clients` at a time for `time`.
pub(crate) async fn run<S>(suite: S, clients: u32, time: Duration) -> Result<Figures>
where
    S: BenchSuite + Send + 'static,
    S::WorkerState: Send + 'static,
{
    let report = tempfile::NamedTempFile::new()?;
    let path = report.path().to_str().context("the temporary directory's name is not a text")?;
    let (clients, time) = (clients.to_string(), format!("{}ms", time.as_millis()));
    let arguments = ["rlt", "--collector", "silent", "--output", "json", "--output-file", path];
    let arguments = arguments.into_iter().chain(["--concurrency", &clients, "--duration", &time]);
    rlt::cli::run(BenchCli::try_parse_from(arguments)?, suite).await?;
    read(&serde_json::from_reader(report.reopen()?)?)
}

fn read(report: &Value) -> Result<Figures> {
    let seconds = |value: &Value| value.as_f64().map(Duration::from_secs_f64).unwrap_or_default();
    let counts = |name: &str| {
        let counts = report[name].as_object().into_iter().flatten();
        counts.map(|(what, count)| (what.clone(), count.as_u64().unwrap_or(0))).collect::<BTreeMap<_, _>>()
    };
    let mut errors = counts("errors");
    errors.extend(counts("status").into_iter().filter(|(status, _)| !status.starts_with("Success")));
    let summary = &report["summary"];
    Ok(Figures {
        count: summary["iters"]["total"].as_u64().context("rlt reports no iterations")?,
        rate: summary["iters"]["rate"].as_f64().unwrap_or(0.0),
        requests: summary["items"]["items_per_iter"].as_f64().unwrap_or(0.0),
        p50: seconds(&report["latency"]["percentiles"]["p50"]),
        p99: seconds(&report["latency"]["percentiles"]["p99"]),
        errors,
    })
}

fn iteration(started: Instant, status: Status, items: u64) -> IterReport {
    IterReport { duration: started.elapsed(), status, bytes: 0, items }
}

/// `GET`s one of several paths.
#[derive(Clone)]
pub(crate) struct Fetch {
    pub(crate) address: SocketAddr,
    pub(crate) paths: Arc<[Uri]>,
}

#[async_trait]
impl BenchSuite for Fetch {
    type WorkerState = Connection;

    async fn state(&self, _: u32) -> Result<Connection> {
        Connection::new(self.address)
    }

    async fn bench(&mut self, connection: &mut Connection, info: &IterInfo) -> Result<IterReport> {
        let path = pick(&self.paths, info).context("nothing to fetch")?.clone();
        let started = Instant::now();
        let reply = connection.send(get(path, None)).await?;
        Ok(iteration(started, reply.status.into(), 1))
    }
}

/// Scattered, and the same in every run.
fn pick<'a, T>(of: &'a [T], info: &IterInfo) -> Option<&'a T> {
    let scattered = info.runner_seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    let length = u64::try_from(of.len()).ok()?;
    of.get(usize::try_from(scattered.checked_rem(length)?).ok()?)
}

/// Signs in, each client to an account of its own.
#[derive(Clone)]
pub(crate) struct LogIn {
    pub(crate) address: SocketAddr,
    /// Bodies of the requests.
    pub(crate) accounts: Arc<[Bytes]>,
}

#[async_trait]
impl BenchSuite for LogIn {
    type WorkerState = (Connection, Bytes);

    async fn state(&self, worker: u32) -> Result<Self::WorkerState> {
        let account = self.accounts.get(usize::try_from(worker)?).context("fewer accounts than clients")?;
        Ok((Connection::new(self.address)?, account.clone()))
    }

    async fn bench(&mut self, (connection, account): &mut Self::WorkerState, _: &IterInfo) -> Result<IterReport> {
        let started = Instant::now();
        let request = post(Uri::from_static("/api/v1/auth/login"), None, account.clone());
        let reply = connection.send(request).await?;
        Ok(iteration(started, reply.status.into(), 1))
    }
}

/// Places an order of one product, with a card that is charged, and asks until it is paid.
#[derive(Clone)]
pub(crate) struct Buy {
    pub(crate) address: SocketAddr,
    pub(crate) customers: Arc<[Token]>,
    pub(crate) products: Arc<[i64]>,
    /// Between two questions.
    pub(crate) pause: Duration,
}

/// An order that takes longer than this is an error.
const PATIENCE: Duration = Duration::from_secs(30);

#[async_trait]
impl BenchSuite for Buy {
    type WorkerState = (Connection, Token);

    async fn state(&self, worker: u32) -> Result<Self::WorkerState> {
        let token = self.customers.get(usize::try_from(worker)?).context("fewer customers than clients")?;
        Ok((Connection::new(self.address)?, token.clone()))
    }

    async fn bench(&mut self, (connection, token): &mut Self::WorkerState, info: &IterInfo) -> Result<IterReport> {
        let product = pick(&self.products, info).context("nothing to buy")?;
        let body = json!({ "items": [{ "productId": product, "quantity": 1 }], "payment": { "token": "tok_visa" } });
        let mut request = post(Uri::from_static("/api/v1/orders"), Some(token), body.to_string().into());
        request.headers_mut().insert("idempotency-key", HeaderValue::from_str(&Uuid::new_v4().to_string())?);
        let started = Instant::now();
        let reply = connection.send(request).await?;
        if reply.status != StatusCode::CREATED {
            return Ok(iteration(started, reply.status.into(), 1));
        }
        let path: Uri = format!("/api/v1/orders/{}", reply.json()?["id"]).parse()?;
        let mut requests = 1;
        loop {
            tokio::time::sleep(self.pause).await;
            let reply = connection.send(get(path.clone(), Some(token))).await?;
            requests += 1;
            if !reply.status.is_success() {
                return Ok(iteration(started, reply.status.into(), requests));
            }
            let order = reply.json()?;
            match order["status"].as_str() {
                Some("paid") => return Ok(iteration(started, StatusCode::OK.into(), requests)),
                Some("pending" | "reserved") if started.elapsed() < PATIENCE => {}
                status => anyhow::bail!("an order ended as {status:?} instead of paid"),
            }
        }
    }
}
