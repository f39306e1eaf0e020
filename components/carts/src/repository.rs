//! SQL of carts: what is in them, how they become orders, the codes they are ordered with.

pub(crate) mod carts;
pub(crate) mod checkouts;
pub(crate) mod departures;
pub(crate) mod discounts;

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
