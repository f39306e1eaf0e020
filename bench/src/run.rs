//! One run: starts, loads, and what is left to see afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Uri;
use rlt::BenchSuite;

use crate::facts::{Usage, mebibytes};
use crate::load::{Buy, Fetch, LogIn};
use crate::seed::Seeded;
use crate::server::Server;
use crate::table::{Row, aim};
use crate::{Plan, books, facts, load, seed, server, table};

/// The directory of the shop's state.
const DATA: &str = "data";
/// What tells the time of the first answer: a page of products, so a component and its database are up.
const FIRST: &str = "/api/v1/products?limit=20";
const LOG: &str = "shop.log";
/// Warm starts, of which the median is printed.
const STARTS: usize = 5;
/// Requests that a warm-up leaves unanswered are over after this.
const SETTLE: Duration = Duration::from_secs(1);
/// Lines of the shop's output that are shown when something went wrong.
const LAST_WORDS: usize = 30;
/// Aims: bytes that the whole shop may hold, and seconds of a warm start.
const MOST_MEMORY: u64 = 150_000_000;
const LONGEST_START: Duration = Duration::from_millis(500);

/// Runs everything and prints the figures. Only errors make it fail, never a figure.
pub(crate) async fn all(plan: &Plan) -> Result<ExitCode> {
    let run = Run::prepare()?;
    facts::print(run.directory.path())?;
    facts::print_sizes(&run.manifest)?;
    let start = run.starts().await?;
    let mut shop = run.start_shop(DATA, "cache").await?;
    let mut hello = run.start_hello().await?;
    let idle = shop.usage();
    eprintln!("Filling the shop with {} products", plan.products);
    let seeded = seed::fill(shop.address, plan.clients, plan.products).await?;
    let mut rows = reads(plan, &mut hello, &mut shop, &seeded).await?;
    hello.stop().await?;
    let log_in = LogIn { address: shop.address, accounts: seeded.accounts.clone() };
    rows.push(row("POST login", &mut shop, log_in, plan, plan.slow_seconds).await?);
    let customers = seeded.sign_in(shop.address).await?;
    let buy = Buy {
        address: shop.address,
        customers: customers.clone(),
        products: seeded.products.clone(),
        pause: Duration::from_millis(plan.poll_ms),
    };
    let orders = row("order, from placing to paid", &mut shop, buy, plan, plan.slow_seconds).await?;
    let asked = orders.figures.requests;
    rows.push(orders);
    let loaded = shop.usage();
    let books = books::read(shop.address, &customers).await?;
    shop.stop().await?;

    println!();
    table::print(&rows);
    println!(
        "An order takes {asked:.1} requests: placing it, and asking every {} ms whether it is paid.",
        plan.poll_ms
    );
    println!();
    println!("Orders in the books: {:?}", books.orders);
    println!("Start: {:.3} s without a cache, {:.3} s with", start.0.as_secs_f64(), start.1.as_secs_f64());
    let mib = |bytes: Option<u64>| bytes.map_or("unknown".into(), mebibytes);
    println!(
        "Resident memory, MiB: {} after the start, {} after the load, {} at most",
        mib(idle.resident),
        mib(loaded.resident),
        mib(loaded.peak)
    );
    println!();
    table::print_aims(&rows);
    aim(start.1 < LONGEST_START, format!("warm start: {:.3} s, aim 0.5", start.1.as_secs_f64()));
    if let Some(resident) = loaded.resident {
        aim(resident < MOST_MEMORY, format!("memory: {} MB, aim 150", resident / 1_000_000));
    }
    println!();
    run.verdict(&rows, &books.wrong)
}

/// Hello, product and list take turns, so that what others do on the machine meets them alike.
async fn reads(plan: &Plan, hello: &mut Server, shop: &mut Server, seeded: &Seeded) -> Result<Vec<Row>> {
    let fetch = |server: &Server, path| Fetch { address: server.address, paths: Arc::new([path]) };
    let floor = fetch(hello, Uri::from_static("/hello"));
    let product = Fetch { address: shop.address, paths: seeded.product_paths()? };
    let list = fetch(shop, Uri::from_static(FIRST));
    let (mut floors, mut products, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        floors.push(row("hello", hello, floor.clone(), plan, plan.seconds).await?);
        products.push(row("GET product", shop, product.clone(), plan, plan.seconds).await?);
        lists.push(row("GET list of 20", shop, list.clone(), plan, plan.seconds).await?);
    }
    Ok([floors, products, lists].into_iter().filter_map(table::median).collect())
}

/// Directories and programs of one run.
pub(crate) struct Run {
    host: PathBuf,
    manifest: PathBuf,
    directory: tempfile::TempDir,
}

