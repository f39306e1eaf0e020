//! Micro: `/products`, which the cart shop reads, too, and `/categories`.

use axum::{
    Router,
    response::{IntoResponse, Response},
};
use http::header;
use model::{CategoryId, ProductId};
use serde::Deserialize;
use web::{
    Caller, Json, Path, Query, Result, Slice, Submitted, Viewer, WrittenJson, get, openapi::IdempotencyKey, post,
};

use crate::{
    categories,
    category::{Category, NewCategory},
    product::{Narrowed, NewProduct, Product},
    products,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/products", get(list).merge(post(create)))
        .route("/products/{id}", get(show))
        .route("/categories", get(list_categories).merge(post(create_category)))
}

/// Products, the newest first; by price when prices are asked for.
#[utoipa::path(
    get,
    path = "/products",
    tags = ["classic: cart shop"],
    operation_id = "classicListProducts",
    params(Slice, Narrowed),
    responses((status = 200, body = Vec<Product>))
)]
async fn list(Query(slice): Query<Slice>, Query(narrowed): Query<Narrowed>) -> Result<WrittenJson> {
    let products = products::slice(slice, narrowed).await?;
    Ok(WrittenJson::list(products.iter().map(String::as_str)))
}

/// 201 with the product.
#[utoipa::path(
    post,
    path = "/products",
    operation_id = "classicCreateProductOfMicro",
    params(IdempotencyKey),
    request_body = NewProduct,
    responses(
        (status = 201, body = Product, headers(("Location" = String, description = "The address of the product."))),
        (status = 409, description = "Another product has the SKU MUG-01.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn create(caller: Caller, submitted: Submitted<NewProduct>) -> Result<Response> {
    super::create(&caller, submitted, "/products").await
}

/// One product. What is not for sale is 404 but for its supplier and admins.
#[utoipa::path(
    get,
    path = "/products/{id}",
    operation_id = "classicGetProduct",
    params(("id" = ProductId, Path)),
    responses((status = 200, body = Product)),
    security((), ("bearer" = []))
)]
async fn show(viewer: Viewer, Path(id): Path<ProductId>) -> Result<WrittenJson> {
    products::find(&viewer, id).await
}

/// Categories, by id.
#[utoipa::path(
    get,
    path = "/categories",
    operation_id = "classicListCategories",
    params(Slice),
    responses((status = 200, body = Vec<Category>))
)]
async fn list_categories(Query(slice): Query<Slice>) -> Result<Json<Vec<Category>>> {
    categories::slice(slice).await.map(Json)
}

/// 201 with the category. Only admins: these clients give suppliers products, and nothing else.
#[utoipa::path(
    post,
    path = "/categories",
    operation_id = "classicCreateCategory",
    params(IdempotencyKey),
    request_body = NewCategory,
    responses(
        (status = 201, body = Category, headers(("Location" = String, description = "The address of the category."))),
        (status = 409, description = "Another category has the slug kitchen.")
    ),
    security(("bearer" = ["admin"]))
)]
async fn create_category(caller: Caller, submitted: Submitted<NewCategory>) -> Result<impl IntoResponse> {
    #[derive(Deserialize)]
    struct Created {
        id: CategoryId,
    }
    caller.must_administer()?;
    let answer = categories::create(&caller, submitted).await?;
    let Created { id } = serde_json::from_str(answer.body())?;
    Ok(([(header::LOCATION, format!("/api/v1/categories/{id}"))], answer))
}
