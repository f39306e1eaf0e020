//! `/api/v1/auth` and `/api/v1/users`.

mod addresses;
mod auth;
#[cfg(test)]
mod contract;
mod me;
mod payment_methods;
mod users;

use axum::Router;

use super::{agent, fits, is_email, present, secret};

pub(crate) fn routes() -> Router {
    auth::routes()
        .merge(me::routes())
        .merge(addresses::routes())
        .merge(payment_methods::routes())
        .merge(users::routes())
}
