//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::classic;

#[derive(OpenApi)]
#[openapi(
    paths(classic::services, classic::profiles, classic::get),
    tags((name = "config", description = "What the services are configured with."))
)]
struct Classic;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Config::routes(), [Classic::openapi()]);
}
