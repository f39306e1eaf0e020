//! What the relays of other components hand over.

use axum::{Router, extract::DefaultBodyLimit};
use events::{Batch, Receipt};
use web::{Error, Json, LONGEST_BATCH, Result};

use crate::publishing;

pub(crate) fn routes() -> Router {
    let take = web::post(events).layer(DefaultBodyLimit::max(LONGEST_BATCH));
    Router::new().route("/internal/events", take)
}

/// Publishes a batch of events; 503 while a broker takes nothing.
async fn events(body: axum::body::Bytes) -> Result<Json<Receipt>> {
    let batch: Batch =
        serde_json::from_slice(&body).map_err(|error| Error::Malformed(format!("not a batch of events: {error}")))?;
    Ok(Json(publishing::publish(&batch).await?))
}
