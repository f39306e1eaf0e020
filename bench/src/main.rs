//! Load on the whole shop: what `docs/performance.md` reports, and how to repeat it.

mod books;
mod connection;
mod counts;
mod facts;
mod load;
mod run;
mod scale;
mod seed;
mod server;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Loads the shop and prints what it does, beside a hello-world component on the same host.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    plan: Plan,
}

#[derive(Subcommand)]
enum Command {
    /// Print the calls to the host and the SQL statements of each flow instead.
    Counts {
        /// Also print every statement.
        #[arg(long)]
        statements: bool,
    },
    /// Compare a shop with few products, accounts and orders with one that has many, request by request.
    Scale(scale::Sizes),
}

#[derive(clap::Args)]
struct Plan {
    /// Clients at a time.
    #[arg(long, env = "BENCH_CLIENTS", default_value_t = 16)]
    clients: u32,
    /// Seconds of each load that count.
    #[arg(long, env = "BENCH_SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// The same for log in and orders, which are slower.
    #[arg(long, env = "BENCH_SLOW_SECONDS", default_value_t = 20.0)]
    slow_seconds: f64,
    /// Seconds of each load that come before and do not count.
    #[arg(long, env = "BENCH_WARM_UP", default_value_t = 2.0)]
    warm_up: f64,
    /// How often hello, product and list take turns; the medians are printed.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 3)]
    rounds: u32,
    /// Products in the shop.
    #[arg(long, env = "BENCH_PRODUCTS", default_value_t = 1000)]
    products: u32,
    /// Milliseconds between two questions of a client whether its order is paid.
    #[arg(long, env = "BENCH_POLL_MS", default_value_t = 20)]
    poll_ms: u64,
}

fn main() -> Result<ExitCode> {
    let Cli { command, plan } = Cli::parse();
    match command {
        Some(Command::Counts { statements }) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(counts::print(statements))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Scale(sizes)) => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(scale::compare(&sizes))
        }
        // One thread: the generator must not take more than it needs of what the server could have.
        None => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run::all(&plan)),
    }
}
