//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::v1::{carts, discounts};

#[derive(OpenApi)]
#[openapi(
    paths(
        carts::open,
        carts::show,
        carts::empty,
        carts::add,
        carts::set,
        carts::remove,
        carts::set_discount,
        carts::remove_discount,
        carts::merge,
        carts::check_out,
        carts::of_user
    ),
    tags((name = "carts", description = "What customers are about to buy."))
)]
struct Carts;

#[derive(OpenApi)]
#[openapi(
    paths(discounts::list, discounts::create, discounts::get, discounts::update, discounts::delete),
    tags((name = "discounts", description = "The codes that make it cheaper."))
)]
struct Discounts;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Carts::routes(), [Carts::openapi(), Discounts::openapi()]);
}
