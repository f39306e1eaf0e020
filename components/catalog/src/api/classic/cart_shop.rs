//! The cart shop: `/product`. Its `/products` is that of the micro family.

use axum::{Router, response::Response};
use garde::Validate;
use http::StatusCode;
use model::ProductId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, Json, Path, Result, Submitted, Viewer, WrittenJson, classic, get, openapi::IdempotencyKey, post};

use crate::{
    product::{NewProduct, Product, ProductChange},
    products,
};

/// Products whose stock one request may ask for.
const MOST_IDS: usize = 100;

pub(crate) fn routes() -> Router {
    let routes = Router::new()
        .route("/product", post(create))
        .route("/product/stock", post(stock))
        .route("/product/{id}", get(show).merge(web::patch(update)).merge(web::delete(remove)));
    classic::cart_shop(routes)
}

/// 201 with the product.
#[utoipa::path(
    post,
    path = "/product",
    operation_id = "classicCreateProduct",
    params(IdempotencyKey),
    request_body = NewProduct,
    responses(
        (status = 201, body = Product, headers(("Location" = String, description = "The address of the product."))),
        (status = 409, description = "Another product has the SKU MUG-01.")
    ),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn create(caller: Caller, submitted: Submitted<NewProduct>) -> Result<Response> {
    super::create(&caller, submitted, "/product").await
}

/// One product. What is not for sale is 404 but for its supplier and admins.
#[utoipa::path(
    get,
    path = "/product/{id}",
    operation_id = "classicGetProductOfCartShop",
    params(("id" = ProductId, Path)),
    responses((status = 200, body = Product), (status = 403, description = "Invalid token.")),
    security((), ("bearer" = []))
)]
async fn show(viewer: Viewer, Path(id): Path<ProductId>) -> Result<WrittenJson> {
    products::find(&viewer, id).await
}

/// 200 with the product as it is now; what the body leaves out stays. 403 when it belongs to somebody else.
#[utoipa::path(
    patch,
    path = "/product/{id}",
    operation_id = "classicUpdateProduct",
    params(("id" = ProductId, Path)),
    request_body = ProductChange,
    responses((status = 200, body = Product), (status = 409, description = "Another product has the SKU MUG-01.")),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn update(caller: Caller, Path(id): Path<ProductId>, Json(change): Json<ProductChange>) -> Result<WrittenJson> {
    products::update(&caller, id, change).await
}

/// The product is withdrawn from sale: it is 404 from now on, and its SKU is free.
#[utoipa::path(
    delete,
    path = "/product/{id}",
    operation_id = "classicDeleteProduct",
    params(("id" = ProductId, Path)),
    responses((status = 200, body = Object, example = json!({"message": "Product deleted successfully"}))),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn remove(caller: Caller, Path(id): Path<ProductId>) -> Result<Response> {
    products::delete(&caller, id).await?;
    Ok(classic::message(StatusCode::OK, "Product deleted successfully"))
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ClassicStockQuestion, example = json!({"ids": [1, 2]}))]
struct Ids {
    /// Of products.
    #[garde(length(max = MOST_IDS))]
    #[schema(value_type = Vec<ProductId>, max_items = 100)]
    ids: Vec<i64>,
}

/// How many pieces of a product can be ordered, as far as the catalog knows.
#[derive(Serialize, ToSchema)]
#[schema(as = ClassicStock)]
struct Stock {
    /// The product.
    id: ProductId,
    /// Pieces that can be ordered.
    #[schema(example = 120)]
    stock: u32,
}

/// How many pieces there are of several products, in the order of the question. Those that are not for sale are missing.
#[utoipa::path(
    post,
    path = "/product/stock",
    operation_id = "classicGetStockOfProducts",
    request_body = Ids,
    responses((status = 200, body = Vec<Stock>))
)]
async fn stock(Json(Ids { ids }): Json<Ids>) -> Result<Json<Vec<Stock>>> {
    if ids.is_empty() {
        return Ok(Json(Vec::new()));
    }
    let ids: Vec<_> = ids.into_iter().map(ProductId).collect();
    let mut found = products::offers(&ids).await?;
    found.sort_by_key(|offer| ids.iter().position(|id| *id == offer.id));
    Ok(Json(found.into_iter().map(|offer| Stock { id: offer.id, stock: offer.stock }).collect()))
}
