//! The order desk: `/api/products`, and writing them below `/api/admin`.

use axum::{Router, response::Response};
use http::StatusCode;
use model::ProductId;
use web::{
    Caller, Json, Path, Query, Result, Slice, Submitted, Viewer, WrittenJson, get, openapi::IdempotencyKey, post, put,
};

use crate::{
    product::{Narrowed, NewProduct, Product, ProductChange},
    products,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/products", get(list))
        .route("/api/products/{id}", get(show))
        .route("/api/admin/products", post(create))
        .route("/api/admin/products/{id}", put(update).merge(web::delete(remove)))
}

/// Products, the newest first; by price when prices are asked for.
#[utoipa::path(
    get,
    path = "/api/products",
    operation_id = "classicListProductsOfOrderDesk",
    params(Slice, Narrowed),
    responses((status = 200, body = Vec<Product>))
)]
async fn list(Query(slice): Query<Slice>, Query(narrowed): Query<Narrowed>) -> Result<WrittenJson> {
    let products = products::slice(slice, narrowed).await?;
    Ok(WrittenJson::list(products.iter().map(String::as_str)))
}

/// One product. What is not for sale is 404 but for its supplier and admins.
#[utoipa::path(
    get,
    path = "/api/products/{id}",
    operation_id = "classicGetProductOfOrderDesk",
    params(("id" = ProductId, Path)),
    responses((status = 200, body = Product)),
    security((), ("bearer" = []))
)]
async fn show(viewer: Viewer, Path(id): Path<ProductId>) -> Result<WrittenJson> {
    products::find(&viewer, id).await
}

/// 201 with the product.
#[utoipa::path(
    post,
    path = "/api/admin/products",
    operation_id = "classicCreateProductAsAdmin",
    params(IdempotencyKey),
    request_body = NewProduct,
    responses(
        (status = 201, body = Product, headers(("Location" = String, description = "The address of the product."))),
        (status = 409, description = "Another product has the SKU MUG-01.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn create(caller: Caller, submitted: Submitted<NewProduct>) -> Result<Response> {
    super::create(&caller, submitted, "/api/products").await
}

/// 200 with the product as it is now; what the body leaves out stays. 403 when it belongs to somebody else.
#[utoipa::path(
    put,
    path = "/api/admin/products/{id}",
    operation_id = "classicUpdateProductAsAdmin",
    params(("id" = ProductId, Path)),
    request_body = ProductChange,
    responses((status = 200, body = Product), (status = 409, description = "Another product has the SKU MUG-01.")),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn update(caller: Caller, Path(id): Path<ProductId>, Json(change): Json<ProductChange>) -> Result<WrittenJson> {
    products::update(&caller, id, change).await
}

/// 204. The product is withdrawn from sale: it is 404 from now on, and its SKU is free.
#[utoipa::path(
    delete,
    path = "/api/admin/products/{id}",
    operation_id = "classicDeleteProductAsAdmin",
    params(("id" = ProductId, Path)),
    responses((status = 204)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn remove(caller: Caller, Path(id): Path<ProductId>) -> Result<StatusCode> {
    products::delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
