//! Money of orders goes back.

use axum::Router;
use garde::Validate;
use model::{Money, OrderId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Answer, Caller, Json, Path, Result, Submitted, openapi::IdempotencyKey};

use super::{Item, ordered};
use crate::{
    order::Claim,
    refunds::{self, RefundView},
};

pub(super) fn routes() -> Router {
    Router::new().route("/api/v1/orders/{id}/refunds", web::get(refunds).merge(web::post(refund)))
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = NewOrderRefund, example = json!({"items": [{"productId": 1, "quantity": 1}], "restock": true}))]
struct Refund {
    /// Money, or the pieces that it is for. Without either, all that is left.
    #[garde(inner(custom(positive)))]
    amount: Option<Money>,
    /// The pieces that come back.
    #[garde(length(min = 1, max = 100), dive)]
    #[schema(min_items = 1, max_items = 100)]
    items: Option<Vec<Item>>,
    /// Why, for people.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    reason: Option<String>,
    /// Whether the pieces go back into stock; only with `items`.
    #[serde(default)]
    #[garde(custom(|restock: &bool, _: &()| of_pieces(*restock, self.items.is_some())))]
    restock: bool,
}

fn positive(amount: &Money, _: &()) -> garde::Result {
    if *amount > Money::ZERO { Ok(()) } else { Err(garde::Error::new("must be above 0")) }
}

fn of_pieces(restock: bool, items: bool) -> garde::Result {
    if restock && !items { Err(garde::Error::new("needs items: which pieces go back into stock")) } else { Ok(()) }
}

/// Gives money back: 201 `pending`; payments say how it ends.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/refunds",
    operation_id = "createOrderRefund",
    params(("id" = OrderId, Path), IdempotencyKey),
    request_body = Refund,
    responses(
        (status = 201, body = RefundView),
        (
            status = 409,
            description = "`not-refundable`: nothing was paid. `nothing-to-refund`, `refund-too-large`: what is left is \
                           less. `already-restocked`: the pieces came back with the order."
        )
    ),
    security(("bearer" = ["admin"]))
)]
async fn refund(caller: Caller, Path(id): Path<i64>, Submitted { body, once }: Submitted<Refund>) -> Result<Answer> {
    let items = ordered(body.items.as_deref().unwrap_or_default());
    let claim = Claim { items: &items, amount: body.amount, restock: body.restock };
    refunds::refund(&caller, &once, OrderId(id), claim, body.reason.as_deref()).await
}

#[derive(Serialize, ToSchema)]
#[schema(as = OrderRefunds)]
struct Refunds {
    items: Vec<RefundView>,
}

/// The refunds of an order, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{id}/refunds",
    operation_id = "listOrderRefunds",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = Refunds)),
    security(("bearer" = []))
)]
async fn refunds(caller: Caller, Path(id): Path<i64>) -> Result<Json<Refunds>> {
    Ok(Json(Refunds { items: refunds::list(&caller, OrderId(id)).await? }))
}
