//! `/api/v1`.

pub(super) mod bulk;
pub(super) mod categories;
pub(super) mod products;

use axum::Router;

pub(crate) fn routes() -> Router {
    products::routes().merge(bulk::routes()).merge(categories::routes())
}
