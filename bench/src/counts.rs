//! What each flow asks of the host: the figures behind the figures. They do not depend on the machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bodega_host::{Control, Host, HostCall, Options, Phase, Verdict};
use futures::future::try_join_all;
use serde_json::json;

use crate::connection::{Connection, Token};
use crate::seed::{self, Seeded};
use crate::server;

/// How often a flow is run for itself; the least of each count is printed.
const REPEATS: usize = 9;
/// No call for so long: the flow is over.
const QUIET: Duration = Duration::from_millis(60);
const CLIENTS: u32 = 16;
/// What each client does when all are there at once.
const CROWD: usize = 40;

/// Component, kind of call, what it is about.
type Calls = BTreeMap<(String, String, String), usize>;

/// Counts calls.
#[derive(Default)]
struct Counter(Mutex<Calls>);

impl Counter {
    fn take(&self) -> Calls {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sum(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Waits until nothing has been called for a while.
    async fn quiet(&self) {
        let mut before = usize::MAX;
        while before != self.sum() {
            before = self.sum();
            tokio::time::sleep(QUIET).await;
        }
    }
}

impl Control for Counter {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        if call.phase == Phase::Before {
            let kind = match (call.interface, call.function) {
                ("sqlite", "execute") => call.detail.split_whitespace().next().unwrap_or("").to_uppercase(),
                (interface, function) => format!("{interface} {function}"),
            };
            let key = (call.component.to_owned(), kind, about(call));
            *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
        }
        Verdict::Proceed
    }
}

/// The statement or the URL; what differs each time would hide what is alike.
fn about(call: &HostCall<'_>) -> String {
    match call.interface {
        "sqlite" => without_lists(call.detail),
        "http" => call.detail.split('?').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// Lists of parameters are as long as a batch is: `IN ($1, $2)` and `IN ($1)` are the same statement here.
fn without_lists(sql: &str) -> String {
    let mut short = String::new();
    let mut rest = sql;
    while let Some((before, list)) = rest.split_once("($") {
        short.push_str(before);
        short.push_str("(…) ");
        rest = list.trim_start_matches(|c: char| c.is_ascii_digit() || c.is_ascii_whitespace() || "$,()".contains(c));
    }
    let short = short + rest;
    short.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A shop in this process, and what it was asked.
struct Bench {
    counter: Arc<Counter>,
    host: Host,
    seeded: Seeded,
    tokens: Arc<[Token]>,
    statements: bool,
}

/// Runs the flows one after the other and prints their calls.
pub(crate) async fn print(statements: bool) -> Result<()> {
    let root = server::workspace()?;
    let directory = tempfile::tempdir_in(root.join("target"))?;
    let counter = Arc::<Counter>::default();
    let mut options = Options::new(root);
    options.runtime_config = Some(root.join("runtime-config.toml"));
    options.data_root = Some(directory.path().to_owned());
    options.variables = BTreeMap::from([
        ("admin_email".into(), seed::ADMIN.0.into()),
        ("admin_password".into(), seed::ADMIN.1.into()),
        ("rate_limit_max".into(), "4000000000".into()),
    ]);
    options.control = Some(counter.clone());
    let host = Host::start(options).await?;
    let seeded = seed::fill(host.address(), CLIENTS, 40).await?;
    let tokens = seeded.sign_in(host.address()).await?;
    let bench = Bench { counter, host, seeded, tokens, statements };
    bench.flows().await?;
    bench.host.stop().await
}

impl Bench {
    async fn flows(&self) -> Result<()> {
        let (token, product) = (self.tokens.first(), self.seeded.products.first());
        let (token, product) = (token.context("no customers")?, *product.context("no products")?);
        let account = serde_json::from_slice(self.seeded.accounts.first().context("no accounts")?)?;
        let connect = || Connection::new(self.host.address());
        self.alone("GET product", async || show(&mut connect()?, token, product).await).await?;
        self.crowd("GET product", show).await?;
        self.alone("GET list of 20", async || list(&mut connect()?, token, product).await).await?;
        let log_in = async || connect()?.post("/api/v1/auth/login", None, &account).await?.json().map(drop);
        self.alone("POST login", log_in).await?;
        self.alone("order, from placing to paid", async || buy(&mut connect()?, token, product).await).await?;
        self.crowd("order, from placing to paid", buy).await
    }

    /// One flow at a time, until nothing follows from it any more. What only some of them meet is left out:
    /// a new instance, a tick, the next lot of the rate limit.
    async fn alone(&self, what: &str, flow: impl AsyncFn() -> Result<()>) -> Result<()> {
        flow().await?;
        let mut samples: Vec<Calls> = Vec::new();
        for _ in 0..REPEATS {
            self.counter.quiet().await;
            self.counter.take();
            flow().await?;
            self.counter.quiet().await;
            samples.push(self.counter.take());
        }
        let keys = samples.iter().flat_map(Calls::keys).cloned().collect::<std::collections::BTreeSet<_>>();
        let least = |key: &(String, String, String)| {
            samples.iter().map(|calls| calls.get(key).copied().unwrap_or(0)).min().unwrap_or(0) as f64
        };
        let always = keys.into_iter().map(|key| (least(&key), key));
        self.report(what, always.filter(|(count, _)| *count > 0.0).collect());
        Ok(())
    }

    /// Many at once, on connections that stay: what batches save, and what new instances and housekeeping cost.
    async fn crowd(&self, what: &str, flow: impl AsyncFn(&mut Connection, &Token, i64) -> Result<()>) -> Result<()> {
        self.counter.quiet().await;
        self.counter.take();
        let clients = self.tokens.iter().map(async |token| {
            let mut connection = Connection::new(self.host.address())?;
            for product in self.seeded.products.iter().cycle().take(CROWD) {
                flow(&mut connection, token, *product).await?;
            }
            anyhow::Ok(())
        });
        let count = try_join_all(clients).await?.len() * CROWD;
        self.counter.quiet().await;
        let each = |(key, calls): (_, usize)| (calls as f64 / count as f64, key);
        let calls = self.counter.take().into_iter().map(each).collect();
        self.report(&format!("{what}, each of {count} by {CLIENTS} clients"), calls);
        Ok(())
    }

    fn report(&self, what: &str, calls: Vec<(f64, (String, String, String))>) {
        let mut lines: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        let mut components: BTreeMap<&str, f64> = BTreeMap::new();
        for (count, (component, kind, _)) in &calls {
            *lines.entry((component, kind)).or_default() += count;
            *components.entry(component).or_default() += count;
        }
        println!("\n{what}: {} calls to the host", short(components.values().sum()));
        for (component, sum) in components {
            let of = lines.iter().filter(|((of, _), _)| *of == component);
            let kinds: Vec<_> = of.map(|((_, kind), count)| format!("{} {kind}", short(*count))).collect();
            println!("  {component:16} {:>6}: {}", short(sum), kinds.join(", "));
            if self.statements {
                for (count, (_, _, detail)) in calls.iter().filter(|(_, (of, ..))| of == component) {
                    println!("    {:>6}  {detail}", short(*count));
                }
            }
        }
    }
}

/// With a decimal only where there is one.
fn short(count: f64) -> String {
    if count.fract() == 0.0 { format!("{count:.0}") } else { format!("{count:.2}") }
}

async fn show(connection: &mut Connection, _: &Token, product: i64) -> Result<()> {
    connection.get(&format!("/api/v1/products/{product}"), None).await?.json().map(drop)
}

async fn list(connection: &mut Connection, _: &Token, _: i64) -> Result<()> {
    connection.get("/api/v1/products?limit=20", None).await?.json().map(drop)
}

/// Places an order; nobody asks whether it is paid, which would be counted.
async fn buy(connection: &mut Connection, token: &Token, product: i64) -> Result<()> {
    let body = json!({ "items": [{ "productId": product, "quantity": 1 }], "payment": { "token": "tok_visa" } });
    connection.post("/api/v1/orders", Some(token), &body).await?.json().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_batches_are_alike() {
        assert_eq!(without_lists("DELETE FROM t WHERE id IN ($1, $2,\n $3)"), "DELETE FROM t WHERE id IN (…)");
        assert_eq!(without_lists("VALUES ($1, $2), ($3, $4) RETURNING id"), "VALUES (…) RETURNING id");
        assert_eq!(without_lists("SELECT a FROM t WHERE id = $1"), "SELECT a FROM t WHERE id = $1");
    }
}
