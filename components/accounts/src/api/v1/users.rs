//! `/api/v1/users`: the accounts of others.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::{Role, UserId};
use serde::Deserialize;
use store::words;
use utoipa::{IntoParams, ToSchema};
use web::{Caller, Error, Json, Page, PageQuery, Path, Query, Result};

use crate::{
    account::{self, Email, LONGEST_EMAIL, Status, User},
    accounts,
    people::{self, Verified},
    repository::list::Filter,
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/api/v1/users", web::get(list))
        .route("/api/v1/users/{id}", web::get(find).merge(web::delete(delete)))
        .route("/api/v1/users/{id}/role", web::put(set_role).merge(web::patch(set_role)))
        .route("/api/v1/users/{id}/status", web::put(set_status).merge(web::patch(set_status)))
        .route("/api/v1/users/{id}/verify", web::get(verify))
}

/// What a list of accounts is narrowed to; what is empty is as good as absent.
#[derive(Default, Deserialize, Validate, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Narrowed {
    /// Only the account with this id.
    #[garde(skip)]
    #[param(value_type = Option<UserId>)]
    id: String,
    /// Only accounts of whose names (user name, first and last name) each of these words begins one.
    #[garde(length(chars, max = LONGEST_SEARCH))]
    #[param(value_type = Option<String>, max_length = 200, example = "lee")]
    name: String,
    /// The beginning of the address.
    #[garde(length(bytes, max = LONGEST_EMAIL))]
    #[param(value_type = Option<String>, max_length = 254, example = "ann@")]
    email: String,
    /// Only accounts with this number to call, however it is written.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "1 (217) 555-0100")]
    phone: String,
    /// Only accounts with this role.
    #[garde(skip)]
    #[param(value_type = Option<Role>)]
    role: String,
    /// Only accounts with this status.
    #[garde(skip)]
    #[param(value_type = Option<Status>)]
    status: String,
}

/// In characters.
const LONGEST_SEARCH: usize = 200;

impl Narrowed {
    fn filter(&self) -> Result<Filter> {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let phone = some(&self.phone);
        if let Some(phone) = &phone {
            account::is_phone(phone).map_err(|refusal| Error::invalid("phone", refusal))?;
        }
        let name = some(&self.name).map(|name| words(&name));
        if name.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::invalid("name", "must have a letter or a digit"));
        }
        Ok(Filter {
            id: web::parsed("id", &self.id)?.map(UserId),
            name,
            email: some(&self.email).map(|email| Email::normal(&email)),
            phone: phone.map(|phone| account::digits(&phone)),
            role: web::parsed("role", &self.role)?,
            status: web::parsed("status", &self.status)?,
        })
    }
}

/// Accounts that have all that is asked for: the newest first, or by address when only that is searched for.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "listUsers",
    params(PageQuery, Narrowed),
    responses((status = 200, body = Page<User>)),
    security(("bearer" = ["admin"]))
)]
async fn list(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Page<User>>> {
    people::list(&caller, &page, &narrowed.filter()?).await.map(Json)
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
