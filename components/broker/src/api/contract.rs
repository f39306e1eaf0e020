//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::v1;

#[derive(OpenApi)]
#[openapi(paths(v1::receive), tags((name = "events", description = "Events of others, which settle what the shop waits for.")))]
struct V1;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Broker::routes(), [V1::openapi()]);
}
