//! One database per service: statements, transactions, migrations.
//!
//! The engine is Spin's SQLite, in WAL mode, or Postgres. What is here keeps the promises the shop makes of its data:
//!
//! - A transaction takes the write lock at its start, and its connection serves nobody else until it has ended. A
//!   connection whose transaction was interrupted is closed, which rolls it back; it never returns to the pool.
//! - Writers of one instance queue in memory. Writers of different instances find the database busy; they wait a
//!   little, asynchronously, and try again, a bounded number of times.
//! - A [`Durability::Durable`] commit is on disk when it returns.
//!
//! SQL is written for SQLite and Postgres alike: parameters are `$1, $2, …`, numbered in the order of their first use.

mod conditions;
mod connection;
mod database;
mod error;
mod migrations;
mod postgres;
mod sqlite;
mod turns;
mod value;
mod values;
mod words;

pub use conditions::{Conditions, Place, WINDOW};
pub use database::{Database, Durability, Engine, Transaction};
pub use error::Error;
pub use migrations::Migrations;
pub use turns::{Turn, Turns};
pub use value::{FromValue, Row, Value};
pub use values::{typed_values, values};
pub use words::{Column, Find, words};

/// What `store` returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The parameters of a statement: `params![order_id, "paid", None::<i64>]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::Value::from($value)),*] };
}
