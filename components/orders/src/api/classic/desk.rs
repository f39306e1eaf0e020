//! `/api/orders` of the items and of the order desk.

use axum::Router;
use garde::Validate;
use model::{Money, OrderId, ProductId, UserId, event::OrderedItem};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Answer, Caller, Json, Path, Query, Result, Slice, Submitted, openapi::IdempotencyKey};

use super::{
    ClassicOrder, Words,
    address::{Loose, Parts},
};
use crate::{
    changing::{self, Wanted},
    orders,
    placing::{self, Choice, Expected, Means, Request},
    users::{self, Customer},
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/api/orders", web::post(place))
        .route("/api/orders/my-orders", web::get(list_mine))
        .route("/api/orders/all", web::get(list_all))
        .route("/api/orders/by-user/{userId}", web::get(list_of_user))
        .route("/api/orders/{id}", web::get(get).merge(web::put(change)))
        .route("/api/orders/{id}/cancel", web::post(cancel))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicWantedItem)]
struct Item {
    /// Or `itemId`.
    #[serde(alias = "itemId")]
    #[garde(skip)]
    #[schema(value_type = ProductId)]
    product_id: i64,
    #[garde(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10_000, example = 2)]
    quantity: u32,
    /// Or `unitPrice`: what the client has been told that one costs.
    #[serde(alias = "unitPrice")]
    #[garde(skip)]
    price: Option<Money>,
}

fn ordered(items: &[Item]) -> Vec<OrderedItem> {
    let item = |item: &Item| OrderedItem { product_id: ProductId(item.product_id), quantity: item.quantity };
    items.iter().map(item).collect()
}

fn told(items: &[Item], total: Option<Money>) -> Expected {
    let prices = items.iter().enumerate().filter_map(|(position, item)| Some((position, item.price?)));
    Expected { prices: prices.collect(), total }
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ClassicOrderPayment)]
struct Payment {
    #[garde(length(min = 1, max = 255), ascii)]
    #[schema(min_length = 1, max_length = 255, example = "tok_visa")]
    token: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewClassicOrder, example = json!({
    "items": [{"productId": 1, "quantity": 2, "price": 19.99}], "totalAmount": 39.98,
    "shippingAddress": {"street": "1 Main St", "city": "Springfield", "zip": "62701", "country": "US"}
}))]
struct Place {
    #[garde(length(min = 1, max = 100), dive)]
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<Item>,
    /// What the client has been told that it costs: with it, or with prices, it is charged without being asked.
    #[garde(skip)]
    total_amount: Option<Money>,
    /// One line, or its parts.
    #[garde(skip)]
    #[schema(value_type = Option<Parts>)]
    shipping_address: Option<Loose>,
    #[garde(skip)]
    #[schema(value_type = Option<Parts>)]
    billing_address: Option<Loose>,
    #[garde(dive)]
    payment: Option<Payment>,
    /// The same as `payment.token`.
    #[garde(length(min = 1, max = 255), ascii)]
    #[schema(min_length = 1, max_length = 255)]
    payment_token: Option<String>,
}

/// Places an order: 201, `PENDING`, and `PENDING_PAYMENT` in `state`.
///
/// It is charged once its stock is reserved when it brings a token, when it says what it costs, or when the account was
/// opened at the order desk. Otherwise it waits for `POST /api/payments`.
#[utoipa::path(
    post,
    path = "/api/orders",
    operation_id = "classicPlaceOrder",
    tags = ["classic: items"],
    params(IdempotencyKey),
    request_body = Place,
    responses(
        (status = 201, body = ClassicOrder),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "A price or the total is another one: the message says which is right.")
    ),
    security(("bearer" = []))
)]
async fn place(caller: Caller, Submitted { body, once }: Submitted<Place>) -> Result<Answer> {
    let Customer { name, charge_at_once } = users::customer(caller.user_id).await?;
    let address = |loose: Option<Loose>, field| loose.map(|loose| loose.address(field, &name)).transpose();
    let expected = told(&body.items, body.total_amount);
    let token = body.payment.map(|payment| payment.token).or(body.payment_token);
    let agreed = expected.total.is_some() || !expected.prices.is_empty();
    let means = match token {
        Some(token) => Some(Means::Token(Choice::Given(token))),
        None => (agreed || charge_at_once).then_some(Means::OnFile),
    };
    let request = Request {
        items: ordered(&body.items),
        discount_code: None,
        shipping_address: address(body.shipping_address, "shippingAddress")?.map(Choice::Given),
        billing_address: address(body.billing_address, "billingAddress")?.map(Choice::Given),
        means,
        expected,
    };
    Words::Desk.show_answer(placing::place(&caller, &once, request).await?)
}

