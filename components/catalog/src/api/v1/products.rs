//! `/api/v1/products`.

use std::collections::BTreeMap;

use axum::{Router, response::IntoResponse};
use http::{StatusCode, header};
use model::ProductId;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{
    Caller, Json, PageQuery, Path, Query, Result, Submitted, Viewer, WrittenJson, get, openapi::IdempotencyKey, post,
};

use crate::{
    product::{Filter, NewProduct, Product, ProductChange},
    products,
    repository::facets::Counted,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/v1/products", post(create).merge(get(list)))
        .route("/api/v1/products/{id}", get(show).merge(web::put(update)).merge(web::delete(remove)))
}

/// 201 with the product and its address. 403 unless the caller sells, 409 when the SKU is taken.
#[utoipa::path(
    post,
    path = "/api/v1/products",
    operation_id = "createProduct",
    params(IdempotencyKey),
    request_body = NewProduct,
    responses(
        (status = 201, body = Product, headers(("Location" = String, description = "The address of the product."))),
        (status = 409, description = "`sku-taken`: another product has the SKU.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn create(caller: Caller, submitted: Submitted<NewProduct>) -> Result<impl IntoResponse> {
    #[derive(Deserialize)]
    struct Created {
        id: ProductId,
    }
    let answer = products::create(&caller, submitted).await?;
    let Created { id } = serde_json::from_str(answer.body())?;
    Ok(([(header::LOCATION, format!("/api/v1/products/{id}"))], answer))
}

/// One page of a list of products. It is written from products that are JSON already.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "this is its schema")]
pub(super) struct ProductPage {
    /// The products, in the order of the list.
    items: Vec<Product>,
    /// Where to go on; absent on the last page.
    #[schema(example = "eyJOZXdlc3QiOjE3fQ")]
    next_cursor: Option<String>,
    /// What was asked to be counted, under the names it was asked for.
    #[schema(example = json!({"category": [{"value": "kitchen", "count": 3}], "price": {"min": 9.99, "max": 79.99}}))]
    facets: Option<BTreeMap<String, Counted>>,
}

/// A page of products, in the order of `sort`: without it by how well a search fits, cheapest first when prices are
/// asked for, newest first otherwise.
///
/// Any parameter `metadata.<path>=<value>` narrows the list to products whose metadata has the value at the path, such as
/// `metadata.size.eu=42`: up to five.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    operation_id = "listProducts",
    params(PageQuery, Filter),
    responses(
        (status = 200, body = ProductPage),
        (status = 403, description = "The products that are not for sale are shown to their supplier and admins.")
    ),
    security((), ("bearer" = []))
)]
async fn list(viewer: Viewer, Query(page): Query<PageQuery>, Query(filter): Query<Filter>) -> Result<WrittenJson> {
    products::list(&viewer, &page, filter).await
}

/// One product. What is not for sale is 404 but for its supplier and admins.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}",
    operation_id = "getProduct",
    params(("id" = ProductId, Path)),
    responses((status = 200, body = Product)),
    security((), ("bearer" = []))
)]
async fn show(viewer: Viewer, Path(id): Path<ProductId>) -> Result<WrittenJson> {
    products::find(&viewer, id).await
}

/// 200 with the product as it is now; what the body leaves out stays. 403 when it belongs to somebody else.
#[utoipa::path(
    put,
    path = "/api/v1/products/{id}",
    operation_id = "updateProduct",
    params(("id" = ProductId, Path)),
    request_body = ProductChange,
    responses(
        (status = 200, body = Product),
        (status = 409, description = "`sku-taken`: another product has the SKU.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn update(caller: Caller, Path(id): Path<ProductId>, Json(change): Json<ProductChange>) -> Result<WrittenJson> {
    products::update(&caller, id, change).await
}

/// 204. The product is withdrawn from sale: it is 404 from now on, and its SKU is free.
#[utoipa::path(
    delete,
    path = "/api/v1/products/{id}",
    operation_id = "deleteProduct",
    params(("id" = ProductId, Path)),
    responses((status = 204)),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn remove(caller: Caller, Path(id): Path<ProductId>) -> Result<StatusCode> {
    products::delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
