//! `/api/v1/orders`.

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{OrderId, ProductId, event::OrderedItem};
use serde::{Deserialize, Serialize};
use web::{Answer, Caller, Json, Page, PageQuery, Path, Query, Result, Submitted};

use crate::{
    orders::{self, OrderView},
    repository::Entry,
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
struct Item {
    #[garde(skip)]
    product_id: i64,
    #[garde(range(min = 1, max = 10_000))]
    quantity: u32,
}

#[derive(Deserialize, Validate)]
struct Payment {
    /// The payment provider's token.
    #[garde(length(min = 1, max = 255), ascii)]
    token: String,
}

#[derive(Deserialize, Validate)]
struct Place {
    #[garde(length(min = 1, max = 100), dive)]
    items: Vec<Item>,
    #[garde(dive)]
    payment: Option<Payment>,
}

/// Places an order: 201, `pending`. With `payment` it is charged once its stock is reserved.
async fn place(caller: Caller, Submitted { body, once }: Submitted<Place>) -> Result<Answer> {
    let item = |item: &Item| OrderedItem { product_id: ProductId(item.product_id), quantity: item.quantity };
    let items: Vec<_> = body.items.iter().map(item).collect();
    orders::place(&caller, &once, &items, body.payment.as_ref().map(|payment| payment.token.as_str())).await
}

/// The caller's orders, newest first.
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<OrderView>>> {
    Ok(Json(orders::list_own(&caller, &page).await?))
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
