//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{classic, v1, webhooks};

#[derive(OpenApi)]
#[openapi(
    paths(
        v1::list,
        v1::pay,
        v1::get,
        v1::get_by_order,
        v1::capture,
        v1::void,
        v1::refund,
        v1::list_ledger,
        webhooks::receive
    ),
    tags((name = "payments", description = "Money for orders: held, taken, given back, and the books of it."))
)]
struct V1;

#[derive(OpenApi)]
#[openapi(paths(classic::pay, classic::show, classic::change_method, classic::refund), tags((name = "classic: items")))]
struct Items;

#[derive(OpenApi)]
#[openapi(paths(classic::check_out, classic::check_out_by_post), tags((name = "classic: cart shop")))]
struct CartShop;

#[derive(OpenApi)]
#[openapi(paths(classic::show_of_order, classic::list_own), tags((name = "classic: order desk")))]
struct OrderDesk;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(
        env!("CARGO_MANIFEST_DIR"),
        &crate::Payments::routes(),
        [V1::openapi(), Items::openapi(), CartShop::openapi(), OrderDesk::openapi()],
    );
}
