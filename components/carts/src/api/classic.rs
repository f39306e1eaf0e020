//! Carts as the clients of older shops know them: `docs/classic-api.md`.

pub(super) mod cart_shop;
pub(super) mod micro;

use axum::Router;

pub(crate) fn routes() -> Router {
    cart_shop::routes().merge(micro::routes())
}
