//! `/api/v1/discounts`, for admins.

use axum::{Router, response::IntoResponse};
use http::{StatusCode, header};
use web::{Caller, Json, Page, PageQuery, Path, Query, Result, Submitted};

use crate::{
    discount::{Discount, DiscountChange, NewDiscount},
    discounts,
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/api/v1/discounts", web::get(list).merge(web::post(create)))
        .route("/api/v1/discounts/{code}", web::get(get).merge(web::put(update)).merge(web::delete(delete)))
}

/// 201 with the discount and its address; 409 when there is one with its code.
async fn create(caller: Caller, Submitted { body, once }: Submitted<NewDiscount>) -> Result<impl IntoResponse> {
    let location = format!("/api/v1/discounts/{}", body.code.as_str());
    Ok(([(header::LOCATION, location)], discounts::create(&caller, &once, body).await?))
}

/// All discounts, newest first.
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<Discount>>> {
    discounts::list(&caller, &page).await.map(Json)
}

/// One discount, with how often it was used.
async fn get(caller: Caller, Path(code): Path<String>) -> Result<Json<Discount>> {
    discounts::get(&caller, &code).await.map(Json)
}

/// Changes what the body names; `null` removes a limit. Orders that were placed with the code keep their price.
async fn update(
    caller: Caller,
    Path(code): Path<String>,
    Json(change): Json<DiscountChange>,
) -> Result<Json<Discount>> {
    discounts::update(&caller, &code, change).await.map(Json)
}

/// 204. Nobody can use the code any more.
async fn delete(caller: Caller, Path(code): Path<String>) -> Result<StatusCode> {
    discounts::delete(&caller, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}
