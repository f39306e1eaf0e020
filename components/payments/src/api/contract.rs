//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{v1, webhooks};

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

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Payments::routes(), [V1::openapi()]);
}
