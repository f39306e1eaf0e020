//! `/api/v1/payments`.

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{Money, OrderId, PaymentId, PaymentOperation, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use web::{Answer, Caller, Error, Json, Page, PageQuery, Path, Query, Result, Submitted, openapi::IdempotencyKey};

use crate::{
    ledger::{self, Entry},
    method::Method,
    payments::{self, PaymentView, Wanted},
    refunds::{self, RefundView},
    repository::list::Filter,
};

pub(crate) fn routes() -> Router {
    let at = |path: &str, methods: MethodRouter| Router::new().route(&format!("/api/v1/payments{path}"), methods);
    at("", web::get(list).merge(web::post(pay)))
        .merge(at("/{id}", web::get(get)))
        .merge(at("/{id}/capture", web::post(capture)))
        .merge(at("/{id}/void", web::post(void)))
        .merge(at("/{id}/refund", web::post(refund)))
        .merge(at("/ledger", web::get(list_ledger)))
        .merge(at("/order/{orderId}", web::get(get_by_order)))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewPayment)]
struct Pay {
    /// The order that is paid.
    #[garde(skip)]
    #[schema(value_type = OrderId)]
    order_id: i64,
    /// The payment provider's token.
    #[garde(length(min = 1, max = 255), ascii)]
    #[schema(min_length = 1, max_length = 255, example = "tok_visa")]
    token: String,
    /// False: the money is only held, until it is captured or let go.
    #[garde(skip)]
    capture: Option<bool>,
}

/// Pays an order, or has the money held for it.
///
/// The payment is `succeeded` (or `authorized`) or `failed`; `pending` while the order's stock is being reserved or the
/// provider is silent.
#[utoipa::path(
    post,
    path = "/api/v1/payments",
    operation_id = "createPayment",
    params(IdempotencyKey),
    request_body = Pay,
    responses(
        (status = 201, body = PaymentView),
        (status = 404, description = "There is no such order, or none that the caller may pay."),
        (status = 409, description = "`payment-exists`: the order has a payment. `not-payable`: it is over, or paid.")
    ),
    security(("bearer" = []))
)]
async fn pay(caller: Caller, Submitted { body, once }: Submitted<Pay>) -> Result<Answer> {
    let operation = match body.capture {
        Some(false) => PaymentOperation::Authorize,
        _ => PaymentOperation::Charge,
    };
    let (order_id, method) = (OrderId(body.order_id), Method::Token(body.token));
    let wanted = Wanted { order_id, method: &method, amount: None, operation };
    let (begun, payment) = payments::pay(&caller, &once, &wanted).await?;
    begun.with_body(&payment)
}

/// What a list of payments is narrowed to; what is empty is as good as absent.
#[derive(Default, Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
struct Narrowed {
    /// Only payments in this state.
    #[garde(skip)]
    #[param(value_type = Option<model::PaymentStatus>)]
    status: String,
    /// Only the one of this order.
    #[garde(skip)]
    #[param(value_type = Option<OrderId>)]
    order_id: String,
    /// Only of this user's orders; of others only admins may ask.
    #[garde(skip)]
    #[param(value_type = Option<UserId>)]
    user_id: String,
    /// Only payments that this provider has answered.
    #[garde(length(chars, max = 64))]
    #[param(value_type = Option<String>, max_length = 64, example = "stripe")]
    provider: String,
    /// Made then or later: RFC 3339, or a date.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "2026-11-23")]
    from: String,
    /// Made before: RFC 3339, or a date.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "2026-11-24T08:00:00Z")]
    to: String,
    /// Only payments of so much or more.
    #[garde(skip)]
    #[param(value_type = Option<Money>)]
    min_amount: String,
    /// Only payments of so much or less.
    #[garde(skip)]
    #[param(value_type = Option<Money>)]
    max_amount: String,
}

impl Narrowed {
    fn filter(&self) -> Result<Filter> {
        Ok(Filter {
            order_id: web::parsed("orderId", &self.order_id)?.map(OrderId),
            user_id: web::parsed("userId", &self.user_id)?.map(UserId),
            status: web::parsed("status", &self.status)?,
            provider: web::parsed("provider", &self.provider)?,
            from: web::parsed("from", &self.from)?,
            to: web::parsed("to", &self.to)?,
            min_amount: web::parsed("minAmount", &self.min_amount)?,
            max_amount: web::parsed("maxAmount", &self.max_amount)?,
        })
    }
}

