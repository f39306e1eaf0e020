//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{changing, finding, placing, refunding};
use crate::api::classic;

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
    let apis = std::iter::once(V1::openapi()).chain(classic::contract::apis());
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Orders::routes(), apis);
}
