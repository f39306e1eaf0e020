//! The shapes of older shops, over the use cases of `/api/v1`: `docs/classic-api.md`.

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use garde::Validate;
use http::StatusCode;
use model::{Currency, Money, OrderId, PaymentId, PaymentOperation, RefundId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{
    Answer, Caller, Error, Json, Once, Path, Query, Result, Slice, Submitted, classic, get, openapi::IdempotencyKey,
    post, put,
};

use crate::{
    checkout::{self, Checkout},
    method::Method,
    own_refunds,
    payments::{self, PaymentView, Wanted},
    refunds::RefundView,
};

pub(crate) fn routes() -> Router {
    let checkout = Router::new().route("/orders/{id}/checkout", get(check_out).merge(post(check_out_by_post)));
    Router::new()
        .route("/api/payments", post(pay))
        .route("/api/payments/{id}", get(show).merge(put(change_method)))
        .route("/api/payments/{id}/refund", post(refund))
        .route("/api/payments/order/{orderId}", get(show_of_order))
        .route("/api/payments/my-payments", get(list_own))
        .merge(classic::cart_shop(checkout))
}

/// A payment, in the words of older shops.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicPayment, example = json!({
    "id": 5, "paymentId": 5, "orderId": 17, "userId": 3, "amount": 40.88, "currency": "EUR", "status": "SUCCESS",
    "provider": "stripe", "refundedAmount": 0, "refunds": [], "createdAt": "2026-11-23T08:00:04.000Z",
    "updatedAt": "2026-11-23T08:00:05.000Z"
}))]
pub(crate) struct ClassicPayment {
    /// Its id.
    id: PaymentId,
    /// The same.
    payment_id: PaymentId,
    /// The order that it pays.
    order_id: OrderId,
    /// Whose order that is.
    user_id: UserId,
    /// What the order costs.
    amount: Money,
    /// The currency of the amount.
    currency: Currency,
    /// `PENDING`, `SUCCESS`, `FAILED` or `REFUNDED`.
    status: &'static str,
    /// Why it is in this state, as the provider says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Who took the money or has declined it; absent while no provider has answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider: Option<String>,
    /// So much has gone back.
    refunded_amount: Money,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refunds: Option<Vec<ClassicRefund>>,
    /// When it was made.
    created_at: Timestamp,
    /// Its last change.
    updated_at: Timestamp,
}

impl From<PaymentView> for ClassicPayment {
    fn from(payment: PaymentView) -> Self {
        Self {
            id: payment.id,
            payment_id: payment.id,
            order_id: payment.order_id,
            user_id: payment.user_id,
            amount: payment.amount,
            currency: payment.currency,
            status: payment.status.classic_word(),
            reason: payment.reason,
            provider: payment.provider,
            refunded_amount: payment.refunded_amount,
            refunds: payment.refunds.map(|refunds| refunds.into_iter().map(ClassicRefund::from).collect()),
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}

/// Money that goes back, in the words of older shops.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicRefund)]
struct ClassicRefund {
    /// Its id.
    id: RefundId,
    /// The same.
    refund_id: RefundId,
    /// The payment that it is of.
    payment_id: PaymentId,
    /// `PENDING`, `SUCCESS` or `FAILED`.
    #[schema(example = "SUCCESS")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "broken")]
    reason: Option<String>,
    amount: Money,
    currency: Currency,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<RefundView> for ClassicRefund {
    fn from(refund: RefundView) -> Self {
        Self {
            id: refund.id,
            refund_id: refund.id,
            payment_id: refund.payment_id,
            status: refund.status.classic_word(),
            reason: refund.reason,
            amount: refund.amount,
            currency: refund.currency,
            created_at: refund.created_at,
            updated_at: refund.updated_at,
        }
    }
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = NewClassicRefund, example = json!({"amount": 19.99}))]
struct Refund {
    /// All that is left, when absent.
    #[garde(skip)]
    amount: Option<Money>,
}

/// Gives money back: to its owner while the order is in the house, and as admins will. All that is left, asked for by its
/// owner, means that the order is called off.
#[utoipa::path(
    post,
    path = "/api/payments/{id}/refund",
    operation_id = "classicRefundPayment",
    params(("id" = PaymentId, Path), IdempotencyKey),
    request_body = Refund,
    responses(
        (status = 201, body = ClassicRefund),
        (status = 409, description = "The order is shipped, or so much is not left.")
    ),
    security(("bearer" = []))
)]
async fn refund(caller: Caller, Path(id): Path<i64>, Submitted { body, once }: Submitted<Refund>) -> Result<Answer> {
    if body.amount.is_some_and(|amount| amount <= Money::ZERO) {
        return Err(Error::invalid("amount", "must be above 0"));
    }
    let (answer, refund) = own_refunds::refund_own(&caller, &once, PaymentId(id), body.amount).await?;
    answer.with_body(&ClassicRefund::from(refund))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewClassicPayment, example = json!({"orderId": 17, "amount": 40.88, "paymentMethod": "tok_visa"}))]
struct Pay {
    /// The order that is paid.
    #[garde(skip)]
    #[schema(value_type = OrderId)]
    order_id: i64,
    /// What it costs, so far as the client knows; 409 when it costs something else.
    #[garde(skip)]
    amount: Option<Money>,
    /// The provider's token (a text, or `{token}`), the id of a payment method of the account (a number, or `{id}`), or a
    /// word such as `CARD`: the account's default one.
    #[garde(skip)]
    #[schema(value_type = Value)]
    payment_method: Method,
}

