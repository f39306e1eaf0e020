//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{changing, finding, placing, refunding};

#[derive(OpenApi)]
#[openapi(
    paths(
        placing::place,
        finding::list,
        finding::list_of_user,
        finding::get_by_number,
        finding::get,
        finding::history,
        finding::timeline,
        changing::cancel_because,
        changing::cancel,
        changing::set_status,
        refunding::refund,
        refunding::refunds
    ),
    tags((name = "orders", description = "What customers have ordered, what it costs, and what became of it."))
)]
struct V1;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Orders::routes(), [V1::openapi()]);
}
