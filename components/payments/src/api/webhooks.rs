//! `/api/v1/payments/webhooks`: what providers tell by themselves. The signature is the sender's pass.

use axum::Router;
use http::{HeaderMap, StatusCode};
use web::{Path, RawJson, Result};

use crate::webhooks;

pub(crate) fn routes() -> Router {
    Router::new().route("/api/v1/payments/webhooks/{provider}", web::post(receive))
}

/// Takes one message: 204, also when it has come before or is about nothing of ours. 401 for a signature or a time that
/// does not hold, 503 when it should come again.
async fn receive(Path(provider): Path<String>, headers: HeaderMap, RawJson(body): RawJson) -> Result<StatusCode> {
    webhooks::receive(&provider, &headers, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}