impl Run {
    pub(crate) fn prepare() -> Result<Self> {
        let host = server::build()?;
        let root = server::workspace()?;
        // On the disk that the shop would be on, which the directory for temporary files need not be.
        let target = root.join("target");
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(target)?;
        Ok(Self { host, manifest: root.join("spin.toml"), directory })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Leaves the directory where it is.
    pub(crate) fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    /// Starts a shop whose state is the directory `data` of this run, empty at first.
    pub(crate) async fn start_shop(&self, data: &str, cache: &str) -> Result<Server> {
        fs::create_dir_all(self.path(data))?;
        let root = self.manifest.parent().context("the manifest is nowhere")?;
        let config = self.path(&format!("{data}.toml"));
        fs::write(&config, runtime_config(&root.join("runtime-config.toml"), &self.path(data))?)?;
        let path = |name: &str| self.path(name).display().to_string();
        let variables = [
            "rate_limit_max=4000000000".into(),
            format!("admin_email={}", seed::ADMIN.0),
            format!("admin_password={}", seed::ADMIN.1),
        ];
        let mut arguments = vec!["--runtime-config-file".into(), config.display().to_string()];
        arguments.extend(["--state-dir".into(), path(data), "--cache-dir".into(), path(cache)]);
        arguments.extend(variables.into_iter().flat_map(|variable| ["--variable".into(), variable]));
        Server::start(&self.host, &self.manifest, arguments, &self.path(LOG), FIRST).await
    }

    /// How long until the first answer: with nothing there, and the median of those with a cache and data.
    async fn starts(&self) -> Result<(Duration, Duration)> {
        eprintln!("Starting without a cache");
        let shop = self.start_shop(DATA, "cache").await?;
        let cold = shop.first_answer;
        shop.stop().await?;
        let mut warm = Vec::new();
        for _ in 0..STARTS {
            let shop = self.start_shop(DATA, "cache").await?;
            warm.push(shop.first_answer);
            shop.stop().await?;
        }
        warm.sort_unstable();
        Ok((cold, warm.get(STARTS / 2).copied().context("no starts")?))
    }

    /// Says what went wrong, with the shop's own words, which would else be lost with the directory.
    fn verdict(&self, rows: &[Row], wrong: &[String]) -> Result<ExitCode> {
        wrong.iter().for_each(|wrong| println!("{wrong}"));
        if wrong.is_empty() && rows.iter().all(|row| row.errors() == 0) {
            println!("No errors: every order is paid, and the stock is what it was less what was sold.");
            return Ok(ExitCode::SUCCESS);
        }
        let log = fs::read_to_string(self.path(LOG))?;
        let lines: Vec<_> = log.lines().collect();
        println!("The shop's last words:\n{}", lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n"));
        Ok(ExitCode::FAILURE)
    }

    async fn start_hello(&self) -> Result<Server> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("hello.toml");
        let arguments = ["--state-dir".into(), self.path("hello"), "--cache-dir".into(), self.path("cache")];
        Server::start(&self.host, &manifest, arguments, &self.path("hello.log"), "/hello").await
    }
}

/// The runtime configuration with all files below `data`.
fn runtime_config(file: &Path, data: &Path) -> Result<String> {
    let mut config: toml::Table = toml::from_str(&fs::read_to_string(file)?)?;
    for (_, labels) in &mut config {
        for (label, store) in labels.as_table_mut().into_iter().flatten() {
            let path = data.join(format!("{label}.db")).display().to_string();
            store.as_table_mut().context("a store is not a table")?.insert("path".into(), path.into());
        }
    }
    Ok(toml::to_string(&config)?)
}

/// Loads `server`, and reads what that took of it and of this process.
async fn row<S>(what: &'static str, server: &mut Server, suite: S, plan: &Plan, seconds: f64) -> Result<Row>
where
    S: BenchSuite + Send + 'static,
    S::WorkerState: Send + 'static,
{
    eprint!("{what} … ");
    let warm_up = Duration::from_secs_f64(plan.warm_up);
    load::run(suite.clone(), plan.clients, warm_up).await?;
    tokio::time::sleep(SETTLE).await;
    let before = (server.usage(), Usage::of("self"));
    let figures = load::run(suite, plan.clients, Duration::from_secs_f64(seconds)).await?;
    server.must_run()?;
    let after = (server.usage(), Usage::of("self"));
    eprintln!("{:.0} a second", figures.rate);
    Ok(Row {
        what,
        server: after.0.micros_each(&before.0, figures.count),
        generator: after.1.micros_each(&before.1, figures.count),
        figures,
    })
}
