//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::v1::{bulk, categories, products};

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

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(
        env!("CARGO_MANIFEST_DIR"),
        &crate::Catalog::routes(),
        [Products::openapi(), Categories::openapi()],
    );
}
