//! How many pieces of an item there are, in the shape of an older shop: `docs/classic-api.md`.

use axum::Router;
use garde::Validate;
use model::ProductId;
use serde::Deserialize;
use utoipa::IntoParams;
use web::{Answer, Caller, Json, Once, Path, Query, Result, Viewer, get, openapi::IdempotencyKey, put};

use crate::availability::{self, Availability};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/items/{id}/availability", get(show))
        .route("/api/items/{id}/availability/increase", put(increase))
        .route("/api/items/{id}/availability/decrease", put(decrease))
}

#[derive(Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
struct Quantity {
    /// So many pieces.
    #[garde(range(min = 1, max = 1_000_000))]
    #[param(minimum = 1, maximum = 1_000_000, example = 2)]
    qty: u32,
}

/// How many pieces of an item can be ordered. What is not for sale is 404 but for its supplier and admins.
#[utoipa::path(
    get,
    path = "/api/items/{id}/availability",
    operation_id = "classicGetAvailability",
    params(("id" = ProductId, Path)),
    responses((status = 200, body = Availability)),
    security((), ("bearer" = []))
)]
async fn show(viewer: Viewer, Path(id): Path<ProductId>) -> Result<Json<Availability>> {
    availability::find(&viewer, id).await.map(Json)
}

/// So many pieces more.
#[utoipa::path(
    put,
    path = "/api/items/{id}/availability/increase",
    operation_id = "classicIncreaseAvailability",
    params(("id" = ProductId, Path), Quantity, IdempotencyKey),
    responses((status = 200, body = Availability)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn increase(
    caller: Caller,
    Path(id): Path<ProductId>,
    Query(Quantity { qty }): Query<Quantity>,
    once: Once,
) -> Result<Answer> {
    availability::change(&caller, &once, id, qty.into(), "increased").await
}

/// So many pieces fewer; 409, and nothing changes, when fewer than none could be ordered then.
#[utoipa::path(
    put,
    path = "/api/items/{id}/availability/decrease",
    operation_id = "classicDecreaseAvailability",
    params(("id" = ProductId, Path), Quantity, IdempotencyKey),
    responses(
        (status = 200, body = Availability),
        (status = 409, description = "5 on hand, 2 of them reserved: cannot go to 1.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn decrease(
    caller: Caller,
    Path(id): Path<ProductId>,
    Query(Quantity { qty }): Query<Quantity>,
    once: Once,
) -> Result<Answer> {
    availability::change(&caller, &once, id, -i64::from(qty), "decreased").await
}
