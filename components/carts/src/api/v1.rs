//! `/api/v1/carts` and `/api/v1/discounts`.

pub(super) mod carts;
pub(super) mod discounts;
mod visitor;

use axum::Router;

pub(crate) fn routes() -> Router {
    carts::routes().merge(discounts::routes())
}
