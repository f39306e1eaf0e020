//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::v1;

#[derive(OpenApi)]
#[openapi(
    paths(v1::list_parked, v1::replay, v1::replay_all, v1::list_audit),
    tags((name = "admin", description = "What the services could not deliver, and what admins did."))
)]
struct V1;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Admin::routes(), [V1::openapi()]);
}
