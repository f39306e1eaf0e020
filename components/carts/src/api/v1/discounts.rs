//! `/api/v1/discounts`, for admins.

use axum::{Router, response::IntoResponse};
use http::{StatusCode, header};
use web::{Caller, Json, Page, PageQuery, Path, Query, Result, Submitted, openapi::IdempotencyKey};

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
#[utoipa::path(
    post,
    path = "/api/v1/discounts",
    operation_id = "createDiscount",
    params(IdempotencyKey),
    request_body = NewDiscount,
    responses(
        (status = 201, body = Discount, headers(("Location" = String, description = "The address of the discount."))),
        (status = 409, description = "`discount-exists`: there is a discount with this code.")
    ),
    security(("bearer" = ["admin"]))
)]
async fn create(caller: Caller, Submitted { body, once }: Submitted<NewDiscount>) -> Result<impl IntoResponse> {
    let location = format!("/api/v1/discounts/{}", body.code.as_str());
    Ok(([(header::LOCATION, location)], discounts::create(&caller, &once, body).await?))
}

/// All discounts, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/discounts",
    operation_id = "listDiscounts",
    params(PageQuery),
    responses((status = 200, body = Page<Discount>)),
    security(("bearer" = ["admin"]))
)]
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<Discount>>> {
    discounts::list(&caller, &page).await.map(Json)
}

/// One discount, with how often it was used.
#[utoipa::path(
    get,
    path = "/api/v1/discounts/{code}",
    operation_id = "getDiscount",
    params(("code" = String, Path, description = "The code.", example = "SPRING-10")),
    responses((status = 200, body = Discount)),
    security(("bearer" = ["admin"]))
)]
async fn get(caller: Caller, Path(code): Path<String>) -> Result<Json<Discount>> {
    discounts::get(&caller, &code).await.map(Json)
}

/// Changes what the body names; `null` removes a limit. Orders that were placed with the code keep their price.
#[utoipa::path(
    put,
    path = "/api/v1/discounts/{code}",
    operation_id = "updateDiscount",
    params(("code" = String, Path, description = "The code.", example = "SPRING-10")),
    request_body = DiscountChange,
    responses((status = 200, body = Discount)),
    security(("bearer" = ["admin"]))
)]
async fn update(
    caller: Caller,
    Path(code): Path<String>,
    Json(change): Json<DiscountChange>,
) -> Result<Json<Discount>> {
    discounts::update(&caller, &code, change).await.map(Json)
}

/// 204. Nobody can use the code any more.
#[utoipa::path(
    delete,
    path = "/api/v1/discounts/{code}",
    operation_id = "deleteDiscount",
    params(("code" = String, Path, description = "The code.", example = "SPRING-10")),
    responses((status = 204)),
    security(("bearer" = ["admin"]))
)]
async fn delete(caller: Caller, Path(code): Path<String>) -> Result<StatusCode> {
    discounts::delete(&caller, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}
