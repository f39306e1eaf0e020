//! `/orders` of micro, and `/order`, `/orders` of the cart shop.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::{OrderId, OrderStatus, ProductId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use web::{Caller, Json, Path, Query, Result, Slice, Submitted, classic, client, openapi::IdempotencyKey};

use super::{ClassicOrder, Done, SetStatus, Words};
use crate::{
    fulfilment,
    orders::{self, OrderView},
};

pub(super) fn routes() -> Router {
    let cart_shop = Router::new()
        .route("/order/{id}", web::get(get_order).merge(web::patch(update)).merge(web::delete(delete)))
        .route("/orders", web::get(list_orders));
    let micro = Router::new()
        .route("/orders/me", web::get(list_mine).merge(web::post(place)))
        .route("/orders/user/{userId}", web::get(list_of_user))
        .route("/orders/{orderId}", web::get(get))
        .route("/orders/{orderId}/cancel", web::patch(cancel))
        .route("/orders/{orderId}/status", web::patch(set_status));
    classic::cart_shop(cart_shop).merge(micro)
}

/// One of the caller's orders; admins see all.
#[utoipa::path(
    get,
    path = "/order/{id}",
    operation_id = "classicGetOwnOrder",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = ClassicOrder), (status = 403, description = "Invalid token.")),
    security(("bearer" = []))
)]
async fn get_order(caller: Caller, Path(id): Path<i64>) -> Result<Json<ClassicOrder>> {
    Ok(Json(Words::Bare.show(orders::get(&caller, OrderId(id)).await?)?))
}

/// The caller's orders, the newest first.
#[utoipa::path(
    get,
    path = "/orders",
    operation_id = "classicListOwnOrders",
    params(Slice),
    responses((status = 200, body = [ClassicOrder]), (status = 403, description = "Invalid token.")),
    security(("bearer" = []))
)]
async fn list_orders(caller: Caller, Query(slice): Query<Slice>) -> Result<Json<Vec<ClassicOrder>>> {
    Words::Bare.list(&caller, Some(caller.user_id), &slice).await
}

/// Brings an order to another state: customers cancel theirs, the rest is for admins. Again changes nothing.
#[utoipa::path(
    patch,
    path = "/order/{id}",
    operation_id = "classicUpdateOrder",
    params(("id" = OrderId, Path)),
    request_body = SetStatus,
    responses(
        (status = 200, body = Done),
        (status = 403, description = "Invalid token, or only admins may do this."),
        (status = 409, description = "Not from its present state.")
    ),
    security(("bearer" = []))
)]
async fn update(caller: Caller, Path(id): Path<i64>, Json(body): Json<SetStatus>) -> Result<Json<Done>> {
    let id = OrderId(id);
    match body.status()? {
        OrderStatus::Cancelled => orders::cancel(&caller, id, None).await?,
        status => {
            orders::visible(&caller, id).await?;
            fulfilment::set_status(&caller, id, status, None, None).await?
        }
    };
    Ok(Json(Done { message: "Order status updated successfully" }))
}

/// Takes an order out of every list, cancelled first while it can be. The shop keeps it in its books.
#[utoipa::path(
    delete,
    path = "/order/{id}",
    operation_id = "classicDeleteOrder",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = Done), (status = 403, description = "Invalid token.")),
    security(("bearer" = []))
)]
async fn delete(caller: Caller, Path(id): Path<i64>) -> Result<Json<Done>> {
    orders::delete(&caller, OrderId(id)).await?;
    Ok(Json(Done { message: "Order deleted successfully" }))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicPartOfCart)]
struct Place {
    /// A product that is in the caller's cart.
    #[garde(skip)]
    #[schema(value_type = ProductId)]
    product_id: i64,
    /// So many pieces; all that are in the cart, when absent.
    #[garde(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10_000, example = 2)]
    quantity: Option<u32>,
}

/// What carts are asked to have ordered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    product_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u32>,
    key: Uuid,
}

/// Orders a product that is in the caller's cart, which it leaves: 201, `pending`.
#[utoipa::path(
    post,
    path = "/orders/me",
    operation_id = "classicOrderFromCart",
    params(IdempotencyKey),
    request_body = Place,
    responses(
        (status = 201, body = ClassicOrder),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "Nothing can be ordered just now; the cart is as before.")
    ),
    security(("bearer" = []))
)]
async fn place(caller: Caller, Submitted { body, once }: Submitted<Place>) -> Result<(StatusCode, Json<ClassicOrder>)> {
    let part = Part { product_id: body.product_id, quantity: body.quantity, key: once.uuid(&caller) };
    let path = format!("/internal/users/{}/checkouts", caller.user_id);
    let order: OrderView = client::ask("carts", &path, &part).await?;
    Ok((StatusCode::CREATED, Json(Words::Bare.show(order)?)))
}

/// The caller's orders, the newest first.
#[utoipa::path(
    get,
    path = "/orders/me",
    operation_id = "classicListOrdersOfMine",
    params(Slice),
    responses((status = 200, body = [ClassicOrder])),
    security(("bearer" = []))
)]
async fn list_mine(caller: Caller, slice: Query<Slice>) -> Result<Json<Vec<ClassicOrder>>> {
    list_orders(caller, slice).await
}

/// A user's orders, for that user and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/orders/user/{userId}",
    operation_id = "classicListOrdersOfUser",
    params(("userId" = UserId, Path), Slice),
    responses((status = 200, body = [ClassicOrder])),
    security(("bearer" = []))
)]
async fn list_of_user(
    caller: Caller,
    Path(id): Path<i64>,
    Query(slice): Query<Slice>,
) -> Result<Json<Vec<ClassicOrder>>> {
    Words::Bare.list(&caller, Some(UserId(id)), &slice).await
}

/// One order, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/orders/{orderId}",
    operation_id = "classicGetOrderOfMine",
    params(("orderId" = OrderId, Path)),
    responses((status = 200, body = ClassicOrder)),
    security(("bearer" = []))
)]
async fn get(caller: Caller, id: Path<i64>) -> Result<Json<ClassicOrder>> {
    get_order(caller, id).await
}

/// Calls an order off while it is `pending`. Again changes nothing.
#[utoipa::path(
    patch,
    path = "/orders/{orderId}/cancel",
    operation_id = "classicCancelPendingOrder",
    params(("orderId" = OrderId, Path)),
    responses((status = 200, body = ClassicOrder), (status = 409, description = "It is not pending any more.")),
    security(("bearer" = []))
)]
async fn cancel(caller: Caller, Path(id): Path<i64>) -> Result<Json<ClassicOrder>> {
    Ok(Json(Words::Bare.show(orders::cancel_unpaid(&caller, OrderId(id)).await?)?))
}

/// Brings an order to its next state. Again changes nothing.
#[utoipa::path(
    patch,
    path = "/orders/{orderId}/status",
    operation_id = "classicSetOrderStatus",
    params(("orderId" = OrderId, Path)),
    request_body = SetStatus,
    responses((status = 200, body = ClassicOrder), (status = 409, description = "Not from its present state.")),
    security(("bearer" = ["admin"]))
)]
async fn set_status(caller: Caller, Path(id): Path<i64>, Json(body): Json<SetStatus>) -> Result<Json<ClassicOrder>> {
    caller.must_administer()?;
    let order = fulfilment::set_status(&caller, OrderId(id), body.status()?, None, None).await?;
    Ok(Json(Words::Bare.show(order)?))
}
