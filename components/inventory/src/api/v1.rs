//! `/api/v1/inventory`.

use std::time::Duration;

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{ProductId, event::OrderedItem};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use web::{Answer, Caller, Error, Json, Page, PageQuery, Path, Query, Result, Submitted, openapi::IdempotencyKey};

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
        .merge(at("/{productId}", web::get(get).merge(web::put(update))))
        .merge(at("/{productId}/adjust", web::post(adjust)))
        .merge(at("/{productId}/history", web::get(history)))
}

/// Records, by product: the supplier's own; all, for an admin.
#[utoipa::path(
    get,
    path = "/api/v1/inventory",
    operation_id = "listStock",
    params(PageQuery),
    responses((status = 200, body = Page<StockView>)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<StockView>>> {
    Ok(Json(inventory::list(&caller, &page).await?))
}

/// One product's record. For its supplier and admins, as all below; 404 for other suppliers.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{productId}",
    operation_id = "getStock",
    params(("productId" = ProductId, Path)),
    responses((status = 200, body = StockView)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn get(caller: Caller, Path(product_id): Path<i64>) -> Result<Json<StockView>> {
    Ok(Json(inventory::get(&caller, ProductId(product_id)).await?))
}

#[derive(Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct CheckQuery {
    /// The product.
    #[garde(skip)]
    #[param(value_type = ProductId)]
    product_id: i64,
    /// So many pieces.
    #[garde(range(min = 1, max = 1_000_000))]
    #[param(minimum = 1, maximum = 1_000_000)]
    quantity: u32,
}

/// Whether an order would find enough. Anyone.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/check",
    operation_id = "checkStock",
    params(CheckQuery),
    responses((status = 200, body = Check), (status = 404))
)]
async fn check(Query(query): Query<CheckQuery>) -> Result<Json<Check>> {
    Ok(Json(inventory::check(ProductId(query.product_id), query.quantity).await?))
}

/// What happened to a product's stock, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/inventory/{productId}/history",
    operation_id = "listStockMovements",
    params(("productId" = ProductId, Path), PageQuery),
    responses((status = 200, body = Page<Movement>)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn history(
    caller: Caller,
    Path(product_id): Path<i64>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Movement>>> {
    Ok(Json(inventory::history(&caller, ProductId(product_id), &page).await?))
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewStock)]
struct Create {
    /// The product.
    #[garde(range(min = 1, max = 9_007_199_254_740_991))]
    #[schema(value_type = ProductId)]
    product_id: i64,
    /// So many pieces are on hand.
    #[garde(range(max = 1_000_000))]
    #[schema(maximum = 1_000_000, example = 120)]
    quantity: u32,
    /// With so many available pieces or fewer there is a warning; a tenth of the quantity, at least 5, when not given.
    #[garde(range(max = 1_000_000))]
    #[serde(alias = "threshold")]
    #[schema(maximum = 1_000_000, example = 12)]
    reorder_threshold: Option<u32>,
}

/// Adds a record, 409 when there is one: the catalog's products get theirs by event.
#[utoipa::path(
    post,
    path = "/api/v1/inventory",
    operation_id = "createStock",
    params(IdempotencyKey),
    request_body = Create,
    responses(
        (status = 201, body = StockView),
        (status = 404, description = "The product is another supplier's."),
        (status = 409, description = "`inventory-exists`: the product has a record: adjust it.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn create(caller: Caller, Submitted { body, once }: Submitted<Create>) -> Result<Answer> {
    inventory::create(&caller, &once, ProductId(body.product_id), body.quantity, body.reorder_threshold).await
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StockUpdate)]
struct Update {
    /// So many pieces have been counted.
    #[garde(range(max = 1_000_000))]
    #[serde(alias = "quantity")]
    #[schema(maximum = 1_000_000, example = 118)]
    on_hand: Option<u32>,
    /// With so many available pieces or fewer there is a warning.
    #[garde(range(max = 1_000_000))]
    #[serde(alias = "threshold")]
    #[schema(maximum = 1_000_000, example = 12)]
    reorder_threshold: Option<u32>,
    /// Why, for the history.
    #[garde(length(chars, max = 200))]
    #[schema(max_length = 200, example = "counted")]
    reason: Option<String>,
}

/// Sets what was counted, or the threshold.
#[utoipa::path(
    put,
    path = "/api/v1/inventory/{productId}",
    operation_id = "updateStock",
    params(("productId" = ProductId, Path)),
    request_body = Update,
    responses(
        (status = 200, body = StockView),
        (status = 409, description = "`insufficient-stock`: more pieces are reserved.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn update(caller: Caller, Path(product_id): Path<i64>, Json(body): Json<Update>) -> Result<Json<StockView>> {
    let Update { on_hand, reorder_threshold, reason } = body;
    inventory::update(&caller, ProductId(product_id), on_hand, reorder_threshold, reason.as_deref()).await.map(Json)
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = StockAdjustment)]
struct Adjust {
    /// So many pieces more, or fewer.
    #[garde(range(min = -1_000_000, max = 1_000_000))]
    #[schema(minimum = -1_000_000, maximum = 1_000_000, example = -2)]
    delta: i64,
    /// Why, for the history.
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200, example = "broken")]
    reason: String,
}

