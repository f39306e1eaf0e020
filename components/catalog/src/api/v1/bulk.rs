//! `/api/v1/products/import` and `/export`.

use axum::{Router, extract::Request, response::IntoResponse};
use web::{Caller, Lines, Ndjson, Result, get, post};

use crate::bulk;

pub(crate) fn routes() -> Router {
    Router::new().route("/api/v1/products/import", post(import)).route("/api/v1/products/export", get(export))
}

/// A product a line comes in, known by its SKU; what became of each goes out, a line each, in order.
#[utoipa::path(
    post,
    path = "/api/v1/products/import",
    operation_id = "importProducts",
    request_body(
        content = String,
        content_type = "application/x-ndjson",
        description = "A product a line, as in `POST /products`, with its `sku`.",
        example = "{\"sku\":\"MUG-01\",\"name\":\"Stoneware mug\",\"description\":\"Holds 350 ml\",\"price\":14.5,\"stock\":120}\n"
    ),
    responses((
        status = 200,
        body = String,
        content_type = "application/x-ndjson",
        description = "What became of each line: `{line, status, id?, sku?, error?}` with the status `created`, `updated`, `unchanged` or `failed`.",
        example = "{\"line\":1,\"status\":\"created\",\"id\":1,\"sku\":\"MUG-01\"}\n"
    )),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn import(caller: Caller, request: Request) -> Result<impl IntoResponse> {
    caller.must_sell()?;
    Ok(Ndjson(bulk::import(caller, Lines::of(request)?)))
}

/// A product a line: the caller's own; all, for an admin.
#[utoipa::path(
    get,
    path = "/api/v1/products/export",
    operation_id = "exportProducts",
    responses((
        status = 200,
        body = String,
        content_type = "application/x-ndjson",
        description = "A product a line.",
        example = "{\"id\":1,\"name\":\"Stoneware mug\",\"description\":\"Holds 350 ml\",\"price\":14.5,\"currency\":\"EUR\",\"stock\":120,\"category\":\"kitchen\",\"categoryId\":null,\"sku\":\"MUG-01\",\"upc\":null,\"images\":[],\"metadata\":{},\"status\":\"active\",\"supplierId\":1,\"createdAt\":\"2026-11-23T08:00:00.000Z\",\"updatedAt\":\"2026-11-23T08:00:00.000Z\"}\n"
    )),
    security(("bearer" = ["supplier", "admin"]))
)]
async fn export(caller: Caller) -> Result<impl IntoResponse> {
    caller.must_sell()?;
    Ok(Ndjson(bulk::export(&caller)))
}
