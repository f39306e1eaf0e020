//! `POST /tick`: one round of housekeeping in every service, for a timer outside of the shop: a Kubernetes CronJob, or
//! whatever else calls again and again. Spin has no timer of its own.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use axum::response::IntoResponse;
use bytes::Bytes;
use futures::future::{Either, join_all, select};
use http::{HeaderMap, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Error, Json, Result, variable};

use crate::{services::SERVICES, token};

/// Longer than a relay waits for a subscriber: a round that is given up is one that does not count its attempts.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Clone, Copy, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Round {
    /// It has done its round.
    Done,
    /// It is doing one that has begun before.
    Running,
    /// It has not, or not in time: the next round makes up for it.
    Failed,
}

#[derive(Serialize, ToSchema)]
struct Rounds {
    /// Each service.
    #[schema(example = json!({"accounts": "done", "catalog": "done"}))]
    services: BTreeMap<&'static str, Round>,
}

/// A round of housekeeping in every service. The token is not that of a sign-in, but the shop's variable `tick_token`; while
/// that is empty, there is no such route.
#[utoipa::path(
    post,
    path = "/tick",
    operation_id = "tick",
    responses(
        (status = 200, body = Rounds, description = "Every service has done its round, or is doing one."),
        (status = 404),
        (status = 503, body = Rounds, description = "A service has not done its round.")
    ),
    security((), ("bearer" = []))
)]
pub(crate) async fn tick(headers: HeaderMap) -> Result<impl IntoResponse> {
    let Some(token) = variable::get("tick_token").await? else {
        return Err(Error::NoRoute("POST /tick".to_owned()));
    };
    if !token::carries(&headers, &token) {
        return Err(Error::Unauthenticated("a tick wants its token"));
    }
    let rounds = join_all(SERVICES.map(round)).await;
    let services: BTreeMap<_, _> = SERVICES.into_iter().zip(rounds).collect();
    let failed = services.values().any(|round| *round == Round::Failed);
    Ok((if failed { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, Json(Rounds { services })))
}

async fn round(service: &'static str) -> Round {
    let uri = format!("http://{service}.spin.internal/internal/tick");
    let Ok(request) = http::Request::post(uri).body(Full::new(Bytes::new())) else { return Round::Failed };
    match select(pin!(spin_sdk::http::send(request)), pin!(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((Ok(response), _)) if response.status() == StatusCode::ACCEPTED => return Round::Running,
        Either::Left((Ok(response), _)) if response.status().is_success() => return Round::Done,
        Either::Left((Ok(response), _)) => eprintln!("error: tick of {service}: {}", response.status()),
        Either::Left((Err(error), _)) => eprintln!("error: tick of {service}: {error}"),
        Either::Right(_) => eprintln!("error: tick of {service}: no answer within {} s", PATIENCE.as_secs()),
    }
    Round::Failed
}
