//! `/api/v1`.

mod bulk;
mod categories;
mod products;

use axum::Router;

pub(crate) fn routes() -> Router {
    products::routes().merge(bulk::routes()).merge(categories::routes())
}
