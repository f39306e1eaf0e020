//! Orders are called off, and go on to their next state.

use axum::Router;
use garde::Validate;
use model::{OrderId, OrderStatus};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Caller, Json, Path, Result};

use crate::{
    fulfilment,
    orders::{self, OrderView},
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/api/v1/orders/{id}", web::delete(cancel))
        .route("/api/v1/orders/{id}/cancel", web::post(cancel_because))
        .route("/api/v1/orders/{id}/status", web::put(set_status).merge(web::patch(set_status)))
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = OrderCancellation)]
struct Cancel {
    /// Why, for people.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200, example = "ordered by mistake")]
    reason: Option<String>,
}

/// Calls an order off: its stock and what was paid come back. Again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/cancel",
    operation_id = "cancelOrder",
    params(("id" = OrderId, Path)),
    request_body = Option<Cancel>,
    responses((status = 200, body = OrderView), (status = 409, description = "`not-cancellable`: it is too late.")),
    security(("bearer" = []))
)]
async fn cancel_because(caller: Caller, Path(id): Path<i64>, body: Option<Json<Cancel>>) -> Result<Json<OrderView>> {
    let reason = body.and_then(|Json(cancel)| cancel.reason);
    Ok(Json(orders::cancel(&caller, OrderId(id), reason.as_deref()).await?))
}

/// Calls an order off without a reason. It stays in the books.
#[utoipa::path(
    delete,
    path = "/api/v1/orders/{id}",
    operation_id = "deleteOrder",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = OrderView), (status = 409, description = "`not-cancellable`: it is too late.")),
    security(("bearer" = []))
)]
async fn cancel(caller: Caller, Path(id): Path<i64>) -> Result<Json<OrderView>> {
    Ok(Json(orders::cancel(&caller, OrderId(id), None).await?))
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = OrderStatusChange, example = json!({"status": "shipped", "tracking": "1Z999AA10123456784"}))]
struct SetStatus {
    /// `paid`, when the money came outside of the shop; `shipped`, `delivered`, `returned` or `cancelled`. The others come
    /// of what happens to the order.
    #[garde(skip)]
    status: OrderStatus,
    /// Why, for people.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    reason: Option<String>,
    /// The carrier's number, or the page that shows where the parcel is.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    tracking: Option<String>,
}

/// Brings an order to its next state. Again changes nothing.
#[utoipa::path(
    method(put, patch),
    path = "/api/v1/orders/{id}/status",
    operation_id = "setOrderStatus",
    params(("id" = OrderId, Path)),
    request_body = SetStatus,
    responses(
        (status = 200, body = OrderView),
        (status = 409, description = "`transition-not-allowed`, `not-cancellable`: not from its present state.")
    ),
    security(("bearer" = ["admin"]))
)]
async fn set_status(caller: Caller, Path(id): Path<i64>, Json(body): Json<SetStatus>) -> Result<Json<OrderView>> {
    let (reason, tracking) = (body.reason.as_deref(), body.tracking.as_deref());
    Ok(Json(fulfilment::set_status(&caller, OrderId(id), body.status, reason, tracking).await?))
}
