//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{
    classic::{cart_shop, micro},
    v1::{carts, discounts},
};

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

#[derive(OpenApi)]
#[openapi(
    paths(cart_shop::add, cart_shop::show, cart_shop::set, cart_shop::remove, cart_shop::order),
    tags((name = "classic: cart shop", description = "Older shops."))
)]
struct CartShop;

#[derive(OpenApi)]
#[openapi(
    paths(micro::show, micro::add, micro::of_user),
    tags((name = "classic: micro", description = "Older shops."))
)]
struct Micro;

#[test]
fn the_contract_says_what_the_routes_do() {
    let parts = [Carts::openapi(), Discounts::openapi(), CartShop::openapi(), Micro::openapi()];
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Carts::routes(), parts);
}