/// Payments, newest first: own ones; admins see all.
#[utoipa::path(
    get,
    path = "/api/v1/payments",
    operation_id = "listPayments",
    params(PageQuery, Narrowed),
    responses((status = 200, body = Page<PaymentView>), (status = 403)),
    security(("bearer" = []))
)]
async fn list(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Page<PaymentView>>> {
    Ok(Json(payments::list(&caller, narrowed.filter()?, &page).await?))
}

/// Takes the money that is held. Again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/capture",
    operation_id = "capturePayment",
    params(("id" = PaymentId, Path)),
    responses((status = 200, body = PaymentView), (status = 409, description = "`not-capturable`: nothing is held.")),
    security(("bearer" = ["admin"]))
)]
async fn capture(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentView>> {
    Ok(Json(payments::capture(&caller, PaymentId(id)).await?))
}

/// Lets go the money that is held, and with it the order. Again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/void",
    operation_id = "voidPayment",
    params(("id" = PaymentId, Path)),
    responses((status = 200, body = PaymentView), (status = 409, description = "`not-voidable`: nothing is held.")),
    security(("bearer" = ["admin"]))
)]
async fn void(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentView>> {
    Ok(Json(payments::void(&caller, PaymentId(id)).await?))
}

/// One payment, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/payments/{id}",
    operation_id = "getPayment",
    params(("id" = PaymentId, Path)),
    responses((status = 200, body = PaymentView)),
    security(("bearer" = []))
)]
async fn get(caller: Caller, Path(id): Path<i64>) -> Result<Json<PaymentView>> {
    Ok(Json(payments::get(&caller, PaymentId(id)).await?))
}

/// The payment of an order, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/payments/order/{orderId}",
    operation_id = "getPaymentOfOrder",
    params(("orderId" = OrderId, Path)),
    responses((status = 200, body = PaymentView)),
    security(("bearer" = []))
)]
async fn get_by_order(caller: Caller, Path(order_id): Path<i64>) -> Result<Json<PaymentView>> {
    Ok(Json(payments::get_by_order(&caller, OrderId(order_id)).await?))
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = NewPaymentRefund)]
struct Refund {
    /// All that is left, when absent.
    #[garde(skip)]
    amount: Option<Money>,
    /// Why, for people.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200, example = "broken")]
    reason: Option<String>,
}

/// Gives money back. Customers cancel their order instead.
#[utoipa::path(
    post,
    path = "/api/v1/payments/{id}/refund",
    operation_id = "refundPayment",
    params(("id" = PaymentId, Path), IdempotencyKey),
    request_body = Refund,
    responses(
        (status = 201, body = RefundView),
        (status = 409, description = "`nothing-to-refund`, `refund-too-large`: what is left is less.")
    ),
    security(("bearer" = ["admin"]))
)]
async fn refund(caller: Caller, Path(id): Path<i64>, Submitted { body, once }: Submitted<Refund>) -> Result<Answer> {
    caller.must_administer()?;
    if body.amount.is_some_and(|amount| amount <= Money::ZERO) {
        return Err(Error::invalid("amount", "must be above 0"));
    }
    let (answer, refund) = refunds::refund(&caller, &once, PaymentId(id), body.amount, body.reason.as_deref()).await?;
    answer.with_body(&refund)
}

#[derive(Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct LedgerQuery {
    /// Only what concerns this order.
    #[garde(skip)]
    #[param(value_type = Option<OrderId>)]
    order_id: Option<i64>,
}

/// The entries of the ledger, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/payments/ledger",
    operation_id = "listLedger",
    params(LedgerQuery, PageQuery),
    responses((status = 200, body = Page<Entry>)),
    security(("bearer" = ["admin"]))
)]
async fn list_ledger(
    caller: Caller,
    Query(query): Query<LedgerQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Entry>>> {
    caller.must_administer()?;
    Ok(Json(ledger::list(query.order_id.map(OrderId), &page).await?))
}
