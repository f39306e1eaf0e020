//! `/api/v1/users/me`: the own account.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Caller, Json, Page, PageQuery, Path, Query, Result};

use super::{fits, present};
use crate::{
    account::{self, Locale, ProfileChange, User},
    accounts,
    changes::{self, Change},
    recovery,
    session::Session,
    sign_in, strength,
};

pub(super) fn routes() -> Router {
    let own = web::get(me).merge(web::put(change)).merge(web::patch(change)).merge(web::delete(delete));
    Router::new()
        .route("/api/v1/users/me", own)
        .route("/api/v1/users/me/password", web::post(change_password).merge(web::put(change_password)))
        .route("/api/v1/users/me/sessions", web::get(sessions).merge(web::delete(revoke_all)))
        .route("/api/v1/users/me/sessions/{id}", web::delete(revoke))
}

/// The caller's own account.
#[utoipa::path(
    get,
    path = "/api/v1/users/me",
    operation_id = "getMe",
    responses((status = 200, body = User)),
    security(("bearer" = []))
)]
async fn me(caller: Caller) -> Result<Json<User>> {
    accounts::me(&caller).await.map(Json)
}

/// What is absent stays; `null` removes what may be missing.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(as = AccountUpdate)]
struct ChangeRequest {
    /// Only as a copy of what is known: another address would have to be proved.
    #[garde(skip)]
    #[schema(example = "ann@example.com")]
    email: Option<String>,
    /// The name by which people call the account.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    username: Option<String>,
    /// For parcels.
    #[garde(inner(inner(custom(|name: &str, _: &()| fits(account::is_name(name))))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "Ann")]
    first_name: Option<Option<String>>,
    /// For parcels.
    #[garde(inner(inner(custom(|name: &str, _: &()| fits(account::is_name(name))))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "Lee")]
    last_name: Option<Option<String>>,
    /// A number to call.
    #[garde(inner(inner(custom(|phone: &str, _: &()| fits(account::is_phone(phone))))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 3, max_length = 32, example = "+1 217 555 0100")]
    phone: Option<Option<String>>,
    /// The language of mails, a tag of BCP 47; that of the shop when it has no such mails.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 35, example = "de-AT")]
    locale: Option<Option<Locale>>,
}

/// Changes what is named of the own account; `null` removes what may be missing.
#[utoipa::path(
    method(put, patch),
    path = "/api/v1/users/me",
    operation_id = "updateMe",
    request_body = ChangeRequest,
    responses((status = 200, body = User)),
    security(("bearer" = []))
)]
async fn change(caller: Caller, Json(request): Json<ChangeRequest>) -> Result<Json<User>> {
    let ChangeRequest { email, username, first_name, last_name, phone, locale } = request;
    let profile = ProfileChange { username, first_name, last_name, phone, locale };
    let change = Change { profile, email, ..Change::default() };
    changes::change(&caller, caller.user_id, change).await.map(Json)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = AccountDeletion)]
struct DeleteRequest {
    /// The account's password: a stolen access token must not be enough.
    #[garde(length(chars, min = 1, max = strength::LONGEST))]
    #[schema(min_length = 1, max_length = 128, format = Password, example = "correct horse battery")]
    password: String,
}

/// Deletes the own account: nothing says any more who it was, and the address is free again.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me",
    operation_id = "deleteMe",
    request_body = DeleteRequest,
    responses((status = 204), (status = 409, description = "`last-admin`: nobody else administers the shop.")),
    security(("bearer" = []))
)]

async fn delete(caller: Caller, Json(request): Json<DeleteRequest>) -> Result<StatusCode> {
    accounts::delete_own(&caller, &request.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PasswordChange)]
struct PasswordRequest {
    /// The one until now.
    #[garde(length(chars, min = 1, max = strength::LONGEST))]
    #[serde(alias = "oldPassword")]
    #[schema(min_length = 1, max_length = 128, format = Password, example = "correct horse battery")]
    current_password: String,
    /// Another one, as at registration.
    #[garde(skip)]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "a better horse battery")]
    new_password: String,
}

/// Changes the own password and ends all other sign-ins. 422 when the current one is wrong.
#[utoipa::path(
    method(post, put),
    path = "/api/v1/users/me/password",
    operation_id = "changePassword",
    request_body = PasswordRequest,
    responses((status = 204)),
    security(("bearer" = []))
)]

async fn change_password(caller: Caller, Json(request): Json<PasswordRequest>) -> Result<StatusCode> {
    let PasswordRequest { current_password, new_password } = request;
    recovery::change_password(&caller, &current_password, &new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where the caller is signed in, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/sessions",
    operation_id = "listSessions",
    params(PageQuery),
    responses((status = 200, body = Page<Session>)),
    security(("bearer" = []))
)]
async fn sessions(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<Session>>> {
    sign_in::sessions(&caller, &page).await.map(Json)
}

/// Ends all sign-ins of the caller, as `/auth/logout-all`.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/sessions",
    operation_id = "deleteSessions",
    responses((status = 204)),
    security(("bearer" = []))
)]
async fn revoke_all(caller: Caller) -> Result<StatusCode> {
    sign_in::log_out_everywhere(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends one of the caller's sign-ins.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/sessions/{id}",
    operation_id = "deleteSession",
    params(("id" = String, Path, example = "0198c1f2-5c1e-7d3a-9f43-1f1b6c1c7f10")),
    responses((status = 204)),
    security(("bearer" = []))
)]
async fn revoke(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    sign_in::revoke(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
