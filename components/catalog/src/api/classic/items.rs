//! Items: products in other words.

use axum::{Router, response::IntoResponse};
use http::{StatusCode, header};
use model::ProductId;
use web::{
    Caller, Error, Json, Path, Query, Result, Slice, Submitted, Viewer, WrittenJson, get, openapi::IdempotencyKey, post,
};

use super::created;
use crate::{
    product::{Item, ItemChange, Narrowed, NewItem},
    products,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/items", get(list).merge(post(create)))
        .route("/api/items/{id}", get(show).merge(web::put(update)).merge(web::delete(remove)))
}

/// The same as an item, and its refusals in the family's words.
fn item(product: Result<WrittenJson>) -> Result<WrittenJson> {
    let WrittenJson(product) = product.map_err(named)?;
    Ok(WrittenJson(serde_json::to_string(&Item::read(&product)?)?))
}

fn named(error: Error) -> Error {
    if error == products::NO_PRODUCT { Error::not_found("item") } else { error }
}

/// Items, the newest first; by price when prices are asked for.
#[utoipa::path(
    get,
    path = "/api/items",
    operation_id = "classicListItems",
    params(Slice, Narrowed),
    responses((status = 200, body = Vec<Item>))
)]
async fn list(Query(slice): Query<Slice>, Query(narrowed): Query<Narrowed>) -> Result<impl IntoResponse> {
    let products = products::slice(slice, narrowed).await?;
    let items = products.iter().map(|product| Item::read(product));
    let body = serde_json::to_string(&items.collect::<serde_json::Result<Vec<_>>>()?)?;
    Ok(WrittenJson(body))
}

/// 201 with the item and its address.
#[utoipa::path(
    post,
    path = "/api/items",
    operation_id = "classicCreateItem",
    params(IdempotencyKey),
    request_body = NewItem,
    responses((status = 201, body = Item, headers(("Location" = String, description = "The address of the item.")))),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn create(caller: Caller, Submitted { body, once }: Submitted<NewItem>) -> Result<impl IntoResponse> {
    let answer = products::create(&caller, Submitted { body: body.into(), once }).await?;
    let location = format!("/api/items/{}", created(&answer)?);
    let product = answer.body().to_owned();
    Ok(([(header::LOCATION, location)], answer.with_body(&Item::read(&product)?)?))
}

/// One item. What is not for sale is 404 but for its supplier and admins.
#[utoipa::path(
    get,
    path = "/api/items/{id}",
    operation_id = "classicGetItem",
    params(("id" = ProductId, Path)),
    responses((status = 200, body = Item)),
    security((), ("bearer" = []))
)]
async fn show(viewer: Viewer, Path(id): Path<ProductId>) -> Result<WrittenJson> {
    item(products::find(&viewer, id).await)
}

/// 200 with the item as it is now; what the body leaves out stays. 403 when it belongs to somebody else.
#[utoipa::path(
    put,
    path = "/api/items/{id}",
    operation_id = "classicUpdateItem",
    params(("id" = ProductId, Path)),
    request_body = ItemChange,
    responses((status = 200, body = Item)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn update(caller: Caller, Path(id): Path<ProductId>, Json(change): Json<ItemChange>) -> Result<WrittenJson> {
    item(products::update(&caller, id, change.into()).await)
}

/// 204. The item is withdrawn from sale: it is 404 from now on.
#[utoipa::path(
    delete,
    path = "/api/items/{id}",
    operation_id = "classicDeleteItem",
    params(("id" = ProductId, Path)),
    responses((status = 204)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn remove(caller: Caller, Path(id): Path<ProductId>) -> Result<StatusCode> {
    products::delete(&caller, id).await.map_err(named)?;
    Ok(StatusCode::NO_CONTENT)
}
