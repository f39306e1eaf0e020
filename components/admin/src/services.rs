//! The services that are asked, all at once and not for long.

use std::time::Duration;

use futures::future::{Either, join_all, select};
use web::{Error, Result};

/// Those with a database: they have events, and write down what admins do.
pub(crate) const SERVICES: [&str; 7] =
    ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
/// A service that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The service of that name.
pub(crate) fn named(name: &str) -> Option<&'static str> {
    SERVICES.into_iter().find(|service| *service == name)
}

/// The services that are meant: one, or all. 422 for a name that is none.
pub(crate) fn meant(name: &str) -> Result<Vec<&'static str>> {
    match name.trim() {
        "" => Ok(SERVICES.to_vec()),
        name => named(name)
            .map(|service| vec![service])
            .ok_or_else(|| Error::invalid("service", format!("must be one of {}", SERVICES.join(", ")))),
    }
}

/// What each of `services` answers; nothing from those that do not.
pub(crate) async fn ask<T>(
    services: &[&'static str],
    question: impl AsyncFn(&'static str) -> Result<T>,
) -> Vec<(&'static str, Option<T>)> {
    let question = &question;
    join_all(services.iter().map(|service| async move {
        let service = *service;
        let answer = Box::pin(question(service));
        let answer = match select(answer, Box::pin(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Error::Unavailable(service.into())),
        };
        let answer = answer.map_err(|error| eprintln!("error: {service} does not answer: {error}"));
        (service, answer.ok())
    }))
    .await
}
