//! `/api/v1/inventory`.

use std::time::Duration;

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{ProductId, event::OrderedItem};
use serde::Deserialize;
use web::{Answer, Caller, Error, Json, Page, PageQuery, Path, Query, Result, Submitted};

use crate::{
    inventory::{self, Check, StockView},
    repository::Movement,
    reservations::{self, ReservationView},
};

pub(crate) fn routes() -> Router {
    let at = |path: &str, methods: MethodRouter| Router::new().route(&format!("/api/v1/inventory{path}"), methods);
    at("", web::get(list).merge(web::post(create)))
        .merge(at("/check", web::get(check)))
        .merge(at("/reserve", web::post(reserve)))
        .merge(at("/release", web::post(release)))
        .merge(at("/{product_id}", web::get(get).merge(web::put(update))))
        .merge(at("/{product_id}/adjust", web::post(adjust)))
        .merge(at("/{product_id}/history", web::get(history)))
}

/// Records, by product: the supplier's own; all, for an admin.
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<StockView>>> {
    Ok(Json(inventory::list(&caller, &page).await?))
}

/// One product's record. For its supplier and admins, as all below; 404 for other suppliers.
async fn get(caller: Caller, Path(product_id): Path<i64>) -> Result<Json<StockView>> {
    Ok(Json(inventory::get(&caller, ProductId(product_id)).await?))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct CheckQuery {
    #[garde(skip)]
    product_id: i64,
    #[garde(range(min = 1, max = 1_000_000))]
    quantity: u32,
}

/// Whether an order would find enough. Anyone.
async fn check(Query(query): Query<CheckQuery>) -> Result<Json<Check>> {
    Ok(Json(inventory::check(ProductId(query.product_id), query.quantity).await?))
}

/// What happened to a product's stock, newest first.
async fn history(
    caller: Caller,
    Path(product_id): Path<i64>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Movement>>> {
    Ok(Json(inventory::history(&caller, ProductId(product_id), &page).await?))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Create {
    #[garde(range(min = 1, max = 9_007_199_254_740_991))]
    product_id: i64,
    #[garde(range(max = 1_000_000))]
    quantity: u32,
    #[garde(range(max = 1_000_000))]
    #[serde(alias = "threshold")]
    reorder_threshold: Option<u32>,
}

/// Adds a record, 409 when there is one: the catalog's products get theirs by event.
async fn create(caller: Caller, Submitted { body, once }: Submitted<Create>) -> Result<Answer> {
    inventory::create(&caller, &once, ProductId(body.product_id), body.quantity, body.reorder_threshold).await
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Update {
    #[garde(range(max = 1_000_000))]
    #[serde(alias = "quantity")]
    on_hand: Option<u32>,
    #[garde(range(max = 1_000_000))]
    #[serde(alias = "threshold")]
    reorder_threshold: Option<u32>,
    #[garde(length(chars, max = 200))]
    reason: Option<String>,
}

/// Sets what was counted, or the threshold.
async fn update(caller: Caller, Path(product_id): Path<i64>, Json(body): Json<Update>) -> Result<Json<StockView>> {
    let Update { on_hand, reorder_threshold, reason } = body;
    inventory::update(&caller, ProductId(product_id), on_hand, reorder_threshold, reason.as_deref()).await.map(Json)
}

#[derive(Deserialize, Validate)]
struct Adjust {
    #[garde(range(min = -1_000_000, max = 1_000_000))]
    delta: i64,
    #[garde(length(chars, min = 1, max = 200))]
    reason: String,
}

/// So many more, or fewer; 409 below what is reserved.
async fn adjust(
    caller: Caller,
    Path(product_id): Path<i64>,
    Submitted { body, once }: Submitted<Adjust>,
) -> Result<Answer> {
    inventory::adjust_once(&caller, &once, ProductId(product_id), body.delta, &body.reason).await
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[garde(skip)]
    product_id: i64,
    #[garde(range(min = 1, max = 1_000_000))]
    quantity: u32,
}

/// Several products, or, for short, one.
#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Reserve {
    #[garde(length(max = 100), dive)]
    #[serde(default)]
    items: Vec<Line>,
    #[garde(skip)]
    product_id: Option<i64>,
    #[garde(range(min = 1, max = 1_000_000))]
    quantity: Option<u32>,
    #[garde(range(min = 1, max = 604_800))]
    expires_in_seconds: Option<u32>,
}

impl Reserve {
    fn lines(&self) -> Result<Vec<OrderedItem>> {
        let line = |product_id, quantity| OrderedItem { product_id: ProductId(product_id), quantity };
        match (self.items.as_slice(), self.product_id, self.quantity) {
            ([], Some(product_id), Some(quantity)) => Ok(vec![line(product_id, quantity)]),
            ([], Some(_), None) => Err(Error::invalid("quantity", "is missing")),
            ([], ..) => Err(Error::invalid("items", "must have 1 to 100 entries")),
            (items, None, None) => Ok(items.iter().map(|item| line(item.product_id, item.quantity)).collect()),
            _ => Err(Error::invalid("items", "or productId and quantity, not both")),
        }
    }
}

/// Holds pieces by hand for a while, all of them or none: 409.
async fn reserve(caller: Caller, Submitted { body, once }: Submitted<Reserve>) -> Result<Answer> {
    let hold_for = body.expires_in_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    reservations::reserve(&caller, &once, &body.lines()?, hold_for).await
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Release {
    #[garde(skip)]
    reservation_id: i64,
}

/// Lets go what was held by hand; doing it again changes nothing. A supplier only where all of it is theirs.
async fn release(caller: Caller, Json(body): Json<Release>) -> Result<Json<ReservationView>> {
    Ok(Json(reservations::release(&caller, body.reservation_id).await?))
}
