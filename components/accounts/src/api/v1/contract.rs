//! The OpenAPI document of this service.

use utoipa::OpenApi;
use web::Service;

use super::{addresses, auth, me, payment_methods, users};

#[derive(OpenApi)]
#[openapi(
    paths(
        auth::register,
        auth::log_in,
        auth::refresh,
        auth::log_out,
        auth::log_out_everywhere,
        auth::forgot_password,
        auth::reset_password,
        auth::introspect,
        auth::me
    ),
    tags((name = "auth", description = "Signing in and out, and what a token is worth."))
)]
struct Auth;

#[derive(OpenApi)]
#[openapi(
    paths(
        me::me,
        me::change,
        me::delete,
        me::change_password,
        me::sessions,
        me::revoke_all,
        me::revoke,
        addresses::list,
        addresses::add,
        addresses::find,
        addresses::replace,
        addresses::delete,
        payment_methods::list,
        payment_methods::add,
        payment_methods::find,
        payment_methods::replace,
        payment_methods::delete
    ),
    tags((name = "account", description = "The own account, with its addresses, payment methods and sign-ins."))
)]
struct Own;

#[derive(OpenApi)]
#[openapi(
    paths(users::list, users::find, users::delete, users::verify, users::set_role, users::set_status),
    tags((name = "users", description = "The accounts of others."))
)]
struct Users;

#[test]
fn the_contract_says_what_the_routes_do() {
    let apis = [Auth::openapi(), Own::openapi(), Users::openapi()].into_iter().chain(crate::api::classic::apis());
    contract::check(env!("CARGO_MANIFEST_DIR"), &crate::Accounts::routes(), apis);
}
