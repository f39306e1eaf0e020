//! `GET /health`, `/readyz`, `/livez`: the shop is up when all of its services are.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, StatusCode, header};
use model::Timestamp;
use serde::{Serialize, de::IgnoredAny};
use store::Turns;
use utoipa::ToSchema;
use web::Json;

use crate::services;

/// For so long an instance says again that all are up: everybody may ask as often as he likes, and each time it would ask
/// every service.
const FRESH: Duration = Duration::from_secs(1);
/// And for so long that one is not, to those who have waited for that.
const FRESH_FAILURE: Duration = Duration::from_millis(100);

type Services = BTreeMap<&'static str, Status>;

thread_local! {
    /// What the services have said, and until when that is told.
    static HEARD: RefCell<Option<(Timestamp, Services)>> = const { RefCell::new(None) };
    static ASKING: Rc<Turns> = Turns::new(1);
}

/// Nobody else may keep it.
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

/// What is known, or what the services say now. Those who come meanwhile wait for that.
async fn services() -> Services {
    let _one_at_a_time = ASKING.with(Rc::clone).take().await;
    let known = |(until, services): &(Timestamp, Services)| (Timestamp::now() < *until).then(|| services.clone());
    if let Some(known) = HEARD.with_borrow(|heard| heard.as_ref().and_then(known)) {
        return known;
    }
    let answers = services::ask::<IgnoredAny, _>(NEEDED, "/internal/health").await;
    let services: Services = answers.into_iter().map(|(service, answer)| (service, status(answer.is_some()))).collect();
    let fresh = if all_up(&services) { FRESH } else { FRESH_FAILURE };
    HEARD.set(Some((Timestamp::now().after(fresh), services.clone())));
    services
}

fn all_up(services: &Services) -> bool {
    services.values().all(|status| *status == Status::Up)
}

fn status(up: bool) -> Status {
    if up { Status::Up } else { Status::Down }
}

async fn answer() -> impl IntoResponse {
    let services = services().await;
    let up = all_up(&services);
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
