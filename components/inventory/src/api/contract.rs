//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{classic, v1};

/// Stock.
#[derive(OpenApi)]
#[openapi(
    paths(v1::list, v1::create, v1::check, v1::reserve, v1::release, v1::get, v1::update, v1::adjust, v1::history),
    tags((name = "inventory", description = "How much there is of each product, and who has been promised some."))
)]
struct V1;

#[derive(OpenApi)]
#[openapi(paths(classic::show, classic::increase, classic::decrease), tags((name = "classic: items")))]
struct Items;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Inventory::routes(), [V1::openapi(), Items::openapi()]);
}
