//! SQL of carts: what is in them, how they become orders, the codes they are ordered with.

pub(crate) mod carts;
pub(crate) mod checkouts;
pub(crate) mod discounts;

use std::str::FromStr;

use web::{Error, Result};

fn parsed<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T> {
    text.parse().map_err(|error| Error::Internal(format!("carts: {error}")))
}

/// For an `INSERT … RETURNING` or an `UPDATE` under the lock, which cannot miss.
fn no_row() -> Error {
    Error::Internal("carts: a statement returned no row".into())
}
