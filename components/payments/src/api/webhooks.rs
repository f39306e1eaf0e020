//! `/api/v1/payments/webhooks`: what providers tell by themselves. The signature is the sender's pass.

use axum::Router;
use http::{HeaderMap, StatusCode};
use web::{Path, RawJson, Result};

use crate::webhooks::{self, Message};

pub(crate) fn routes() -> Router {
    Router::new().route("/api/v1/payments/webhooks/{provider}", web::post(receive))
}

/// Takes a provider's message, signed after Standard Webhooks. Again, or about nothing of ours, it changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/payments/webhooks/{provider}",
    operation_id = "receivePaymentWebhook",
    params(
        ("provider" = String, Path, description = "Whose ids these are.", example = "stripe"),
        ("webhook-id" = String, Header, description = "The message's own.", example = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"),
        ("webhook-timestamp" = i64, Header, description = "When it was sent, in Unix seconds.", example = 1_795_420_800),
        ("webhook-signature" = String, Header, description = "Of id, time and body.",
            example = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=")
    ),
    request_body = Message,
    responses(
        (status = 204),
        (status = 401, description = "The signature or the time does not hold."),
        (status = 404, description = "The shop has no secret to check messages with, and takes none.")
    )
)]
async fn receive(Path(provider): Path<String>, headers: HeaderMap, RawJson(body): RawJson) -> Result<StatusCode> {
    webhooks::receive(&provider, &headers, &body).await?;
    Ok(StatusCode::NO_CONTENT)
}
