//! The OpenAPI document of what the gateway does itself.

use utoipa::OpenApi;
use web::Service;

use crate::{health, openapi, tick};

#[derive(OpenApi)]
#[openapi(
    paths(health::health, openapi::document, tick::tick),
    tags((name = "shop", description = "The shop as a whole."))
)]
struct Shop;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Gateway::routes(), [Shop::openapi()]);
}
