//! Routes that every service offers to the rest of the shop, and to nobody else.

use axum::{Router, extract::DefaultBodyLimit};
use garde::Validate;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::Database;

use crate::{Error, Json, Path, Query, Result, Service, handler, service};

/// A batch of events: at most as many as a relay sends, each as long as an order may get.
const LONGEST_BATCH: usize = 4 * 1024 * 1024;

pub(crate) fn routes<S: Service>() -> Router {
    let router = Router::new().route("/internal/health", handler::get(health::<S>));
    if S::DATABASE.is_none() {
        return router;
    }
    router
        .route("/internal/tick", handler::post(tick::<S>))
        .route("/internal/events", handler::post(events::<S>).layer(DefaultBodyLimit::max(LONGEST_BATCH)))
        .route("/internal/parked", handler::get(parked::<S>))
        .route("/internal/parked/{id}/replay", handler::post(replay::<S>))
}

fn database<S: Service>() -> Result<&'static Database> {
    S::DATABASE.ok_or(Error::not_found("database"))
}

#[derive(Serialize)]
struct Health {
    service: &'static str,
    status: &'static str,
}

/// Up when the database answers.
async fn health<S: Service>() -> Result<Json<Health>> {
    if let Some(database) = S::DATABASE {
        database.query("SELECT 1", store::params![]).await?;
    }
    Ok(Json(Health { service: S::NAME, status: "up" }))
}

/// One bounded round of housekeeping.
async fn tick<S: Service>() -> Result<StatusCode> {
    service::tick::<S>().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a batch of events from a relay.
async fn events<S: Service>(body: axum::body::Bytes) -> Result<Json<events::Receipt>> {
    let batch: events::Batch =
        serde_json::from_slice(&body).map_err(|error| Error::Malformed(format!("not a batch of events: {error}")))?;
    Ok(Json(events::receive(database::<S>()?, &batch, S::react).await))
}

#[derive(Deserialize, Validate)]
struct ParkedQuery {
    #[garde(skip)]
    after: Option<i64>,
}

/// Up to 100 parked copies, oldest first; go on with `?after=` the last id.
async fn parked<S: Service>(Query(query): Query<ParkedQuery>) -> Result<Json<Vec<events::Parked>>> {
    Ok(Json(events::parked(database::<S>()?, query.after.unwrap_or(0), 100).await?))
}

/// Puts a parked copy back in line.
async fn replay<S: Service>(Path(id): Path<i64>) -> Result<StatusCode> {
    if events::replay(database::<S>()?, id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Error::not_found("parked event"))
    }
}
