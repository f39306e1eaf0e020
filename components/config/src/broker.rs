//! Whether there is a broker outside of the shop.

use std::cell::Cell;

use web::{Result, variable};

thread_local! {
    static KNOWN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// True when one is configured. Read once in an instance: variables change only when the shop starts.
pub(crate) async fn is_there() -> Result<bool> {
    if let Some(known) = KNOWN.get() {
        return Ok(known);
    }
    let there = variable::get("redis_url").await?.is_some() || variable::get("mqtt_url").await?.is_some();
    KNOWN.set(Some(there));
    Ok(there)
}
