//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::v1;

#[derive(OpenApi)]
#[openapi(
    paths(v1::list, v1::find, v1::resend, v1::test),
    tags((name = "notifications", description = "What the shop writes to people."))
)]
struct V1;

#[test]
fn the_contract_says_what_the_routes_do() {
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Notifications::routes(), [V1::openapi()]);
}
