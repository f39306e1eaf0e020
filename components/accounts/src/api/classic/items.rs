//! Items: `/auth`, `/account`. An account has two addresses and a way to pay, in the client's own words.

use axum::{Router, response::IntoResponse};
use garde::Validate;
use http::HeaderMap;
use model::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Answer, Caller, Json, Result, Submitted, openapi::IdempotencyKey};

use super::{Login, Registration, Roles, SignedIn, fits, is_address, is_payment_method, present, secret};
use crate::{
    account::{self, ProfileChange, User},
    accounts,
    changes::{self, Change},
    given::{Given, PaymentMethodSchema},
    written::{self, Written, WrittenChange},
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/auth/register", web::post(register))
        .route("/auth/login", web::post(log_in))
        .route("/auth/me", web::get(me))
        .route("/account/me", web::get(account))
        .route("/account/update", web::patch(update))
}

/// An account with what was written into it, or else its default addresses and payment method.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicAccount)]
pub(super) struct Account {
    id: UserId,
    #[schema(example = "ann@example.com")]
    email: String,
    #[schema(example = "ann")]
    username: String,
    #[schema(example = "user")]
    role: &'static str,
    shipping_address: Option<Given>,
    billing_address: Option<Given>,
    #[schema(value_type = Option<PaymentMethodSchema>)]
    payment_method: Option<Given>,
    created_at: Timestamp,
}

impl Account {
    fn of(user: User, written: Written) -> Self {
        let Written { shipping_address, billing_address, payment_method } = written;
        Self {
            id: user.id,
            email: user.email,
            username: user.profile.username,
            role: user.role.as_str(),
            shipping_address,
            billing_address,
            payment_method,
            created_at: user.created_at,
        }
    }
}

/// Opens an account for a customer.
#[utoipa::path(
    post,
    path = "/auth/register",
    operation_id = "classicItemsRegister",
    params(IdempotencyKey),
    request_body = Registration,
    responses(
        (status = 201, body = Account),
        (status = 409, description = "There is an account with this email address.")
    )
)]
async fn register(submitted: Submitted<Registration>) -> Result<Answer> {
    let applicant = submitted.body.applicant()?;
    let written = applicant.written.clone();
    accounts::register(None, applicant, submitted.once, |user| Account::of(user, written.clone())).await
}

/// Signs in by name or address. After some failures the next attempt must wait: 429.
#[utoipa::path(
    post,
    path = "/auth/login",
    operation_id = "classicLogIn",
    tags = ["classic: micro"],
    request_body = Login,
    responses(
        (status = 200, body = SignedIn),
        (status = 401, description = "The email address or the password is wrong.")
    )
)]
async fn log_in(headers: HeaderMap, Json(request): Json<Login>) -> Result<impl IntoResponse> {
    request.sign_in(&headers, Roles::Small).await.map(secret)
}

/// The caller's own account.
#[utoipa::path(
    get,
    path = "/auth/me",
    operation_id = "classicWhoAmI",
    responses((status = 200, body = Account)),
    security(("bearer" = []))
)]
async fn me(caller: Caller) -> Result<Json<Account>> {
    own(&caller).await.map(Json)
}

/// The same.
#[utoipa::path(
    get,
    path = "/account/me",
    operation_id = "classicAccount",
    responses((status = 200, body = Account)),
    security(("bearer" = []))
)]
async fn account(caller: Caller) -> Result<Json<Account>> {
    own(&caller).await.map(Json)
}

async fn own(caller: &Caller) -> Result<Account> {
    let user = accounts::me(caller).await?;
    let written = written::of(user.id).await?;
    Ok(Account::of(user, written))
}

/// What is absent stays; `null` removes what was written.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(as = ClassicAccountUpdate)]
struct UpdateRequest {
    /// How the account is called.
    #[garde(inner(custom(|name: &str, _: &()| fits(account::is_username(name)))))]
    #[schema(min_length = 1, max_length = 64, example = "ann")]
    username: Option<String>,
    #[garde(inner(inner(custom(is_address))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Given>)]
    shipping_address: Option<Option<Given>>,
    #[garde(inner(inner(custom(is_address))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Given>)]
    billing_address: Option<Option<Given>>,
    /// With the payment provider's `token` in it, that is the account's default from now on.
    #[garde(inner(inner(custom(is_payment_method))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<PaymentMethodSchema>)]
    payment_method: Option<Option<Given>>,
}

/// Changes what is named of the own account.
#[utoipa::path(
    patch,
    path = "/account/update",
    operation_id = "classicUpdateAccount",
    request_body = UpdateRequest,
    responses(
        (status = 200, body = Account),
        (status = 409, description = "An account has at most 20 payment methods.")
    ),
    security(("bearer" = []))
)]
async fn update(caller: Caller, Json(request): Json<UpdateRequest>) -> Result<Json<Account>> {
    let UpdateRequest { username, shipping_address, billing_address, payment_method } = request;
    let change = Change {
        profile: ProfileChange { username, ..ProfileChange::default() },
        written: WrittenChange { shipping_address, billing_address, payment_method },
        ..Change::default()
    };
    let user = changes::change(&caller, caller.user_id, change).await?;
    let written = written::of(user.id).await?;
    Ok(Json(Account::of(user, written)))
}