/// Pays an order. 201 with the payment; 200 with the same one when the request is repeated.
///
/// It is `SUCCESS` or `FAILED`, and `PENDING` while the provider is silent.
#[utoipa::path(
    post,
    path = "/api/payments",
    operation_id = "classicCreatePayment",
    params(IdempotencyKey),
    request_body = Pay,
    responses(
        (status = 201, body = ClassicPayment),
        (status = 200, body = ClassicPayment, description = "The payment of the first request with this key."),
        (status = 404, description = "There is no such order, or none that the caller may pay."),
        (status = 409, description = "The order costs 40.88 EUR.")
    ),
    security(("bearer" = []))
)]
async fn pay(caller: Caller, Submitted { body, once }: Submitted<Pay>) -> Result<Response> {
    let wanted = Wanted {
        order_id: OrderId(body.order_id),
        method: &body.payment_method,
        amount: body.amount,
        operation: PaymentOperation::Charge,
    };
    let (begun, payment) = payments::pay(&caller, &once, &wanted).await?;
    let payment = ClassicPayment::from(payments::heard_of(payment).await?);
    let repeated = begun.is_replay();
    let mut response = begun.with_body(&payment)?.into_response();
    if repeated {
        *response.status_mut() = StatusCode::OK;
    }
    Ok(response)
}

/// One payment, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/payments/{id}",
    tags = ["classic: order desk"],
    operation_id = "classicGetPayment",
    params(("id" = PaymentId, Path)),
    responses((status = 200, body = ClassicPayment)),
    security(("bearer" = []))
)]
async fn show(caller: Caller, Path(id): Path<i64>) -> Result<Json<ClassicPayment>> {
    Ok(Json(payments::get(&caller, PaymentId(id)).await?.into()))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicPaymentChange, example = json!({"paymentMethod": "tok_mastercard"}))]
struct Change {
    /// As when a payment is made.
    #[garde(skip)]
    #[schema(value_type = Value)]
    payment_method: Method,
}

/// Pays with something else, as long as nothing has been sent to the provider: while the order's stock is being reserved.
#[utoipa::path(
    put,
    path = "/api/payments/{id}",
    operation_id = "classicChangePaymentMethod",
    params(("id" = PaymentId, Path)),
    request_body = Change,
    responses(
        (status = 200, body = ClassicPayment),
        (status = 409, description = "The payment has been sent: its method cannot be changed any more.")
    ),
    security(("bearer" = []))
)]
async fn change_method(caller: Caller, Path(id): Path<i64>, Json(body): Json<Change>) -> Result<Json<ClassicPayment>> {
    Ok(Json(payments::change_method(&caller, PaymentId(id), &body.payment_method).await?.into()))
}

/// The payment of an order, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/payments/order/{orderId}",
    operation_id = "classicGetPaymentOfOrder",
    params(("orderId" = OrderId, Path)),
    responses((status = 200, body = ClassicPayment)),
    security(("bearer" = []))
)]
async fn show_of_order(caller: Caller, Path(order_id): Path<i64>) -> Result<Json<ClassicPayment>> {
    Ok(Json(payments::get_by_order(&caller, OrderId(order_id)).await?.into()))
}

/// One's own payments, the newest first, without their refunds.
#[utoipa::path(
    get,
    path = "/api/payments/my-payments",
    operation_id = "classicListOwnPayments",
    params(Slice),
    responses((status = 200, body = Vec<ClassicPayment>)),
    security(("bearer" = []))
)]
async fn list_own(caller: Caller, Query(slice): Query<Slice>) -> Result<Json<Vec<ClassicPayment>>> {
    let payments = payments::own(&caller, slice).await?;
    Ok(Json(payments.into_iter().map(ClassicPayment::from).collect()))
}

/// Charges the order's owner with the default payment method. Again charges nothing more.
#[utoipa::path(
    get,
    path = "/orders/{id}/checkout",
    operation_id = "classicCheckOutOrder",
    params(("id" = OrderId, Path)),
    responses(
        (status = 200, body = Object, example = json!({"message": "Order checked out successfully"})),
        (status = 402, description = "The card was declined.", body = Object, example = json!({"message": "Payment declined: card-declined"})),
        (status = 403, description = "Invalid token."),
        (status = 409, description = "The order is cancelled.")
    ),
    security(("bearer" = []))
)]
async fn check_out(caller: Caller, Path(id): Path<i64>, once: Once) -> Result<Response> {
    Ok(match checkout::check_out(&caller, &once, OrderId(id)).await? {
        Checkout::Paid => classic::message(StatusCode::OK, "Order checked out successfully"),
        Checkout::Declined(reason) => {
            classic::message(StatusCode::PAYMENT_REQUIRED, &format!("Payment declined: {reason}"))
        }
    })
}

/// The same.
#[utoipa::path(
    post,
    path = "/orders/{id}/checkout",
    operation_id = "classicCheckOutOrderByPost",
    params(("id" = OrderId, Path)),
    responses(
        (status = 200, body = Object, example = json!({"message": "Order checked out successfully"})),
        (status = 402, description = "The card was declined.", body = Object, example = json!({"message": "Payment declined: card-declined"})),
        (status = 403, description = "Invalid token."),
        (status = 409, description = "The order is cancelled.")
    ),
    security(("bearer" = []))
)]
async fn check_out_by_post(caller: Caller, path: Path<i64>, once: Once) -> Result<Response> {
    check_out(caller, path, once).await
}
