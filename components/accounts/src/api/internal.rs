//! What other components of the shop may ask.

use axum::Router;
use model::{Address, UserId};
use serde::Serialize;
use web::{Json, Path, Result, auth::SigningKey};

use crate::{
    addresses, keys, payment_methods,
    people::{self, Reader},
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/internal/keys", web::get(signing_keys))
        .route("/internal/users/{id}", web::get(reader))
        .route("/internal/users/{id}/addresses/{address_id}", web::get(address))
        .route("/internal/users/{id}/payment-methods/default", web::get(default_payment_method))
        .route("/internal/users/{id}/payment-methods/{method_id}", web::get(payment_method))
}

/// The keys that check access tokens, the one that signs first.
async fn signing_keys() -> Result<Json<Vec<SigningKey>>> {
    keys::all().await.map(Json)
}

/// Whom to write to; 404 when there is no such account, or none any more.
async fn reader(Path(id): Path<i64>) -> Result<Json<Reader>> {
    people::reader(UserId(id)).await.map(Json)
}

/// An address of an account; 404 when that has no such one.
async fn address(Path((owner, id)): Path<(i64, i64)>) -> Result<Json<Address>> {
    addresses::of(UserId(owner), id).await.map(Json)
}

/// What the payment provider knows a payment method by.
#[derive(Serialize)]
struct Token {
    token: String,
}

/// The token of a payment method of an account; 404 when that has no such one.
async fn payment_method(Path((owner, id)): Path<(i64, i64)>) -> Result<Json<Token>> {
    payment_methods::of(UserId(owner), id).await.map(|method| Json(Token { token: method.token }))
}

/// The token of the default payment method of an account; 404 when that has none.
async fn default_payment_method(Path(owner): Path<i64>) -> Result<Json<Token>> {
    payment_methods::default(UserId(owner)).await.map(|method| Json(Token { token: method.token }))
}
