//! `/api/v1/users`: the accounts of others.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::{Role, UserId};
use serde::Deserialize;
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

#[derive(Deserialize, Validate)]
struct Filter {
    /// The beginning of the address.
    #[garde(length(bytes, max = LONGEST_EMAIL))]
    email: Option<String>,
    #[garde(skip)]
    role: Option<Role>,
    #[garde(skip)]
    status: Option<Status>,
}

async fn list(caller: Caller, Query(page): Query<PageQuery>, Query(filter): Query<Filter>) -> Result<Json<Page<User>>> {
    let Filter { email, role, status } = filter;
    let email_prefix = email.map(|email| Email::normal(&email)).filter(|prefix| !prefix.is_empty());
    people::list(&caller, &page, &Wanted { email_prefix, role, status }).await.map(Json)
}

async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<User>> {
    people::find(&caller, UserId(id)).await.map(Json)
}

async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    accounts::delete(&caller, UserId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn verify(caller: Caller, Path(id): Path<i64>) -> Result<Json<Verified>> {
    people::verify(&caller, UserId(id)).await.map(Json)
}

#[derive(Deserialize, Validate)]
struct RoleRequest {
    #[garde(skip)]
    role: Role,
}

async fn set_role(caller: Caller, Path(id): Path<i64>, Json(request): Json<RoleRequest>) -> Result<Json<User>> {
    people::set_role(&caller, UserId(id), request.role).await.map(Json)
}

#[derive(Deserialize, Validate)]
struct StatusRequest {
    #[garde(skip)]
    status: Status,
}

async fn set_status(caller: Caller, Path(id): Path<i64>, Json(request): Json<StatusRequest>) -> Result<Json<User>> {
    people::set_status(&caller, UserId(id), request.status).await.map(Json)
}
