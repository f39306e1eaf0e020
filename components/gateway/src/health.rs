//! `GET /health`: the shop is up when all of its services are.

use std::{collections::BTreeMap, time::Duration};

use axum::response::IntoResponse;
use futures::future::{Either, join_all, select};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, de::IgnoredAny};
use utoipa::ToSchema;
use web::{Json, client};

/// The services without which the shop cannot sell.
pub(crate) const SERVICES: [&str; 7] =
    ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
/// A service that takes longer to say that it is up is not. Shorter than the patience of those who watch the shop.
const PATIENCE: Duration = Duration::from_secs(2);

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
    let statuses = join_all(SERVICES.map(status)).await;
    let services: BTreeMap<_, _> = SERVICES.into_iter().zip(statuses).collect();
    let up = services.values().all(|status| *status == Status::Up);
    let (code, status) =
        if up { (StatusCode::OK, Status::Up) } else { (StatusCode::SERVICE_UNAVAILABLE, Status::Down) };
    let now_only = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (code, now_only, Json(Health { status, services }))
}

async fn status(service: &'static str) -> Status {
    let answer = Box::pin(client::get::<IgnoredAny>(service, "/internal/health"));
    match select(answer, Box::pin(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((Ok(Some(_)), _)) => Status::Up,
        _ => Status::Down,
    }
}
