//! `/api/v1/auth` and `/api/v1/users`.

mod addresses;
mod auth;
#[cfg(test)]
mod contract;
mod me;
mod payment_methods;
mod users;

use axum::Router;

use crate::account::{self, Email};

pub(crate) fn routes() -> Router {
    auth::routes()
        .merge(me::routes())
        .merge(addresses::routes())
        .merge(payment_methods::routes())
        .merge(users::routes())
}

fn is_email(email: &str, _: &()) -> garde::Result {
    fits(Email::parse(email).map(drop))
}

fn fits(outcome: Result<(), account::Refusal>) -> garde::Result {
    outcome.map_err(garde::Error::new)
}
