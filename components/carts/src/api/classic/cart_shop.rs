//! The cart shop: `/cart`, and `/order`, by which it becomes one.

use axum::{
    Router,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use garde::Validate;
use http::StatusCode;
use model::{Family, Money, OrderId, OrderStatus, ProductId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Json, Path, Result, Submitted, classic, openapi::IdempotencyKey};

use crate::{
    api::v1::carts::Add,
    cart::{Cart, Lines, MOST_PIECES},
    carts::{self, Expected, Visitor},
    checkout::Details,
    checkouts,
};

pub(super) fn routes() -> Router {
    let routes = Router::new()
        .route("/cart", web::get(show).merge(web::post(add)))
        .route("/cart/{productId}", web::patch(set).merge(web::delete(remove)))
        .route("/order", web::post(order));
    classic::cart_shop(routes)
}

/// These clients know no anonymous carts.
fn visitor(caller: &Caller) -> Visitor {
    Visitor::user(caller, None)
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartShopCart, example = json!({"cartId": 5, "customerId": 3, "items": [{"productId": 1, "quantity": 2}]}))]
struct CartView<'a> {
    /// `null` until something has been put into it.
    #[schema(minimum = 1)]
    cart_id: Option<i64>,
    /// Whose it is.
    customer_id: UserId,
    /// What is in it.
    #[schema(value_type = Vec<Item>)]
    items: &'a Lines,
}

/// A line of a cart.
#[derive(ToSchema)]
#[schema(as = CartShopItem)]
#[allow(dead_code, reason = "for the contract")]
struct Item {
    #[schema(rename = "productId")]
    product_id: ProductId,
    /// Pieces.
    #[schema(minimum = 1, example = 2)]
    quantity: u32,
}

impl<'a> CartView<'a> {
    fn new(caller: &Caller, cart: &'a Cart) -> Self {
        Self { cart_id: (cart.id != 0).then_some(cart.id), customer_id: caller.user_id, items: &cart.lines }
    }
}

/// What these clients are told of any body that does not fit.
#[derive(Serialize, ToSchema)]
#[schema(as = CartShopFailure)]
struct Failure {
    #[schema(example = "Validation error")]
    error: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CartShopDone)]
struct Done {
    #[schema(example = "Cart updated successfully")]
    message: &'static str,
}

/// So many more of a product: the cart as it is then.
#[utoipa::path(
    post,
    path = "/cart",
    operation_id = "classicAddToCart",
    params(IdempotencyKey),
    request_body = Add,
    responses(
        (status = 200, body = CartView),
        (status = 400, body = Failure, description = "The body is not what it must be, or there is no such product."),
        (status = 403, description = "Invalid token, or the account is suspended."),
        (status = 409, description = "The cart is being ordered right now.")
    ),
    security(("bearer" = []))
)]
async fn add(caller: Caller, submitted: Result<Submitted<Add>>) -> Result<Response> {
    match put_in(&caller, submitted).await {
        Err(Error::Malformed(_) | Error::Invalid(_)) => {
            Ok((StatusCode::BAD_REQUEST, Json(Failure { error: "Validation error" })).into_response())
        }
        done => done.map(Answer::into_response),
    }
}

async fn put_in(caller: &Caller, submitted: Result<Submitted<Add>>) -> Result<Answer> {
    let Submitted { body: Add { product_id, quantity }, once } = submitted?;
    let product_id = ProductId(product_id);
    let (answer, cart, _) =
        carts::add(&visitor(caller), Some(caller), &once, Expected::Any, product_id, quantity).await?;
    answer.with_body(&CartView::new(caller, &cart))
}

/// What is in the cart.
#[utoipa::path(
    get,
    path = "/cart",
    operation_id = "classicGetCart",
    responses(
        (status = 200, body = CartView),
        (status = 403, description = "Invalid token.")
    ),
    security(("bearer" = []))
)]
async fn show(caller: Caller) -> Result<Response> {
    let cart = carts::get(&visitor(&caller)).await?;
    Ok(Json(CartView::new(&caller, &cart)).into_response())
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = CartShopChange)]
struct Set {
    /// So many pieces; 0 removes the product.
    #[garde(range(max = MOST_PIECES))]
    #[schema(maximum = 10_000, example = 3)]
    qty: u32,
}

