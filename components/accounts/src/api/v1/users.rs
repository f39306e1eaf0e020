//! `/api/v1/users`: the accounts of others.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::{Role, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use web::{Caller, Json, Page, PageQuery, Path, Query, Result};

use crate::{
    account::{Email, LONGEST_EMAIL, Status, User},
    accounts,
    people::{self, Verified},
    repository::users::Wanted,
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/api/v1/users", web::get(list))
        .route("/api/v1/users/{id}", web::get(find).merge(web::delete(delete)))
        .route("/api/v1/users/{id}/role", web::put(set_role).merge(web::patch(set_role)))
        .route("/api/v1/users/{id}/status", web::put(set_status).merge(web::patch(set_status)))
        .route("/api/v1/users/{id}/verify", web::get(verify))
}

#[derive(Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// The beginning of the address.
    #[garde(length(bytes, max = LONGEST_EMAIL))]
    #[param(max_length = 254, example = "ann@")]
    email: Option<String>,
    /// Only accounts with this role.
    #[garde(skip)]
    role: Option<Role>,
    /// Only accounts with this status.
    #[garde(skip)]
    status: Option<Status>,
}

/// Accounts: the newest first, or by address when one is searched for.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "listUsers",
    params(PageQuery, Filter),
    responses((status = 200, body = Page<User>)),
    security(("bearer" = ["admin"]))
)]

async fn list(caller: Caller, Query(page): Query<PageQuery>, Query(filter): Query<Filter>) -> Result<Json<Page<User>>> {
    let Filter { email, role, status } = filter;
    let email_prefix = email.map(|email| Email::normal(&email)).filter(|prefix| !prefix.is_empty());
    people::list(&caller, &page, &Wanted { email_prefix, role, status }).await.map(Json)
}

/// An account, for its owner and admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    operation_id = "getUser",
    params(("id" = UserId, Path)),
    responses((status = 200, body = User), (status = 403, description = "The caller was an admin until just now.")),
    security(("bearer" = []))
)]
async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<User>> {
    people::find(&caller, UserId(id)).await.map(Json)
}

/// Deletes an account; again changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    operation_id = "deleteUser",
    params(("id" = UserId, Path)),
    responses((status = 204), (status = 409, description = "`own-account`: `DELETE /users/me` deletes the own one.")),
    security(("bearer" = ["admin"]))
)]
async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    accounts::delete(&caller, UserId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether an account may act. For its owner, programs of the shop and admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/verify",
    operation_id = "verifyUser",
    params(("id" = UserId, Path)),
    responses((status = 200, body = Verified)),
    security(("bearer" = []))
)]
async fn verify(caller: Caller, Path(id): Path<i64>) -> Result<Json<Verified>> {
    people::verify(&caller, UserId(id)).await.map(Json)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = RoleChange)]
struct RoleRequest {
    /// What the account may do from now on.
    #[garde(skip)]
    role: Role,
}

/// Gives an account another role. Access tokens keep the old one until they expire.
#[utoipa::path(
    method(put, patch),
    path = "/api/v1/users/{id}/role",
    operation_id = "setUserRole",
    params(("id" = UserId, Path)),
    request_body = RoleRequest,
    responses((status = 200, body = User), (status = 409, description = "`own-role`: nobody changes the own role.")),
    security(("bearer" = ["admin"]))
)]

async fn set_role(caller: Caller, Path(id): Path<i64>, Json(request): Json<RoleRequest>) -> Result<Json<User>> {
    people::set_role(&caller, UserId(id), request.role).await.map(Json)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = AccountStatusChange)]
struct StatusRequest {
    /// Whether the account may act from now on.
    #[garde(skip)]
    status: Status,
}

/// Suspends an account, which signs it out everywhere, or lets it act again.
#[utoipa::path(
    method(put, patch),
    path = "/api/v1/users/{id}/status",
    operation_id = "setUserStatus",
    params(("id" = UserId, Path)),
    request_body = StatusRequest,
    responses((status = 200, body = User), (status = 409, description = "`own-status`: nobody suspends himself.")),
    security(("bearer" = ["admin"]))
)]

async fn set_status(caller: Caller, Path(id): Path<i64>, Json(request): Json<StatusRequest>) -> Result<Json<User>> {
    people::set_status(&caller, UserId(id), request.status).await.map(Json)
}
