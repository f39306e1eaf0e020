//! `/api/v1/products`.

use axum::{Router, response::IntoResponse};
use http::{StatusCode, header};
use model::ProductId;
use serde::Deserialize;
use web::{Caller, Json, PageQuery, Path, Query, Result, Submitted, Viewer, WrittenJson, get, post};

use crate::{
    product::{Filter, NewProduct, ProductChange},
    products,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/v1/products", post(create).merge(get(list)))
        .route("/api/v1/products/{id}", get(show).merge(web::put(update)).merge(web::delete(remove)))
}

/// 201 with the product and its address. 403 unless the caller sells, 409 when the SKU is taken.
async fn create(caller: Caller, submitted: Submitted<NewProduct>) -> Result<impl IntoResponse> {
    #[derive(Deserialize)]
    struct Created {
        id: ProductId,
    }
    let answer = products::create(&caller, submitted).await?;
    let Created { id } = serde_json::from_str(answer.body())?;
    Ok(([(header::LOCATION, format!("/api/v1/products/{id}"))], answer))
}

/// A page of products, in the order of `sort`: without it by how well a search fits, cheapest first when prices are
/// asked for, newest first otherwise.
async fn list(viewer: Viewer, Query(page): Query<PageQuery>, Query(filter): Query<Filter>) -> Result<WrittenJson> {
    products::list(&viewer, &page, filter).await
}

/// One product. What is not for sale is 404 but for its supplier and admins.
async fn show(viewer: Viewer, Path(id): Path<ProductId>) -> Result<WrittenJson> {
    products::find(&viewer, id).await
}

/// 200 with the product as it is now; what the body leaves out stays. 403 when it belongs to somebody else.
async fn update(caller: Caller, Path(id): Path<ProductId>, Json(change): Json<ProductChange>) -> Result<WrittenJson> {
    products::update(&caller, id, change).await
}

/// 204. The product is withdrawn from sale: it is 404 from now on, and its SKU is free.
async fn remove(caller: Caller, Path(id): Path<ProductId>) -> Result<StatusCode> {
    products::delete(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
