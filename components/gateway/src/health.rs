//! `GET /health`, `/readyz`, `/livez`: the shop is up when all of its services are.

use std::collections::BTreeMap;

use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Serialize, de::IgnoredAny};
use utoipa::ToSchema;
use web::Json;

use crate::services;

/// True for this moment only.
pub(crate) const NOW_ONLY: [(HeaderName, HeaderValue); 1] =
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];

/// The services without which the shop cannot sell. Without config no instance starts.
const NEEDED: [&str; 8] =
    ["accounts", "carts", "catalog", "config", "inventory", "notifications", "orders", "payments"];

#[derive(Serialize, Clone, Copy, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = HealthStatus)]
enum Status {
    /// It can.
    Up,
    /// It cannot.
    Down,
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// `up` when all services are.
    status: Status,
    /// Each service.
    #[schema(example = json!({"accounts": "up", "catalog": "up"}))]
    services: BTreeMap<&'static str, Status>,
}

/// 200 when every service is up, otherwise 503; which one is down stands in the body.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "getHealth",
    responses(
        (status = 200, body = Health, description = "Every service is up."),
        (status = 503, body = Health, description = "A service is down.")
    )
)]
pub(crate) async fn health() -> impl IntoResponse {
    answer().await
}

/// The same, under the name that Kubernetes gives it.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "getReadiness",
    responses(
        (status = 200, body = Health, description = "Every service is up."),
        (status = 503, body = Health, description = "A service is down.")
    )
)]
pub(crate) async fn ready() -> impl IntoResponse {
    answer().await
}

async fn answer() -> impl IntoResponse {
    let answers = services::ask::<IgnoredAny, _>(NEEDED, "/internal/health").await;
    let status = |up| if up { Status::Up } else { Status::Down };
    let services: BTreeMap<_, _> =
        answers.into_iter().map(|(service, answer)| (service, status(answer.is_some()))).collect();
    let up = services.values().all(|status| *status == Status::Up);
    let code = if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, NOW_ONLY, Json(Health { status: status(up), services }))
}

#[derive(Serialize, ToSchema)]
struct Alive {
    /// `up`.
    status: Status,
}

/// 200 while this component answers at all. Asks nobody: a service that is down is no reason to start the shop anew.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "getLiveness",
    responses((status = 200, body = Alive, description = "The process answers.", example = json!({"status": "up"})))
)]
pub(crate) async fn alive() -> impl IntoResponse {
    (NOW_ONLY, Json(Alive { status: Status::Up }))
}
