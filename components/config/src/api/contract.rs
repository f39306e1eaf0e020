//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::classic;

#[derive(OpenApi)]
#[openapi(
    paths(classic::services, classic::profiles, classic::get),
    tags((name = "classic: order desk", description = "."))
)]
struct Classic;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Config::routes(), [Classic::openapi()]);
}
