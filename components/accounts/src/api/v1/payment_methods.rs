//! `/api/v1/users/me/payment-methods`.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use serde::{Deserialize, de::IgnoredAny};
use utoipa::ToSchema;
use web::{Answer, Caller, Json, Page, Path, Result, Submitted, openapi::IdempotencyKey};

use super::fits;
use crate::{
    card::{self, NO_CARDS},
    payment_methods::{self, Details, PaymentMethod},
};

pub(super) fn routes() -> Router {
    let one = web::get(find).merge(web::put(replace)).merge(web::delete(delete));
    Router::new()
        .route("/api/v1/users/me/payment-methods", web::get(list).merge(web::post(add)))
        .route("/api/v1/users/me/payment-methods/{id}", one)
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewPaymentMethod)]
struct AddRequest {
    /// The payment provider's token. No card number: that is refused.
    #[garde(custom(is_token))]
    #[schema(pattern = "^[!-~]{1,255}$", example = "tok_visa")]
    token: String,
    /// What its owner calls it.
    #[garde(inner(custom(is_label)))]
    #[schema(min_length = 1, max_length = 100, example = "my blue card")]
    label: Option<String>,
    /// Whose card it is.
    #[garde(inner(custom(is_label)))]
    #[schema(min_length = 1, max_length = 100, example = "visa")]
    brand: Option<String>,
    /// How its number ends.
    #[garde(inner(custom(is_last4)))]
    #[schema(pattern = "^[0-9]{4}$", example = "4242")]
    last4: Option<String>,
    /// Whether it becomes the default.
    #[garde(skip)]
    #[serde(default, alias = "default")]
    is_default: bool,
    /// Refused, whatever it is, rather than ignored: who sends it must learn not to.
    #[garde(custom(is_absent))]
    #[serde(default, alias = "number", alias = "pan", alias = "cvc", alias = "cvv")]
    #[schema(ignore)]
    card_number: Option<IgnoredAny>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PaymentMethodUpdate)]
struct ReplaceRequest {
    /// What its owner calls it.
    #[garde(inner(custom(is_label)))]
    #[schema(min_length = 1, max_length = 100, example = "my blue card")]
    label: Option<String>,
    /// Whose card it is.
    #[garde(inner(custom(is_label)))]
    #[schema(min_length = 1, max_length = 100, example = "visa")]
    brand: Option<String>,
    /// How its number ends.
    #[garde(inner(custom(is_last4)))]
    #[schema(pattern = "^[0-9]{4}$", example = "4242")]
    last4: Option<String>,
    /// Whether it becomes the default.
    #[garde(skip)]
    #[serde(default, alias = "default")]
    is_default: bool,
}

fn is_token(token: &str, _: &()) -> garde::Result {
    fits(card::is_token(token))
}

fn is_label(label: &str, _: &()) -> garde::Result {
    if card::is_in(label) {
        Err(garde::Error::new(NO_CARDS))
    } else if (1..=100).contains(&label.chars().count()) && !label.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(garde::Error::new("must have 1 to 100 characters in one line"))
    }
}

fn is_last4(digits: &str, _: &()) -> garde::Result {
    if digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        Ok(())
    } else {
        Err(garde::Error::new("must be the last four digits and no more"))
    }
}

fn is_absent(value: &Option<IgnoredAny>, _: &()) -> garde::Result {
    if value.is_none() { Ok(()) } else { Err(garde::Error::new(NO_CARDS)) }
}

/// The caller's payment methods, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/payment-methods",
    operation_id = "listPaymentMethods",
    responses((status = 200, body = Page<PaymentMethod>)),
    security(("bearer" = []))
)]
async fn list(caller: Caller) -> Result<Json<Page<PaymentMethod>>> {
    payment_methods::list(&caller).await.map(Json)
}

/// One of the caller's payment methods.
#[utoipa::path(
    get,
    path = "/api/v1/users/me/payment-methods/{id}",
    operation_id = "getPaymentMethod",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, body = PaymentMethod)),
    security(("bearer" = []))
)]
async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentMethod>> {
    payment_methods::find(&caller, id).await.map(Json)
}

/// Adds a payment method. The first one is the default.
#[utoipa::path(
    post,
    path = "/api/v1/users/me/payment-methods",
    operation_id = "createPaymentMethod",
    params(IdempotencyKey),
    request_body = AddRequest,
    responses(
        (status = 201, body = PaymentMethod),
        (status = 409, description = "`too-many-payment-methods`: the account has 20.")
    ),
    security(("bearer" = []))
)]
async fn add(caller: Caller, Submitted { body, once }: Submitted<AddRequest>) -> Result<Answer> {
    let AddRequest { token, label, brand, last4, is_default, .. } = body;
    payment_methods::add(&caller, once, &token, &Details { label, brand, last4 }, is_default).await
}

/// Replaces what a payment method is recognized by; the token stays.
#[utoipa::path(
    put,
    path = "/api/v1/users/me/payment-methods/{id}",
    operation_id = "updatePaymentMethod",
    params(("id" = i64, Path, minimum = 1)),
    request_body = ReplaceRequest,
    responses((status = 200, body = PaymentMethod)),
    security(("bearer" = []))
)]
async fn replace(
    caller: Caller,
    Path(id): Path<i64>,
    Json(request): Json<ReplaceRequest>,
) -> Result<Json<PaymentMethod>> {
    let ReplaceRequest { label, brand, last4, is_default } = request;
    payment_methods::replace(&caller, id, &Details { label, brand, last4 }, is_default).await.map(Json)
}

/// Deletes a payment method. Where it was the default, the newest of the others is.
#[utoipa::path(
    delete,
    path = "/api/v1/users/me/payment-methods/{id}",
    operation_id = "deletePaymentMethod",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 204)),
    security(("bearer" = []))
)]
async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    payment_methods::delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
