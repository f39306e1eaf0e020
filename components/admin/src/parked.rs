//! Events that a subscriber has refused until they were given up.

use model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Caller, Error, PageQuery, Result, audit::Actor, client};

use crate::{
    merge::{self, Merged, Order, Place, behind},
    services,
};

const NO_SERVICE: Error = Error::not_found("service");
const NO_EVENT: Error = Error::not_found("parked event");

/// A copy of an event that was given up. Not what the event says: that may be a card's token.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ParkedEvent)]
pub(crate) struct Parked {
    #[schema(minimum = 1)]
    id: i64,
    /// Who has refused it.
    #[schema(example = "inventory")]
    subscriber: String,
    #[schema(example = "order/17")]
    subject: String,
    attempts: i64,
    parked_at: Timestamp,
    #[schema(example = "503")]
    last_error: Option<String>,
    event: Happened,
}

/// The event itself, without its data.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ParkedEnvelope)]
struct Happened {
    #[schema(example = "01890000-0000-7000-8000-000000000000")]
    event_id: String,
    #[schema(example = "ORDER_PAID")]
    event_type: String,
    event_version: u32,
    occurred_at: Timestamp,
    #[schema(example = "orders")]
    producer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    traceparent: Option<String>,
}

/// What is parked in a service, or in all, oldest first.
pub(crate) async fn list(caller: &Caller, service: &str, query: &PageQuery) -> Result<Merged<Parked>> {
    caller.must_administer()?;
    let services = services::meant(service)?;
    let after: Option<Place> = query.after()?;
    let answers = services::ask(&services, async |service| {
        let (time, id) = after.as_ref().map_or((0, 0), |place| behind(place, service));
        let path = format!("/internal/parked?afterTime={time}&afterId={id}&limit={}", query.limit() + 1);
        client::get::<Vec<Parked>>(service, &path).await?.ok_or(Error::Unavailable(service.into()))
    })
    .await;
    merge::page(answers, Order::OldestFirst, query.limit(), |parked| (parked.parked_at.0, parked.id))
}

/// Has a service deliver a parked event again. Again changes nothing.
pub(crate) async fn replay(caller: &Caller, service: &str, id: i64) -> Result<()> {
    caller.must_administer()?;
    let service = services::named(service).ok_or(NO_SERVICE)?;
    let replayed = client::post(service, &format!("/internal/parked/{id}/replay"), &Actor::from(caller)).await?;
    replayed.ok_or(NO_EVENT)
}

/// How many events are delivered again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Replayed {
    replayed: u64,
}

/// Has a service deliver all that it has parked again, the oldest thousand.
pub(crate) async fn replay_all(caller: &Caller, service: &str) -> Result<Replayed> {
    caller.must_administer()?;
    let service = services::named(service).ok_or(NO_SERVICE)?;
    let replayed = client::post(service, "/internal/parked/replay", &Actor::from(caller)).await?;
    replayed.ok_or(Error::Unavailable(service.into()))
}
