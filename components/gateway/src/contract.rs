//! The OpenAPI document of what the gateway does itself.

use utoipa::OpenApi;
use web::Service;

use crate::{docs, health, index, metrics, openapi, tick};

#[derive(OpenApi)]
#[openapi(
    paths(
        index::index,
        health::health,
        health::ready,
        health::alive,
        metrics::metrics,
        openapi::document,
        docs::page,
        docs::file,
        tick::tick
    ),
    tags((name = "shop", description = "The shop as a whole."))
)]
struct Shop;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Gateway::routes(), [Shop::openapi()]);
}