/// The caller's orders, the newest first.
#[utoipa::path(
    get,
    path = "/api/orders/my-orders",
    operation_id = "classicListMyOrders",
    params(Slice),
    responses((status = 200, body = [ClassicOrder])),
    security(("bearer" = []))
)]
async fn list_mine(caller: Caller, Query(slice): Query<Slice>) -> Result<Json<Vec<ClassicOrder>>> {
    Words::Desk.list(&caller, Some(caller.user_id), &slice).await
}

/// Everybody's orders, the newest first.
#[utoipa::path(
    get,
    path = "/api/orders/all",
    operation_id = "classicListAllOrders",
    params(Slice),
    responses((status = 200, body = [ClassicOrder])),
    security(("bearer" = ["admin"]))
)]
async fn list_all(caller: Caller, Query(slice): Query<Slice>) -> Result<Json<Vec<ClassicOrder>>> {
    Words::Desk.list(&caller, None, &slice).await
}

/// A user's orders, for that user and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/orders/by-user/{userId}",
    operation_id = "classicListOrdersByUser",
    params(("userId" = UserId, Path), Slice),
    responses((status = 200, body = [ClassicOrder])),
    security(("bearer" = []))
)]
async fn list_of_user(
    caller: Caller,
    Path(id): Path<i64>,
    Query(slice): Query<Slice>,
) -> Result<Json<Vec<ClassicOrder>>> {
    Words::Desk.list(&caller, Some(UserId(id)), &slice).await
}

/// One order, for its owner and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/orders/{id}",
    operation_id = "classicGetOrder",
    tags = ["classic: items"],
    params(("id" = OrderId, Path)),
    responses((status = 200, body = ClassicOrder)),
    security(("bearer" = []))
)]
async fn get(caller: Caller, Path(id): Path<i64>) -> Result<Json<ClassicOrder>> {
    Ok(Json(Words::Desk.show(orders::get(&caller, OrderId(id)).await?)?))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicOrderChange, example = json!({"items": [{"productId": 1, "quantity": 3}]}))]
struct Change {
    /// What is ordered instead of what was.
    #[garde(length(min = 1, max = 100), dive)]
    #[schema(min_items = 1, max_items = 100)]
    items: Option<Vec<Item>>,
    /// One line, or its parts.
    #[garde(skip)]
    #[schema(value_type = Option<Parts>)]
    shipping_address: Option<Loose>,
    #[garde(skip)]
    #[schema(value_type = Option<Parts>)]
    billing_address: Option<Loose>,
}

/// Changes what is ordered, or where it goes, while it is not paid. It waits for its stock again, and fails when there is
/// not enough of what it asks for now.
#[utoipa::path(
    put,
    path = "/api/orders/{id}",
    operation_id = "classicChangeOrder",
    params(("id" = OrderId, Path)),
    request_body = Change,
    responses(
        (status = 200, body = ClassicOrder),
        (status = 403, description = "Only its customer changes an order."),
        (status = 409, description = "The order is paid or over, is being paid, or has a discount.")
    ),
    security(("bearer" = []))
)]
async fn change(caller: Caller, Path(id): Path<i64>, Json(body): Json<Change>) -> Result<Json<ClassicOrder>> {
    let Customer { name, .. } = users::customer(caller.user_id).await?;
    let address = |loose: Option<Loose>, field| loose.map(|loose| loose.address(field, &name)).transpose();
    let wanted = Wanted {
        items: body.items.as_deref().map(ordered),
        shipping_address: address(body.shipping_address, "shippingAddress")?,
        billing_address: address(body.billing_address, "billingAddress")?,
        expected: told(body.items.as_deref().unwrap_or_default(), None),
    };
    Ok(Json(Words::Desk.show(changing::change(&caller, OrderId(id), wanted).await?)?))
}

/// Calls an order off: its stock and what was paid come back. Again changes nothing.
#[utoipa::path(
    post,
    path = "/api/orders/{id}/cancel",
    operation_id = "classicCancelOrder",
    params(("id" = OrderId, Path)),
    responses((status = 200, body = ClassicOrder), (status = 409, description = "It is too late.")),
    security(("bearer" = []))
)]
async fn cancel(caller: Caller, Path(id): Path<i64>) -> Result<Json<ClassicOrder>> {
    Ok(Json(Words::Desk.show(orders::cancel(&caller, OrderId(id), None).await?)?))
}
