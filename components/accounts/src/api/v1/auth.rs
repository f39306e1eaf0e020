//! `/api/v1/auth`: registering, signing in and out, forgotten passwords, what a token is worth.

use axum::{Router, response::IntoResponse};
use garde::Validate;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Answer, Caller, Form, Json, Result, Submitted, openapi::IdempotencyKey};

use super::{agent, fits, is_email, secret};
use crate::{
    account::{self, LONGEST_EMAIL, Locale, ProfileChange, User},
    accounts::{self, Applicant},
    recovery,
    sign_in::{self, Introspection, Known, SignedIn},
    strength,
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
        .route("/api/v1/auth/me", web::get(me))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Registration)]
struct RegisterRequest {
    /// An address that has no account.
    #[garde(custom(is_email))]
    #[schema(max_length = 254, format = Email, example = "ann@example.com")]
    email: String,
    /// The part of the address before the `@`, when not given.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    username: Option<String>,
    /// For parcels.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_name(name)))))]
    #[schema(min_length = 1, max_length = 100, example = "Ann")]
    first_name: Option<String>,
    /// For parcels.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_name(name)))))]
    #[schema(min_length = 1, max_length = 100, example = "Lee")]
    last_name: Option<String>,
    /// A number to call.
    #[garde(inner(custom(|phone: &str, _: &()| fits(account::is_phone(phone)))))]
    #[schema(min_length = 3, max_length = 32, example = "+1 217 555 0100")]
    phone: Option<String>,
    /// The language of mails, a tag of BCP 47; that of the shop when it has no such mails.
    #[garde(skip)]
    locale: Option<Locale>,
    /// No common one, with at least 4 different characters, and 8 beside those of the address.
    #[garde(custom(|password: &String, _: &()| fits(strength::password(password, &self.email))))]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "correct horse battery")]
    password: String,
}

/// Opens an account for a customer.
#[utoipa::path(
    post,
    path = "/api/v1/auth/register",
    operation_id = "register",
    params(IdempotencyKey),
    request_body = RegisterRequest,
    responses(
        (status = 201, body = User),
        (status = 409, description = "`email-taken`: there is an account with this address.")
    )
)]
async fn register(submitted: Submitted<RegisterRequest>) -> Result<Answer> {
    let RegisterRequest { email, username, first_name, last_name, phone, locale, password } = submitted.body;
    let mut applicant = Applicant::customer(&email, username.as_deref(), password)?;
    let some = |text: Option<String>| text.map(Some);
    let (first_name, last_name, phone, locale) = (some(first_name), some(last_name), some(phone), locale.map(Some));
    applicant.profile.apply(ProfileChange { username: None, first_name, last_name, phone, locale });
    accounts::register(None, applicant, submitted.once, |user| user).await
}

/// What is written here need not be an address or a password: an answer other than 401 would say what cannot be one.
#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = Login)]
struct LoginRequest {
    /// The address of the account.
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    #[schema(min_length = 1, max_length = 254, example = "ann@example.com")]
    email: String,
    /// Its password.
    #[garde(length(chars, min = 1, max = strength::LONGEST))]
    #[schema(min_length = 1, max_length = 128, format = Password, example = "correct horse battery")]
    password: String,
}

/// Signs in. After some failures the next attempt must wait: 429.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    operation_id = "logIn",
    request_body = LoginRequest,
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "The address or the password is wrong, or the account is suspended.")
    )
)]

async fn log_in(headers: HeaderMap, Json(request): Json<LoginRequest>) -> Result<impl IntoResponse> {
    let by = Known::by_email(&request.email);
    sign_in::log_in(&by, &request.password, agent(&headers).as_deref()).await.map(secret)
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Refresh)]
struct RefreshRequest {
    /// The newest one of a sign-in.
    #[garde(length(bytes, min = 1, max = LONGEST_REFRESH_TOKEN))]
    #[schema(min_length = 1, max_length = 128, example = "5pZ5BpLJk0wYQmGvSO2o4Xh8Jm1cE3rT7uV9yA6dNfQ")]
    refresh_token: String,
}

/// Goes on with a sign-in: new tokens, once. A refresh token that comes again ends the sign-in.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    operation_id = "refresh",
    request_body = RefreshRequest,
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "The refresh token is not valid, or no longer.")
    )
)]

async fn refresh(Json(request): Json<RefreshRequest>) -> Result<impl IntoResponse> {
    sign_in::refresh(&request.refresh_token).await.map(secret)
}

