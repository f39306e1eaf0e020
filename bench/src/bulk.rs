//! Fills the databases of a shop in bulk, as if its customers had done it in two years.
//!
//! The rows are written past the services, because through them a million orders take hours. They are what the services
//! would have written: `tests/tests/shop/scale.rs` has the books of a filled shop audited. What is gone after some days
//! (events that have arrived, mails of old orders) is not there, for the last order is five days old; nor are sessions
//! and the audit log.

mod accounts;
mod catalog;
mod inventory;
mod notifications;
mod orders;
mod payments;
mod words;
mod world;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use words::{ADJECTIVES, MATERIALS, vocabulary};
pub use world::{Product, User, World, category_names};

/// Rows of one transaction, counted as things: an order has many.
const BATCH: i64 = 250_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Fills a shop that has no products and no orders yet with `size` products, accounts and orders each. `now` is the time
/// of its clock, Unix milliseconds. `store` says where the database of a service is, or a key-value store, by its label;
/// the databases have their tables. All accounts have the password of the newest one that is there already.
///
/// # Errors
///
/// When a database is missing, or has another schema; then the shop is half filled.
pub fn fill(size: i64, now: i64, store: impl Fn(&str) -> PathBuf) -> Result<World> {
    ensure!(size >= 10, "a shop has at least ten of each");
    let accounts = store("accounts");
    let (last_user, password_hash) = accounts::newest(&accounts).context("the shop has no account")?;
    for (service, table) in [("catalog", "products"), ("orders", "orders")] {
        let any: bool = open(&store(service))?
            .query_row(&format!("SELECT EXISTS (SELECT 1 FROM {table})"), [], |row| row.get(0))
            .with_context(|| store(service).display().to_string())?;
        ensure!(!any, "the shop has {table} already");
    }
    let world = World::new(size, last_user + 1, now);
    let tallies = world.tallies();
    let catalog = store("catalog");
    // The search index of the catalog takes about as long as everything else.
    std::thread::scope(|scope| {
        let products = scope.spawn(|| catalog::write(&world, &tallies, &catalog));
        accounts::write(&world, &password_hash, &accounts)?;
        notifications::write(&world, &store("notifications"))?;
        orders::write(&world, &store("orders"))?;
        inventory::write(&world, &tallies, &store("inventory"))?;
        payments::write(&world, &store("payments"))?;
        payments::write_books(&world, &store("provider-sandbox"))?;
        products.join().map_err(|_| anyhow::anyhow!("filling the catalog panicked"))?
    })?;
    Ok(world)
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).with_context(|| path.display().to_string())?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Has `each` write what belongs to the things from 1 to `size`, in few transactions.
fn in_batches(path: &Path, what: &str, size: i64, mut each: impl FnMut(&Connection, i64) -> Result<()>) -> Result<()> {
    let began = Instant::now();
    let mut connection = open(path)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Many pages are changed in each transaction, again and again: they stay in memory until it ends. What is lost with the
    // power is loaded anew.
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000; PRAGMA wal_autocheckpoint = 0")?;
    for first in (1..=size).step_by(usize::try_from(BATCH)?) {
        let last = size.min(first + BATCH - 1);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for number in first..=last {
            each(&transaction, number).with_context(|| format!("{what}, {number}"))?;
        }
        transaction.commit()?;
        if size > BATCH {
            eprintln!("  {what}: {last} of {size}, {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    // On disk before anybody measures anything.
    drop(connection);
    std::fs::File::open(path)?.sync_all()?;
    Ok(())
}
