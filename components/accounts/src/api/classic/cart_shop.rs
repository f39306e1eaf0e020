//! The cart shop: `/register`, `/login`, `/validate`, with sentences of its own.

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode};
use model::UserId;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Caller, Error, Json, Result, Submitted, classic::message, openapi::IdempotencyKey};

use super::{Login, Registration, Roles, secret};
use crate::{
    account::{Email, User},
    accounts::{self, EMAIL_TAKEN},
};

pub(super) fn routes() -> Router {
    let validate = Router::new().route("/validate", web::get(validate));
    Router::new()
        .route("/register", web::post(register))
        .route("/login", web::post(log_in))
        .merge(web::classic::cart_shop(validate))
}

#[derive(Serialize, ToSchema)]
#[schema(as = CartShopRegistered)]
struct Registered {
    #[schema(example = "User created")]
    message: &'static str,
    user: Named,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CartShopUser)]
struct Named {
    id: UserId,
    #[schema(example = "ann")]
    username: String,
    #[schema(example = "ann@example.com")]
    email: String,
}

impl Registered {
    fn of(user: User) -> Self {
        let User { id, email, profile, .. } = user;
        Self { message: "User created", user: Named { id, username: profile.username, email } }
    }
}

/// Opens an account for a customer. 400 also when the address has one.
#[utoipa::path(
    post,
    path = "/register",
    operation_id = "classicCartShopRegister",
    params(IdempotencyKey),
    request_body = Registration,
    responses((status = 201, body = Registered), (status = 400, description = "User already exists"))
)]
async fn register(submitted: Submitted<Registration>) -> Result<Response> {
    let applicant = submitted.body.applicant()?;
    match accounts::register(None, applicant, submitted.once, Registered::of).await {
        Ok(answer) => Ok(answer.into_response()),
        Err(Error::Conflict(EMAIL_TAKEN, _)) => Ok(message(StatusCode::BAD_REQUEST, "User already exists")),
        Err(error) => Err(error),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CartShopLogin)]
struct LoggedIn {
    #[schema(example = "Login successful")]
    message: &'static str,
    #[schema(example = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxNyJ9.c2lnbmF0dXJl")]
    token: String,
}

/// Signs in. Unlike anywhere else in the shop, the answer says whether an address has an account: these clients expect it.
/// After some failures the next attempt must wait: 429.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "classicCartShopLogIn",
    request_body = Login,
    responses(
        (status = 200, body = LoggedIn),
        (status = 400, description = "Invalid password"),
        (status = 404, description = "User not found")
    )
)]
async fn log_in(headers: HeaderMap, Json(request): Json<Login>) -> Result<Response> {
    match request.sign_in(&headers, Roles::Small).await {
        Ok(signed_in) => Ok(secret(LoggedIn { message: "Login successful", token: signed_in.token }).into_response()),
        Err(Error::Unauthenticated(_)) if request.is_known().await? => {
            Ok(message(StatusCode::BAD_REQUEST, "Invalid password"))
        }
        Err(Error::Unauthenticated(_)) => Ok(message(StatusCode::NOT_FOUND, "User not found")),
        Err(error) => Err(error),
    }
}

impl Login {
    /// Whether there is such an account. Names are not told of: nobody can see from them whose they are.
    async fn is_known(&self) -> Result<bool> {
        match self.email.as_deref().map(Email::parse) {
            Some(Ok(email)) => accounts::is_taken(&email).await,
            Some(Err(_)) => Ok(false),
            None => Ok(true),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CartShopValidated)]
struct Validated {
    user: Holder,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CartShopHolder)]
struct Holder {
    id: UserId,
    #[schema(example = "ann@example.com")]
    email: String,
}

/// Whose a token is, while it holds.
#[utoipa::path(
    get,
    path = "/validate",
    operation_id = "classicValidate",
    responses(
        (status = 200, body = Validated),
        (status = 401, description = "Unauthorized"),
        (status = 403, description = "Invalid token")
    ),
    security(("bearer" = []))
)]
async fn validate(caller: Caller) -> Result<Json<Validated>> {
    let User { id, email, .. } = accounts::me(&caller).await?;
    Ok(Json(Validated { user: Holder { id, email } }))
}
