//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{
    classic::{cart_shop, items, micro, order_desk},
    v1::{bulk, categories, products},
};

#[derive(OpenApi)]
#[openapi(
    paths(
        products::list,
        products::create,
        products::show,
        products::update,
        products::remove,
        bulk::import,
        bulk::export
    ),
    tags((name = "products", description = "What is for sale."))
)]
struct Products;

#[derive(OpenApi)]
#[openapi(
    paths(
        categories::list,
        categories::create,
        categories::tree,
        categories::show,
        categories::update,
        categories::remove,
        categories::list_products
    ),
    tags((name = "categories", description = "The tree that products stand in."))
)]
struct Categories;

#[derive(OpenApi)]
#[openapi(
    paths(items::list, items::create, items::show, items::update, items::remove),
    tags((name = "classic: items"))
)]
struct Items;

#[derive(OpenApi)]
#[openapi(
    paths(cart_shop::create, cart_shop::stock, cart_shop::show, cart_shop::update, cart_shop::remove),
    tags((name = "classic: cart shop"))
)]
struct CartShop;

#[derive(OpenApi)]
#[openapi(
    paths(order_desk::list, order_desk::show, order_desk::create, order_desk::update, order_desk::remove),
    tags((name = "classic: order desk"))
)]
struct OrderDesk;

#[derive(OpenApi)]
#[openapi(
    paths(micro::list, micro::create, micro::show, micro::list_categories, micro::create_category),
    tags((name = "classic: micro"))
)]
struct Micro;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(
        env!("CARGO_MANIFEST_DIR"),
        &crate::Catalog::routes(),
        [
            Products::openapi(),
            Categories::openapi(),
            Items::openapi(),
            CartShop::openapi(),
            OrderDesk::openapi(),
            Micro::openapi(),
        ],
    );
}
