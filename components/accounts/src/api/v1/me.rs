//! `/api/v1/users/me`: the own account.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use web::{Caller, Error, Json, Page, PageQuery, Path, Query, Result};

use super::{auth, fits};
use crate::{
    account::{self, Email, ProfileChange, User},
    accounts, recovery,
    session::Session,
    sign_in, strength,
};

pub(super) fn routes() -> Router {
    let own = web::get(me).merge(web::put(change)).merge(web::patch(change)).merge(web::delete(delete));
    Router::new()
        .route("/api/v1/users/me", own)
        .route("/api/v1/users/me/password", web::post(change_password).merge(web::put(change_password)))
        .route("/api/v1/users/me/sessions", web::get(sessions).merge(web::delete(auth::log_out_everywhere)))
        .route("/api/v1/users/me/sessions/{id}", web::delete(revoke))
}

pub(super) async fn me(caller: Caller) -> Result<Json<User>> {
    accounts::me(&caller).await.map(Json)
}

/// What is absent stays; `null` removes what may be missing.
#[derive(Default, Deserialize, Validate)]
#[serde(rename_all = "camelCase", default)]
struct ChangeRequest {
    /// Only as a copy of what is known: another address would have to be proved.
    #[garde(skip)]
    email: Option<String>,
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    username: Option<String>,
    #[garde(inner(inner(custom(|name: &str, _: &()| fits(account::is_name(name))))))]
    #[serde(deserialize_with = "present")]
    first_name: Option<Option<String>>,
    #[garde(inner(inner(custom(|name: &str, _: &()| fits(account::is_name(name))))))]
    #[serde(deserialize_with = "present")]
    last_name: Option<Option<String>>,
    #[garde(inner(inner(custom(|phone: &str, _: &()| fits(account::is_phone(phone))))))]
    #[serde(deserialize_with = "present")]
    phone: Option<Option<String>>,
}

/// Tells `null` from a field that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

async fn change(caller: Caller, Json(request): Json<ChangeRequest>) -> Result<Json<User>> {
    let ChangeRequest { email, username, first_name, last_name, phone } = request;
    if let Some(email) = email
        && Email::normal(&email) != accounts::me(&caller).await?.email
    {
        return Err(Error::invalid("email", "cannot be changed"));
    }
    let change = ProfileChange { username, first_name, last_name, phone };
    accounts::change_profile(&caller, change).await.map(Json)
}

#[derive(Deserialize, Validate)]
struct DeleteRequest {
    #[garde(length(chars, min = 1, max = strength::LONGEST))]
    password: String,
}

async fn delete(caller: Caller, Json(request): Json<DeleteRequest>) -> Result<StatusCode> {
    accounts::delete_own(&caller, &request.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct PasswordRequest {
    #[garde(length(chars, min = 1, max = strength::LONGEST))]
    #[serde(alias = "oldPassword")]
    current_password: String,
    #[garde(skip)]
    new_password: String,
}

async fn change_password(caller: Caller, Json(request): Json<PasswordRequest>) -> Result<StatusCode> {
    let PasswordRequest { current_password, new_password } = request;
    recovery::change_password(&caller, &current_password, &new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sessions(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<Session>>> {
    sign_in::sessions(&caller, &page).await.map(Json)
}

async fn revoke(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    sign_in::revoke(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
