//! `/api/v1/carts` and `/api/v1/discounts`.

mod carts;
mod discounts;
mod visitor;

use axum::Router;

pub(crate) fn routes() -> Router {
    carts::routes().merge(discounts::routes())
}
