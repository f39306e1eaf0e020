//! `/api/v1/users/me/payment-methods`.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use serde::{Deserialize, de::IgnoredAny};
use web::{Answer, Caller, Json, Page, Path, Result, Submitted};

use crate::{
    card,
    payment_methods::{self, Details, PaymentMethod},
};

pub(super) fn routes() -> Router {
    let one = web::get(find).merge(web::put(replace)).merge(web::delete(delete));
    Router::new()
        .route("/api/v1/users/me/payment-methods", web::get(list).merge(web::post(add)))
        .route("/api/v1/users/me/payment-methods/{id}", one)
}

const NO_CARDS: &str = "must not be a card number: send the payment provider's token";

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct AddRequest {
    #[garde(custom(is_token))]
    token: String,
    #[garde(inner(custom(is_label)))]
    label: Option<String>,
    #[garde(inner(custom(is_label)))]
    brand: Option<String>,
    #[garde(inner(custom(is_last4)))]
    last4: Option<String>,
    #[garde(skip)]
    #[serde(default, alias = "default")]
    is_default: bool,
    /// Refused, whatever it is, rather than ignored: who sends it must learn not to.
    #[garde(custom(is_absent))]
    #[serde(default, alias = "number", alias = "pan", alias = "cvc", alias = "cvv")]
    card_number: Option<IgnoredAny>,
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct ReplaceRequest {
    #[garde(inner(custom(is_label)))]
    label: Option<String>,
    #[garde(inner(custom(is_label)))]
    brand: Option<String>,
    #[garde(inner(custom(is_last4)))]
    last4: Option<String>,
    #[garde(skip)]
    #[serde(default, alias = "default")]
    is_default: bool,
}

fn is_token(token: &str, _: &()) -> garde::Result {
    if card::is_in(token) {
        Err(garde::Error::new(NO_CARDS))
    } else if (1..=255).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(garde::Error::new("must be 1 to 255 printable ASCII characters"))
    }
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

async fn list(caller: Caller) -> Result<Json<Page<PaymentMethod>>> {
    payment_methods::list(&caller).await.map(Json)
}

async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentMethod>> {
    payment_methods::find(&caller, id).await.map(Json)
}

async fn add(caller: Caller, Submitted { body, once }: Submitted<AddRequest>) -> Result<Answer> {
    let AddRequest { token, label, brand, last4, is_default, .. } = body;
    payment_methods::add(&caller, once, &token, &Details { label, brand, last4 }, is_default).await
}

async fn replace(
    caller: Caller,
    Path(id): Path<i64>,
    Json(request): Json<ReplaceRequest>,
) -> Result<Json<PaymentMethod>> {
    let ReplaceRequest { label, brand, last4, is_default } = request;
    payment_methods::replace(&caller, id, &Details { label, brand, last4 }, is_default).await.map(Json)
}

async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    payment_methods::delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
