//! SQL of carts: what is in them, how they become orders, the codes they are ordered with.

pub(crate) mod carts;
pub(crate) mod checkouts;
pub(crate) mod departures;
pub(crate) mod discounts;
pub(crate) mod users;

use std::str::FromStr;

use model::UserId;
use store::Value;
use web::{Error, Result};

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("carts: {error}")))
}

/// `$1, $2, …` and their values.
fn list(user_ids: &[UserId]) -> (String, Vec<Value>) {
    let places: Vec<_> = (1..=user_ids.len()).map(|place| format!("${place}")).collect();
    (places.join(", "), user_ids.iter().map(|id| Value::Integer(id.0)).collect())
}

/// For an `INSERT … RETURNING` or an `UPDATE` under the lock, which cannot miss.
fn no_row() -> Error {
    Error::Internal("carts: a statement returned no row".into())
}

#[cfg(test)]
mod plans {
    /// How SQLite goes about a statement on the tables of carts, step by step.
    pub(super) fn steps(sql: &str) -> Vec<String> {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        for file in ["0001_carts.sql", "0002_discounts.sql"] {
            database.execute_batch(crate::FILES.get_file(file).unwrap().contents_utf8().unwrap()).unwrap();
        }
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Only the statement matters, not what its parameters are.
        let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get(3).unwrap());
        }
        steps
    }
}
