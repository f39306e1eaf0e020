//! Routes that every service offers to the rest of the shop, and to nobody else.

use axum::{Router, extract::DefaultBodyLimit};
use garde::Validate;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Database, Durability};

use crate::{
    Error, Json, Path, Query, Result, Service,
    audit::{self, Actor},
    handler, metrics,
    service::{self, Round},
};

/// A batch of events: at most as many as a relay sends (64), each as long as an order may get: 100 lines with names of 200
/// characters are 93 KiB.
pub const LONGEST_BATCH: usize = 8 * 1024 * 1024;
/// Parked copies that one request puts back in line.
const REPLAYED_AT_ONCE: u32 = 1000;

pub(crate) fn routes<S: Service>() -> Router {
    let router = Router::new().route("/internal/health", handler::get(health::<S>));
    if S::DATABASE.is_none() {
        return router;
    }
    router
        .route("/internal/metrics", handler::get(report::<S>))
        .route("/internal/tick", handler::post(tick::<S>))
        .route("/internal/events", handler::post(events::<S>).layer(DefaultBodyLimit::max(LONGEST_BATCH)))
        .route("/internal/parked", handler::get(parked::<S>))
        .route("/internal/parked/replay", handler::post(replay_all::<S>))
        .route("/internal/parked/{id}/replay", handler::post(replay::<S>))
        .route("/internal/audit/search", handler::post(search_audit::<S>))
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

/// What the service tells of itself, for the gateway's `/metrics`.
async fn report<S: Service>() -> Result<Json<metrics::Report>> {
    Ok(Json(metrics::report(database::<S>()?, S::gauges().await?).await?))
}

/// One bounded round of housekeeping: 204 when it is done, 202 when another one is running, which is as good as this one
/// only for what was there when it began.
async fn tick<S: Service>() -> Result<StatusCode> {
    Ok(match service::tick::<S>().await? {
        Round::Done => StatusCode::NO_CONTENT,
        Round::Running => StatusCode::ACCEPTED,
    })
}

/// Takes a batch of events from a relay: 503 while the database takes nothing, which is none of the events' fault.
async fn events<S: Service>(body: axum::body::Bytes) -> Result<Json<events::Receipt>> {
    let batch: events::Batch =
        serde_json::from_slice(&body).map_err(|error| Error::Malformed(format!("not a batch of events: {error}")))?;
    Ok(Json(events::receive(database::<S>()?, &batch, S::react, Error::is_outage_of_database).await?))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct ParkedQuery {
    /// Unix milliseconds and the id of the last one that is known.
    #[garde(skip)]
    after_time: Option<i64>,
    #[garde(skip)]
    after_id: Option<i64>,
    #[garde(range(min = 1, max = 101))]
    limit: Option<u32>,
}

/// Parked copies, oldest first.
async fn parked<S: Service>(Query(query): Query<ParkedQuery>) -> Result<Json<Vec<events::Parked>>> {
    let after = (query.after_time.unwrap_or(0), query.after_id.unwrap_or(0));
    Ok(Json(events::parked(database::<S>()?, after, query.limit.unwrap_or(100)).await?))
}

/// Puts a parked copy back in line; again changes nothing. The body says who wants it, when a person does.
async fn replay<S: Service>(Path(id): Path<i64>, actor: Option<Json<Actor>>) -> Result<StatusCode> {
    let replayed = database::<S>()?
        .transaction(Durability::Durable, async |transaction| {
            let replayed = events::replay(transaction, id).await?;
            if let (Some(true), Some(Json(actor))) = (replayed, &actor) {
                audit::record_all(transaction, actor, "event.replayed", &[(format!("event/{id}"), json!({}))]).await?;
            }
            Ok::<_, Error>(replayed)
        })
        .await?;
    replayed.map(|_| StatusCode::NO_CONTENT).ok_or(Error::not_found("parked event"))
}

/// How many copies are back in line.
#[derive(Serialize)]
struct Replayed {
    replayed: usize,
}

/// Puts the oldest parked copies back in line.
async fn replay_all<S: Service>(actor: Option<Json<Actor>>) -> Result<Json<Replayed>> {
    let replayed = database::<S>()?
        .transaction(Durability::Durable, async |transaction| {
            let replayed = events::replay_all(transaction, REPLAYED_AT_ONCE).await?;
            if let (1.., Some(Json(actor))) = (replayed, &actor) {
                let done = (format!("events/{}", S::NAME), json!({ "count": replayed }));
                audit::record_all(transaction, actor, "events.replayed", &[done]).await?;
            }
            Ok::<_, Error>(replayed)
        })
        .await?;
    Ok(Json(Replayed { replayed }))
}

/// What admins did here, newest first.
async fn search_audit<S: Service>(Json(search): Json<audit::Search>) -> Result<Json<Vec<audit::Entry>>> {
    Ok(Json(audit::search(database::<S>()?, &search).await?))
}
