//! Configuration: the variables that `spin.toml` declares and grants.

use std::str::FromStr;

use spin_sdk::variables::{self, Error as Native};

use crate::{Error, Result};

/// The variable's value, or `None` when it is undefined or empty.
pub async fn get(name: &str) -> Result<Option<String>> {
    match variables::get(name).await {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(Native::Undefined(_)) => Ok(None),
        Err(error) => Err(Error::Internal(format!("variable {name}: {error}"))),
    }
}

/// The variable's value as a `T`, or `default` when it is undefined or empty. Anything else is an error that names it.
pub async fn parsed<T: FromStr>(name: &str, default: T) -> Result<T> {
    match get(name).await? {
        None => Ok(default),
        Some(text) => {
            text.trim().parse().map_err(|_| Error::Internal(format!("variable {name}: `{text}` is not valid")))
        }
    }
}