#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Logout)]
struct LogoutRequest {
    /// The newest one of the sign-in that is to end.
    #[garde(length(bytes, min = 1, max = LONGEST_REFRESH_TOKEN))]
    #[schema(min_length = 1, max_length = 128, example = "5pZ5BpLJk0wYQmGvSO2o4Xh8Jm1cE3rT7uV9yA6dNfQ")]
    refresh_token: Option<String>,
}

/// Ends the sign-in of a refresh token, or else of the access token.
///
/// With a refresh token, an access token that has expired meanwhile does not matter.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    operation_id = "logOut",
    request_body = Option<LogoutRequest>,
    responses((status = 204)),
    security((), ("bearer" = []))
)]
async fn log_out(caller: Result<Caller>, request: Option<Json<LogoutRequest>>) -> Result<StatusCode> {
    let LogoutRequest { refresh_token } = request.map(|Json(request)| request).unwrap_or_default();
    sign_in::log_out(caller, refresh_token.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sign-ins of the caller.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout-all",
    operation_id = "logOutEverywhere",
    responses((status = 204)),
    security(("bearer" = []))
)]
async fn log_out_everywhere(caller: Caller) -> Result<StatusCode> {
    sign_in::log_out_everywhere(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ForgottenPassword)]
struct ForgotRequest {
    /// The address of the account.
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    #[schema(min_length = 1, max_length = 254, example = "ann@example.com")]
    email: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CodeOnItsWay)]
struct ForgotResponse {
    /// What may be shown to whoever asked.
    #[schema(example = "if there is an account with this address, a code is on its way to it")]
    message: &'static str,
}

/// Mails a code for a new password to an address, if it has an account. The answer is the same if not.
#[utoipa::path(
    post,
    path = "/api/v1/auth/forgot-password",
    operation_id = "forgotPassword",
    request_body = ForgotRequest,
    responses((status = 202, body = ForgotResponse))
)]

async fn forgot_password(Json(request): Json<ForgotRequest>) -> Result<(StatusCode, Json<ForgotResponse>)> {
    recovery::forgot_password(&request.email).await?;
    let message = "if there is an account with this address, a code is on its way to it";
    Ok((StatusCode::ACCEPTED, Json(ForgotResponse { message })))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PasswordReset)]
struct ResetRequest {
    /// The address of the account.
    #[garde(length(bytes, min = 1, max = LONGEST_EMAIL))]
    #[schema(min_length = 1, max_length = 254, example = "ann@example.com")]
    email: String,
    /// The code that was mailed to it.
    #[garde(length(bytes, min = 1, max = 64))]
    #[serde(alias = "otp")]
    #[schema(min_length = 1, max_length = 64, example = "7K3QX-0M9TZ")]
    code: String,
    /// As at registration.
    #[garde(custom(|password: &String, _: &()| fits(strength::password(password, &self.email))))]
    #[serde(alias = "password")]
    #[schema(min_length = 8, max_length = 128, format = Password, example = "a better horse battery")]
    new_password: String,
}

/// Sets a new password by the code that was mailed, and ends all sign-ins. 422 for any code that is not good.
#[utoipa::path(
    post,
    path = "/api/v1/auth/reset-password",
    operation_id = "resetPassword",
    request_body = ResetRequest,
    responses((status = 204))
)]

async fn reset_password(Json(request): Json<ResetRequest>) -> Result<StatusCode> {
    recovery::reset_password(&request.email, &request.code, &request.new_password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// RFC 7662 2.1. The hint is not needed.
#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = TokenToIntrospect)]
struct IntrospectRequest {
    /// An access token.
    #[garde(length(bytes, min = 1, max = LONGEST_TOKEN))]
    #[schema(min_length = 1, max_length = 4096, example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl")]
    token: String,
}

/// Whether an access token is good now, after RFC 7662: of a sign-in that goes on and an account that may act.
#[utoipa::path(
    post,
    path = "/api/v1/auth/introspect",
    operation_id = "introspect",
    request_body(content(
        (IntrospectRequest = "application/x-www-form-urlencoded"),
        (IntrospectRequest = "application/json")
    )),
    responses((status = 200, body = Introspection)),
    security(("bearer" = ["service", "admin"]))
)]

async fn introspect(caller: Caller, Form(request): Form<IntrospectRequest>) -> Result<impl IntoResponse> {
    sign_in::introspect(&caller, &request.token).await.map(secret)
}

/// The caller's own account, as under `/users/me`.
#[utoipa::path(
    get,
    path = "/api/v1/auth/me",
    operation_id = "whoAmI",
    responses((status = 200, body = User)),
    security(("bearer" = []))
)]
async fn me(caller: Caller) -> Result<Json<User>> {
    accounts::me(&caller).await.map(Json)
}