/// So many of a product that is in the cart.
#[utoipa::path(
    patch,
    path = "/cart/{productId}",
    operation_id = "classicSetCartItem",
    params(("productId" = ProductId, Path)),
    request_body = Set,
    responses(
        (status = 200, body = Done),
        (status = 403, description = "Invalid token, or the account is suspended."),
        (status = 409, description = "The cart is being ordered right now.")
    ),
    security(("bearer" = []))
)]
async fn set(caller: Caller, Path(product_id): Path<i64>, Json(body): Json<Set>) -> Result<Json<Done>> {
    carts::set(&visitor(&caller), Expected::Any, ProductId(product_id), body.qty).await?;
    Ok(Json(Done { message: "Cart updated successfully" }))
}

/// Takes a product out of the cart.
#[utoipa::path(
    delete,
    path = "/cart/{productId}",
    operation_id = "classicRemoveCartItem",
    params(("productId" = ProductId, Path)),
    responses(
        (status = 200, body = Done, example = json!({"message": "Cart item deleted successfully"})),
        (status = 403, description = "Invalid token, or the account is suspended."),
        (status = 409, description = "The cart is being ordered right now.")
    ),
    security(("bearer" = []))
)]
async fn remove(caller: Caller, Path(product_id): Path<i64>) -> Result<Json<Done>> {
    carts::set(&visitor(&caller), Expected::Any, ProductId(product_id), 0).await?;
    Ok(Json(Done { message: "Cart item deleted successfully" }))
}

/// There is nothing to say at this checkout: whatever comes as a body is passed over.
#[derive(Deserialize, Validate)]
struct Nothing {}

/// What these clients see of a new order, of all that orders say of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    id: OrderId,
    user_id: UserId,
    status: OrderStatus,
    items: Vec<OrderLine>,
    total: Money,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderLine {
    product_id: ProductId,
    quantity: u32,
    name: String,
    unit_price: Money,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartShopNewOrder, example = json!({
    "orderId": 17, "customerId": 3, "items": [{"productId": 1, "quantity": 2, "name": "Mug", "price": 19.99}],
    "status": "pending", "total": 39.98
}))]
struct OrderView {
    order_id: OrderId,
    /// Whose it is.
    customer_id: UserId,
    items: Vec<OrderItem>,
    /// `pending`, until it is paid.
    status: &'static str,
    /// What is to be paid.
    total: Money,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartShopNewOrderItem)]
struct OrderItem {
    product_id: ProductId,
    /// Pieces.
    quantity: u32,
    name: String,
    /// Of one.
    price: Money,
}

impl From<OrderLine> for OrderItem {
    fn from(OrderLine { product_id, quantity, name, unit_price: price }: OrderLine) -> Self {
        Self { product_id, quantity, name, price }
    }
}

impl From<Order> for OrderView {
    fn from(Order { id: order_id, user_id: customer_id, status, items, total }: Order) -> Self {
        let items = items.into_iter().map(OrderItem::from).collect();
        Self { order_id, customer_id, items, status: status.word_of(Family::CartShop), total }
    }
}

/// Orders what is in the cart, to be paid later.
#[utoipa::path(
    post,
    path = "/order",
    operation_id = "classicOrderCart",
    params(IdempotencyKey),
    responses(
        (status = 200, body = OrderView),
        (status = 400, description = "There is nothing in the cart, or something that is not for sale any more."),
        (status = 403, description = "Invalid token, or the account is suspended."),
        (status = 422, description = "The key was used with another request."),
        (status = 409, description = "The order is refused, as `POST /api/v1/orders` does, or the cart is being ordered with other details.")
    ),
    security(("bearer" = []))
)]
async fn order(caller: Caller, request: Request) -> Result<Response> {
    let Submitted { once, .. } = Submitted::<Nothing>::from_request(web::or_empty(request), &()).await?;
    let details = async || Ok(Details::default());
    let answer = match checkouts::check_out(&caller, &visitor(&caller), &once, Expected::Any, details).await {
        Err(Error::Conflict("cart-empty", sentence)) => {
            return Ok(classic::message(StatusCode::BAD_REQUEST, &sentence));
        }
        done => done?,
    };
    let order: Order = serde_json::from_str(answer.body())?;
    let mut response = answer.with_body(&OrderView::from(order))?.into_response();
    *response.status_mut() = StatusCode::OK;
    Ok(response)
}
