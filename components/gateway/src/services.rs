//! The services of the shop, asked all at once.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use futures::future::{Either, join_all, select};
use serde::de::DeserializeOwned;
use web::client;

/// The services with a database: they count, and have something to do at a tick.
pub(crate) const SERVICES: [&str; 7] =
    ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
/// A service that takes longer to answer is down. Shorter than the patience of those who watch the shop.
const PATIENCE: Duration = Duration::from_secs(2);

/// What each of `services` answers to `GET path`; none when it does not, or not in time.
pub(crate) async fn ask<T: DeserializeOwned, const N: usize>(
    services: [&'static str; N],
    path: &str,
) -> BTreeMap<&'static str, Option<T>> {
    let answers = join_all(services.map(|service| async move {
        match select(pin!(client::get(service, path)), pin!(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((Ok(answer), _)) => answer,
            _ => None,
        }
    }));
    services.into_iter().zip(answers.await).collect()
}
