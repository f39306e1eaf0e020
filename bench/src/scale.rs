//! What a large shop takes longer for than a small one: the same requests to both, in turn, one at a time.

mod asks;
mod check;

use std::fs::{DirEntry, File};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bench::bulk::{self, World};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::connection::{Connection, Token};
use crate::run::Run;
use crate::server::Server;
use crate::{facts, seed};
use asks::{ASKS, Ask};
use check::Depths;

/// Requests before those that count.
const WARM_UP: usize = 200;
/// Accounts that ask and order in each shop.
const CUSTOMERS: usize = 40;
/// A p50 may be so many times that of the small shop.
const MOST: f64 = 1.5;
/// Between two questions whether an order is paid.
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Sizes {
    /// Products, accounts and orders each of the small shop.
    #[arg(default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1_000..10_000_000))]
    small: i64,
    /// Of the large one. A million takes 6 GB of disk, and 4 GB of memory while it is filled.
    #[arg(default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1_000..10_000_000))]
    large: i64,
    /// Requests of each kind to each shop.
    #[arg(long, default_value_t = 2_000)]
    samples: usize,
    /// Orders placed in each shop.
    #[arg(long, default_value_t = 300)]
    orders: usize,
    /// Leave the directory with both shops where it is.
    #[arg(long)]
    keep: bool,
}

/// A filled shop that runs.
pub(crate) struct Shop {
    server: Server,
    world: World,
    connection: Connection,
    admin: Token,
    /// Numbers of accounts that have placed orders, and their tokens.
    customers: Vec<(i64, Token)>,
    depths: Depths,
    rng: Rng,
}

