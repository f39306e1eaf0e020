//! `GET /metrics`, for Prometheus.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use web::{Error, Result, metrics::Report, variable};

use crate::{exposition, health::NOW_ONLY, services, token};

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What all services count and know of themselves, for Prometheus. When the shop's variable `metrics_token` is set, it is
/// the token; otherwise none is needed. A service that does not answer is `bodega_up 0`, and the rest is there.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    responses((
        status = 200,
        body = String,
        content_type = "text/plain",
        description = "Prometheus' text format, version 0.0.4.",
        headers(("Cache-Control" = String, description = "`no-store`: it is true for this moment.")),
        example = "bodega_up{service=\"orders\"} 1"
    )),
    security((), ("bearer" = []))
)]
pub(crate) async fn metrics(headers: HeaderMap) -> Result<Response> {
    if let Some(token) = variable::get("metrics_token").await?
        && !token::carries(&headers, &token)
    {
        return Err(Error::Unauthenticated("metrics want their token"));
    }
    let text = exposition::write(&services::ask::<Report, _>(services::SERVICES, "/internal/metrics").await);
    Ok((NOW_ONLY, [(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
