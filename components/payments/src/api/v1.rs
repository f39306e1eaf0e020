//! `/api/v1/payments`.

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{Money, OrderId, PaymentId, PaymentOperation};
use serde::Deserialize;
use web::{Answer, Caller, Error, Json, Page, PageQuery, Path, Query, Result, Submitted};

use crate::{
    ledger,
    payments::{self, PaymentView},
    refunds,
};

pub(crate) fn routes() -> Router {
    let at = |path: &str, methods: MethodRouter| Router::new().route(&format!("/api/v1/payments{path}"), methods);
    at("", web::post(pay))
        .merge(at("/{id}", web::get(get)))
        .merge(at("/{id}/capture", web::post(capture)))
        .merge(at("/{id}/void", web::post(void)))
        .merge(at("/{id}/refund", web::post(refund)))
        .merge(at("/ledger", web::get(list_ledger)))
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
    /// False: the money is only held, until it is captured or let go.
    #[garde(skip)]
    capture: Option<bool>,
}

/// Pays an order: 201 with the payment, `succeeded` (or `authorized`) or `failed`; `pending` while the order's stock is
/// being reserved or the provider is silent.
async fn pay(caller: Caller, Submitted { body, once }: Submitted<Pay>) -> Result<Answer> {
    let operation = match body.capture {
        Some(false) => PaymentOperation::Authorize,
        _ => PaymentOperation::Charge,
    };
    payments::pay(&caller, &once, OrderId(body.order_id), &body.token, operation).await
}

/// Takes the money that is held; 409 when none is. Admins only. Again changes nothing.
async fn capture(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentView>> {
    caller.must_administer()?;
    Ok(Json(payments::capture(PaymentId(id)).await?))
}

/// Lets go the money that is held, and with it the order; 409 when none is. Admins only. Again changes nothing.
async fn void(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentView>> {
    caller.must_administer()?;
    Ok(Json(payments::void(PaymentId(id)).await?))
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

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct LedgerQuery {
    /// Only what concerns this order.
    #[garde(skip)]
    order_id: Option<i64>,
    #[garde(range(min = 1, max = 100))]
    limit: Option<u32>,
    #[garde(length(max = 500))]
    cursor: Option<String>,
}

/// The entries of the ledger, oldest first. Admins only.
async fn list_ledger(caller: Caller, Query(query): Query<LedgerQuery>) -> Result<Json<Page<ledger::Entry>>> {
    caller.must_administer()?;
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    Ok(Json(ledger::list(query.order_id.map(OrderId), &page).await?))
}