/// Fills both shops and prints how they compare. Only errors make it fail, never a figure.
pub(crate) async fn compare(sizes: &Sizes) -> Result<ExitCode> {
    let run = Run::prepare()?;
    facts::print(run.path("").as_path())?;
    let mut small = Shop::open(&run, "small", sizes.small).await?;
    let mut large = Shop::open(&run, "large", sizes.large).await?;
    small.sign_in().await?;
    large.sign_in().await?;
    // The machine may have taken the memory back while the other shop was filled.
    for data in ["small", "large"] {
        read_all(&run.path(data))?;
    }
    let mut rows = Vec::new();
    for ask in ASKS {
        rows.push(measure(ask, &mut small, &mut large, sizes.samples).await?);
    }
    rows.extend(measure_orders(&mut small, &mut large, sizes.orders).await?);
    print(&rows, sizes);
    small.server.stop().await?;
    large.server.stop().await?;
    if sizes.keep {
        println!("\nBoth shops are in {}", run.keep().display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What was done in each shop, and how long half of it took at most.
struct Row {
    what: &'static str,
    small: Duration,
    large: Duration,
}

fn middle(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The shops take turns, and in who is first, so that what else happens on the machine meets both alike.
async fn measure(ask: &Ask, small: &mut Shop, large: &mut Shop, samples: usize) -> Result<Row> {
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for sample in 0..WARM_UP + samples {
        for place in [sample % 2, 1 - sample % 2] {
            let shop = if place == 0 { &mut *small } else { &mut *large };
            let time = shop.ask(ask).await.with_context(|| ask.what)?;
            if sample >= WARM_UP {
                times[place].push(time);
            }
        }
    }
    let [small, large] = times.map(|mut times| middle(&mut times));
    Ok(Row { what: ask.what, small, large }.told())
}

/// Placing an order, and until it is paid.
async fn measure_orders(small: &mut Shop, large: &mut Shop, orders: usize) -> Result<[Row; 2]> {
    let (mut placed, mut paid) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for sample in 0..orders + orders / 10 {
        for place in [sample % 2, 1 - sample % 2] {
            let shop = if place == 0 { &mut *small } else { &mut *large };
            let (answered, settled) = shop.buy().await?;
            if sample >= orders / 10 {
                placed[place].push(answered);
                paid[place].push(settled);
            }
        }
    }
    let row = |what, times: [Vec<Duration>; 2]| {
        let [small, large] = times.map(|mut times| middle(&mut times));
        Row { what, small, large }.told()
    };
    Ok([row("POST order, until it is answered", placed), row("POST order, until it is paid", paid)])
}

impl Row {
    fn ratio(&self) -> f64 {
        self.large.as_secs_f64() / self.small.as_secs_f64().max(f64::EPSILON)
    }

    fn told(self) -> Self {
        eprintln!("  {}: {:.2}", self.what, self.ratio());
        self
    }
}

/// The table, in Markdown.
fn print(rows: &[Row], sizes: &Sizes) {
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
    let millis = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
    println!("\n| {:width$} | p50 ms, {} | p50 ms, {} | ratio |", "", sizes.small, sizes.large);
    println!("| {:-<width$} | ---: | ---: | ---: |", "");
    for row in rows {
        let ratio = format!("{:.2}", row.ratio());
        let ratio = if row.ratio() > MOST { format!("**{ratio}**") } else { ratio };
        println!("| {:width$} | {} | {} | {ratio} |", row.what, millis(row.small), millis(row.large));
    }
}

/// Reads all files of a shop, so that both shops are in the machine's memory: what a disk takes is another question.
fn read_all(directory: &Path) -> Result<u64> {
    let copy =
        |file: std::io::Result<DirEntry>| Ok(std::io::copy(&mut File::open(file?.path())?, &mut std::io::sink())?);
    std::fs::read_dir(directory)?.map(copy).sum()
}

impl Shop {
    /// Starts an empty shop, so that it makes its databases, fills it, starts it again, and looks whether all is there.
    async fn open(run: &Run, data: &str, size: i64) -> Result<Self> {
        let empty = run.start_shop(data, "cache").await?;
        let mut connection = Connection::new(empty.address)?;
        connection.get("/readyz", None).await?.json().context("not all services are up")?;
        seed::admin(empty.address).await?;
        let pattern = json!({ "email": "pattern@example.com", "password": seed::PASSWORD });
        connection.post("/api/v1/auth/register", None, &pattern).await?.json()?;
        drop(connection);
        // What it has done is known to everybody.
        tokio::time::sleep(Duration::from_secs(1)).await;
        empty.stop().await?;

        eprintln!("Filling a shop with {size} products, accounts and orders each");
        let began = Instant::now();
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let world = bulk::fill(size, now, |label| run.path(data).join(format!("{label}.db")))?;
        let bytes = read_all(&run.path(data))?;
        eprintln!("  {:.0} s, {} MiB", began.elapsed().as_secs_f64(), facts::mebibytes(bytes));
        let server = run.start_shop(data, "cache").await?;
        let admin = seed::admin(server.address).await?;
        let connection = Connection::new(server.address)?;
        let mut shop = Self {
            server,
            world,
            connection,
            admin,
            customers: Vec::new(),
            depths: Depths::default(),
            rng: Rng::with_seed(7),
        };
        eprintln!("Reading all of its lists");
        shop.check().await?;
        Ok(shop)
    }

    /// Signs in everybody who will ask. Tokens are good for a quarter of an hour.
    async fn sign_in(&mut self) -> Result<()> {
        self.admin = seed::admin(self.server.address).await?;
        while self.customers.len() < CUSTOMERS {
            let number = self.world.customer(self.rng.i64(1..=self.world.size));
            let user = self.world.user(number);
            if user.active {
                let body = json!({ "email": user.email, "password": seed::PASSWORD });
                let signed_in = self.connection.post("/api/v1/auth/login", None, &body).await?.json()?;
                ensure!(signed_in["user"]["id"] == user.id, "{} is somebody else: {signed_in}", user.email);
                self.customers.push((number, Token::of(&signed_in)?));
            }
        }
        Ok(())
    }

    fn customer(&mut self) -> Result<(i64, Token)> {
        self.rng.choice(&self.customers).cloned().context("nobody is signed in")
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Duration> {
        let (path, token) = (ask.request)(self)?;
        let began = Instant::now();
        let reply = self.connection.get(&path, token.as_ref()).await?;
        let time = began.elapsed();
        ensure!(reply.status.is_success(), "{path}: {}", reply.status);
        Ok(time)
    }

    /// Buys one piece of something: until that is answered, and until it is paid.
    async fn buy(&mut self) -> Result<(Duration, Duration)> {
        let (_, token) = self.customer()?;
        let product = loop {
            let product = self.world.product(self.rng.i64(1..=self.world.size));
            if product.status == "active" && product.left > 0 {
                break product;
            }
        };
        let body = json!({ "items": [{ "productId": product.id, "quantity": 1 }], "payment": { "token": "tok_visa" } });
        let began = Instant::now();
        let order = self.connection.post("/api/v1/orders", Some(&token), &body).await?;
        let answered = began.elapsed();
        let id = order.json()?["id"].as_i64().context("an order without an id")?;
        loop {
            tokio::time::sleep(PAUSE).await;
            let order = self.get(&format!("/api/v1/orders/{id}"), &token).await?;
            if order["status"] == "paid" {
                return Ok((answered, began.elapsed()));
            }
            ensure!(began.elapsed() < PATIENCE, "order {id} is not paid: {order}");
        }
    }

    async fn get(&mut self, path: &str, token: &Token) -> Result<Value> {
        self.connection.get(path, Some(token)).await?.json().with_context(|| path.to_owned())
    }
}
