//! The bridge's own HTTP: `/metrics`, `/health`, and `/emails` if it sends mails.

use anyhow::{Context, Result};
use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{config, status::Status};

/// Serves until it is told to stop, and what has come until then to its end.
///
/// # Errors
///
/// If it cannot listen.
pub async fn serve(config: &config::Http, status: Status, further: Router, stop: CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("http.listen: cannot listen at {}", config.listen))?;
    let router =
        Router::new().route("/health", get(health)).route("/metrics", get(metrics)).with_state(status).merge(further);
    axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await }).await?;
    Ok(())
}

/// 200 when every side is connected, and which ones are.
async fn health(State(status): State<Status>) -> impl IntoResponse {
    let sides = status.sides();
    let well = sides.values().all(|up| *up);
    let word = |up: bool| if up { "up" } else { "down" };
    let named: serde_json::Map<_, _> = sides.iter().map(|(name, up)| (name.to_string(), word(*up).into())).collect();
    let code = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(json!({"status": word(well), "sides": named})))
}

async fn metrics(State(status): State<Status>) -> impl IntoResponse {
    match status.metrics() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}
