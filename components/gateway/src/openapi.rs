//! `GET /openapi.json`: what all services together can do, as their handlers say it.

use axum::response::IntoResponse;
use http::{HeaderValue, header};

const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));
const ETAG: HeaderValue = HeaderValue::from_static(include_str!(concat!(env!("OUT_DIR"), "/openapi.etag")));
/// It changes only with the shop.
const FIVE_MINUTES: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenapi",
    responses((
        status = 200,
        body = Object,
        content_type = "application/json",
        description = "OpenAPI 3.1.",
        headers(("Cache-Control" = String, description = "For how long it need not be asked for again.")),
        example = json!({"openapi": "3.1.0", "info": {"title": "Bodega", "version": "0.1.0"}, "paths": {}})
    ))
)]
pub(crate) async fn document() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, FIVE_MINUTES),
        (header::ETAG, ETAG),
    ];
    (headers, DOCUMENT)
}
