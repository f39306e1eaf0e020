//! `/api/v1/auth` and `/api/v1/users`.

use axum::{Router, response::IntoResponse};
use garde::Validate;
use http::{HeaderValue, header};
use model::{Role, UserId};
use serde::Deserialize;
use web::{Answer, Caller, Error, Json, Path, Result, Submitted};

use crate::{
    account::{self, Email, LONGEST_EMAIL, LONGEST_PASSWORD, User},
    accounts::{self, Applicant, SignedIn},
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/v1/auth/register", web::post(register))
        .route("/api/v1/auth/login", web::post(log_in))
        .route("/api/v1/auth/refresh", web::post(refresh))
        .route("/api/v1/auth/me", web::get(me))
        .route("/api/v1/users/me", web::get(me))
        .route("/api/v1/users/{id}/role", web::put(set_role))
}

#[derive(Deserialize, Validate)]
struct RegisterRequest {
    #[garde(custom(is_email))]
    email: String,
    /// The part of the address before the `@`, when not given.
    #[garde(skip)]
    username: Option<String>,
    #[garde(custom(|password: &String, _: &()| fits(account::password(password, &self.email))))]
    password: String,
}

fn is_email(email: &str, _: &()) -> garde::Result {
    fits(Email::parse(email).map(drop))
}

fn fits(outcome: Result<(), account::Refusal>) -> garde::Result {
    outcome.map_err(garde::Error::new)
}

async fn register(submitted: Submitted<RegisterRequest>) -> Result<Answer> {
    let RegisterRequest { email, username, password } = submitted.body;
    let email = Email::parse(&email).map_err(|refusal| Error::invalid("email", refusal))?;
    let username =
        account::username(username.as_deref(), &email).map_err(|refusal| Error::invalid("username", refusal))?;
    accounts::register(Applicant { email, username, password }, submitted.once).await
}

/// What is written here need not be an address or a password: an answer other than 401 would say what cannot be one.
#[derive(Deserialize, Validate)]
struct LoginRequest {
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    email: String,
    #[garde(length(chars, min = 1, max = LONGEST_PASSWORD))]
    password: String,
}

async fn log_in(Json(request): Json<LoginRequest>) -> Result<impl IntoResponse> {
    accounts::log_in(&request.email, &request.password).await.map(tokens)
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct RefreshRequest {
    #[garde(length(bytes, min = 1, max = 128))]
    refresh_token: String,
}

async fn refresh(Json(request): Json<RefreshRequest>) -> Result<impl IntoResponse> {
    accounts::refresh(&request.refresh_token).await.map(tokens)
}

/// Tokens are for the client alone, RFC 6749 5.1.
fn tokens(signed_in: SignedIn) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(signed_in))
}

async fn me(caller: Caller) -> Result<Json<User>> {
    accounts::me(&caller).await.map(Json)
}

#[derive(Deserialize, Validate)]
struct RoleRequest {
    #[garde(skip)]
    role: Role,
}

async fn set_role(caller: Caller, Path(id): Path<i64>, Json(request): Json<RoleRequest>) -> Result<Json<User>> {
    accounts::set_role(&caller, UserId(id), request.role).await.map(Json)
}
