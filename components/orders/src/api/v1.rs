//! `/api/v1/orders`.

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{Address, OrderId, ProductId, event::OrderedItem};
use serde::{Deserialize, Serialize};
use web::{Answer, Caller, Error, Json, Page, PageQuery, Path, Query, Result, Submitted};

use crate::{
    orders::{self, OrderView},
    placing::{self, Choice, Request},
    repository::{Entry, list::Filter},
};

pub(crate) fn routes() -> Router {
    let at = |path: &str, methods: MethodRouter| Router::new().route(&format!("/api/v1/orders{path}"), methods);
    at("", web::get(list).merge(web::post(place)))
        .merge(at("/{id}", web::get(get).merge(web::delete(cancel))))
        .merge(at("/{id}/cancel", web::post(cancel_because)))
        .merge(at("/{id}/events", web::get(history)))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    #[garde(skip)]
    product_id: i64,
    #[garde(range(min = 1, max = 10_000))]
    quantity: u32,
}

pub(super) fn ordered(items: &[Item]) -> Vec<OrderedItem> {
    let item = |item: &Item| OrderedItem { product_id: ProductId(item.product_id), quantity: item.quantity };
    items.iter().map(item).collect()
}

#[derive(Deserialize, Validate)]
struct Payment {
    /// The payment provider's token.
    #[garde(length(min = 1, max = 255), ascii)]
    token: String,
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Place {
    #[garde(length(min = 1, max = 100), dive)]
    items: Vec<Item>,
    #[garde(length(chars, min = 1, max = 64))]
    discount_code: Option<String>,
    #[garde(dive)]
    shipping_address: Option<Address>,
    #[garde(skip)]
    shipping_address_id: Option<i64>,
    #[garde(dive)]
    billing_address: Option<Address>,
    #[garde(skip)]
    billing_address_id: Option<i64>,
    #[garde(dive)]
    payment: Option<Payment>,
    #[garde(skip)]
    payment_method_id: Option<i64>,
}

/// The one of two that is given; 422 when both are.
fn choice<T>(given: Option<T>, kept: Option<i64>, field: &'static str, other: &str) -> Result<Option<Choice<T>>> {
    match (given, kept) {
        (Some(_), Some(_)) => Err(Error::invalid(field, format!("cannot stand beside {other}"))),
        (Some(given), None) => Ok(Some(Choice::Given(given))),
        (None, kept) => Ok(kept.map(Choice::Kept)),
    }
}

/// Places an order: 201, `pending`. With a payment or a payment method it is charged once its stock is reserved.
async fn place(caller: Caller, Submitted { body, once }: Submitted<Place>) -> Result<Answer> {
    let (shipping, billing) = (body.shipping_address, body.billing_address);
    let token = body.payment.map(|payment| payment.token);
    let request = Request {
        items: ordered(&body.items),
        discount_code: body.discount_code,
        shipping_address: choice(shipping, body.shipping_address_id, "shippingAddressId", "shippingAddress")?,
        billing_address: choice(billing, body.billing_address_id, "billingAddressId", "billingAddress")?,
        payment_token: choice(token, body.payment_method_id, "paymentMethodId", "payment")?,
    };
    placing::place(&caller, &once, request).await
}

/// The caller's orders, newest first.
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<OrderView>>> {
    let filter = Filter { user_id: Some(caller.user_id), ..Filter::default() };
    Ok(Json(orders::list(&filter, &page).await?))
}

/// One order, for its owner and for admins; 404 for everybody else.
async fn get(caller: Caller, Path(id): Path<i64>) -> Result<Json<OrderView>> {
    Ok(Json(orders::get(&caller, OrderId(id)).await?))
}

#[derive(Serialize)]
struct History {
    items: Vec<Entry>,
}

/// What happened to an order, oldest first.
async fn history(caller: Caller, Path(id): Path<i64>) -> Result<Json<History>> {
    Ok(Json(History { items: orders::history(&caller, OrderId(id)).await? }))
}

#[derive(Deserialize, Validate)]
struct Cancel {
    #[garde(length(chars, min = 1, max = 200))]
    reason: Option<String>,
}

/// Calls an order off; 409 when it has failed. Again changes nothing.
async fn cancel_because(caller: Caller, Path(id): Path<i64>, body: Option<Json<Cancel>>) -> Result<Json<OrderView>> {
    let reason = body.and_then(|Json(cancel)| cancel.reason);
    Ok(Json(orders::cancel(&caller, OrderId(id), reason.as_deref()).await?))
}

/// The same, without a reason.
async fn cancel(caller: Caller, Path(id): Path<i64>) -> Result<Json<OrderView>> {
    Ok(Json(orders::cancel(&caller, OrderId(id), None).await?))
}
