//! `/api/v1/auth`: registering, signing in and out, forgotten passwords, what a token is worth.

use axum::{Router, response::IntoResponse};
use garde::Validate;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use web::{Answer, Caller, Error, Form, Json, Result, Submitted};

use super::{fits, is_email, me};
use crate::{
    account::{self, Email, LONGEST_EMAIL, Profile},
    accounts::{self, Applicant},
    recovery, session, sign_in, strength,
};

/// Longer than any refresh token, and than any access token that this shop makes.
const LONGEST_REFRESH_TOKEN: usize = 128;
const LONGEST_TOKEN: usize = 4096;

pub(super) fn routes() -> Router {
    Router::new()
        .route("/api/v1/auth/register", web::post(register))
        .route("/api/v1/auth/login", web::post(log_in))
        .route("/api/v1/auth/refresh", web::post(refresh))
        .route("/api/v1/auth/logout", web::post(log_out))
        .route("/api/v1/auth/logout-all", web::post(log_out_everywhere))
        .route("/api/v1/auth/forgot-password", web::post(forgot_password))
        .route("/api/v1/auth/reset-password", web::post(reset_password))
        .route("/api/v1/auth/introspect", web::post(introspect))
        .route("/api/v1/auth/me", web::get(me::me))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct RegisterRequest {
    #[garde(custom(is_email))]
    email: String,
    /// The part of the address before the `@`, when not given.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    username: Option<String>,
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_name(name)))))]
    first_name: Option<String>,
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_name(name)))))]
    last_name: Option<String>,
    #[garde(inner(custom(|phone: &str, _: &()| fits(account::is_phone(phone)))))]
    phone: Option<String>,
    #[garde(custom(|password: &String, _: &()| fits(strength::password(password, &self.email))))]
    password: String,
}

async fn register(submitted: Submitted<RegisterRequest>) -> Result<Answer> {
    let RegisterRequest { email, username, first_name, last_name, phone, password } = submitted.body;
    let email = Email::parse(&email).map_err(|refusal| Error::invalid("email", refusal))?;
    let username =
        account::username(username.as_deref(), &email).map_err(|refusal| Error::invalid("username", refusal))?;
    let trimmed = |text: Option<String>| text.map(|text| text.trim().to_owned());
    let profile =
        Profile { username, first_name: trimmed(first_name), last_name: trimmed(last_name), phone: trimmed(phone) };
    accounts::register(Applicant { email, profile, password }, submitted.once).await
}

/// What is written here need not be an address or a password: an answer other than 401 would say what cannot be one.
#[derive(Deserialize, Validate)]
struct LoginRequest {
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    email: String,
    #[garde(length(chars, min = 1, max = strength::LONGEST))]
    password: String,
}

async fn log_in(headers: HeaderMap, Json(request): Json<LoginRequest>) -> Result<impl IntoResponse> {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).and_then(session::user_agent);
    sign_in::log_in(&request.email, &request.password, agent.as_deref()).await.map(secret)
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct RefreshRequest {
    #[garde(length(bytes, min = 1, max = LONGEST_REFRESH_TOKEN))]
    refresh_token: String,
}

async fn refresh(Json(request): Json<RefreshRequest>) -> Result<impl IntoResponse> {
    sign_in::refresh(&request.refresh_token).await.map(secret)
}

/// Tokens are for the client alone, RFC 6749 5.1, and so is what is said of them.
fn secret(body: impl Serialize) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body))
}

#[derive(Default, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct LogoutRequest {
    #[garde(length(bytes, min = 1, max = LONGEST_REFRESH_TOKEN))]
    refresh_token: Option<String>,
}

/// With a refresh token, an access token that has expired meanwhile does not matter.
async fn log_out(caller: Result<Caller>, request: Option<Json<LogoutRequest>>) -> Result<StatusCode> {
    let LogoutRequest { refresh_token } = request.map(|Json(request)| request).unwrap_or_default();
    sign_in::log_out(caller, refresh_token.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn log_out_everywhere(caller: Caller) -> Result<StatusCode> {
    sign_in::log_out_everywhere(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, Validate)]
struct ForgotRequest {
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    email: String,
}

#[derive(Serialize)]
struct ForgotResponse {
    message: &'static str,
}

async fn forgot_password(Json(request): Json<ForgotRequest>) -> Result<(StatusCode, Json<ForgotResponse>)> {
    recovery::forgot_password(&request.email).await?;
    let message = "if there is an account with this address, a code is on its way to it";
    Ok((StatusCode::ACCEPTED, Json(ForgotResponse { message })))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct ResetRequest {
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    email: String,
    #[garde(length(bytes, min = 1, max = 64))]
    #[serde(alias = "otp")]
    code: String,
    #[garde(custom(|password: &String, _: &()| fits(strength::password(password, &self.email))))]
    #[serde(alias = "password")]
    new_password: String,
}

async fn reset_password(Json(request): Json<ResetRequest>) -> Result<StatusCode> {
    recovery::reset_password(&request.email, &request.code, &request.new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// RFC 7662 2.1. The hint is not needed.
#[derive(Deserialize, Validate)]
struct IntrospectRequest {
    #[garde(length(bytes, min = 1, max = LONGEST_TOKEN))]
    token: String,
}

async fn introspect(caller: Caller, Form(request): Form<IntrospectRequest>) -> Result<impl IntoResponse> {
    sign_in::introspect(&caller, &request.token).await.map(secret)
}
