//! What other services of the shop may ask.

use axum::Router;
use garde::Validate;
use model::{Currency, Money, OrderId, UserId};
use serde::Deserialize;
use web::{Json, Path, Result, audit::Actor};

use crate::{
    by_hand,
    external::{self, External},
    payments,
    repository::PayableOrder,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/internal/payments", web::post(receive))
        .route("/internal/external-payments", web::post(take))
        .route("/internal/orders/{id}/payment", web::get(of_order))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Received {
    #[garde(skip)]
    order_id: i64,
    #[garde(skip)]
    user_id: i64,
    #[garde(skip)]
    amount: Money,
    #[garde(skip)]
    currency: Currency,
    #[garde(skip)]
    revision: i64,
    /// Who says so.
    #[garde(dive)]
    actor: Actor,
}

/// Books money that an admin has: the payment. The same one again for the same order.
async fn receive(Json(body): Json<Received>) -> Result<Json<by_hand::Booked>> {
    let Received { order_id, user_id, amount, currency, revision, actor } = body;
    let (order_id, user_id) = (OrderId(order_id), UserId(user_id));
    let order = PayableOrder { order_id, user_id, amount, currency, revision };
    Ok(Json(by_hand::receive(&order, &actor).await?))
}

/// What a processor outside of the shop says of an order's money.
async fn take(Json(external): Json<External>) -> Result<Json<()>> {
    external::receive(&external).await.map(Json)
}

/// The payment of an order; 404 while nobody has begun one.
async fn of_order(Path(id): Path<i64>) -> Result<Json<by_hand::Booked>> {
    Ok(Json(payments::booked(OrderId(id)).await?))
}