/// So many more, or fewer; 409 below what is reserved.
#[utoipa::path(
    post,
    path = "/api/v1/inventory/{productId}/adjust",
    operation_id = "adjustStock",
    params(("productId" = ProductId, Path), IdempotencyKey),
    request_body = Adjust,
    responses(
        (status = 200, body = StockView),
        (status = 409, description = "`insufficient-stock`: more pieces are reserved.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn adjust(
    caller: Caller,
    Path(product_id): Path<i64>,
    Submitted { body, once }: Submitted<Adjust>,
) -> Result<Answer> {
    inventory::adjust_once(&caller, &once, ProductId(product_id), body.delta, &body.reason).await
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReservedLine)]
struct Line {
    /// The product.
    #[garde(skip)]
    #[schema(value_type = ProductId)]
    product_id: i64,
    /// So many pieces.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000, example = 2)]
    quantity: u32,
}

/// Several products, or, for short, one.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewReservation, example = json!({"items": [{"productId": 1, "quantity": 2}], "expiresInSeconds": 900}))]
struct Reserve {
    /// What is to be held.
    #[garde(length(max = 100), dive)]
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<Line>,
    /// Instead of `items`, with `quantity`: the one product.
    #[garde(skip)]
    #[schema(value_type = Option<ProductId>)]
    product_id: Option<i64>,
    /// So many pieces of the one product.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: Option<u32>,
    /// For so long they are held; 15 minutes when not given.
    #[garde(range(min = 1, max = 604_800))]
    #[schema(minimum = 1, maximum = 604_800, example = 900)]
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
#[utoipa::path(
    post,
    path = "/api/v1/inventory/reserve",
    operation_id = "reserveStock",
    params(IdempotencyKey),
    request_body = Reserve,
    responses(
        (status = 201, body = ReservationView),
        (status = 404, description = "One of the products has no record, or none that the caller may hold pieces of."),
        (status = 409, description = "`insufficient-stock`: there is not enough of a product, and nothing is held.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn reserve(caller: Caller, Submitted { body, once }: Submitted<Reserve>) -> Result<Answer> {
    let hold_for = body.expires_in_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    reservations::reserve(&caller, &once, &body.lines()?, hold_for).await
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Release {
    /// The `id` that the reservation was answered with.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    reservation_id: i64,
}

/// Lets go what was held by hand; doing it again changes nothing. A supplier only where all of it is theirs.
#[utoipa::path(
    post,
    path = "/api/v1/inventory/release",
    operation_id = "releaseStock",
    request_body = Release,
    responses(
        (status = 200, body = ReservationView),
        (status = 404, description = "There is no such reservation, or none that the caller may release."),
        (status = 409, description = "`held-by-order`: it ends with its order: cancel that.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn release(caller: Caller, Json(body): Json<Release>) -> Result<Json<ReservationView>> {
    Ok(Json(reservations::release(&caller, body.reservation_id).await?))
}
