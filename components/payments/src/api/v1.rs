//! `/api/v1/payments`.

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{Money, OrderId, PaymentId};
use serde::Deserialize;
use web::{Answer, Caller, Error, Json, Path, Result, Submitted};

use crate::{
    payments::{self, PaymentView},
    refunds,
};

pub(crate) fn routes() -> Router {
    let at = |path: &str, methods: MethodRouter| Router::new().route(&format!("/api/v1/payments{path}"), methods);
    at("", web::post(pay))
        .merge(at("/{id}", web::get(get)))
        .merge(at("/{id}/refund", web::post(refund)))
        .merge(at("/order/{order_id}", web::get(get_by_order)))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Pay {
    #[garde(skip)]
    order_id: i64,
    /// The payment provider's token.
    #[garde(length(min = 1, max = 255), ascii)]
    token: String,
}

/// Pays an order: 201 with the payment, `succeeded` or `failed`; `pending` while the order's stock is being reserved or
/// the provider is silent.
async fn pay(caller: Caller, Submitted { body, once }: Submitted<Pay>) -> Result<Answer> {
    payments::pay(&caller, &once, OrderId(body.order_id), &body.token).await
}

/// One payment, for its owner and for admins; 404 for everybody else.
async fn get(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentView>> {
    Ok(Json(payments::get(&caller, PaymentId(id)).await?))
}

/// The payment of an order, for its owner and for admins; 404 for everybody else.
async fn get_by_order(caller: Caller, Path(order_id): Path<i64>) -> Result<Json<PaymentView>> {
    Ok(Json(payments::get_by_order(&caller, OrderId(order_id)).await?))
}

#[derive(Deserialize, Validate)]
struct Refund {
    /// All that is left, when absent.
    #[garde(skip)]
    amount: Option<Money>,
    #[garde(length(chars, min = 1, max = 200))]
    reason: Option<String>,
}

/// Gives money back: 201 with the refund. Admins only; customers cancel their order instead.
async fn refund(caller: Caller, Path(id): Path<i64>, Submitted { body, once }: Submitted<Refund>) -> Result<Answer> {
    caller.must_administer()?;
    if body.amount.is_some_and(|amount| amount <= Money::ZERO) {
        return Err(Error::invalid("amount", "must be above 0"));
    }
    refunds::refund(&caller, &once, PaymentId(id), body.amount, body.reason.as_deref()).await
}
