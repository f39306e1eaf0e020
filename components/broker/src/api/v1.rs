//! `/api/v1/events`: events of others. The signature is the sender's pass.

use axum::Router;
use http::{HeaderMap, StatusCode};
use web::{RawJson, Result};

use crate::ingest::{self, Foreign, Taken};

pub(crate) fn routes() -> Router {
    Router::new().route("/api/v1/events", web::post(receive))
}

/// Takes an event of somebody else, signed after Standard Webhooks. `PAYMENT_SUCCEEDED` and `PAYMENT_FAILED` of an external
/// processor settle the order. Again, an event changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/events",
    operation_id = "receiveEvent",
    tag = "events",
    params(
        ("webhook-id" = String, Header, description = "The message's own.", example = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"),
        ("webhook-timestamp" = i64, Header, description = "When it was sent, in Unix seconds.", example = 1_795_420_800),
        ("webhook-signature" = String, Header, description = "Of id, time and body.",
            example = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=")
    ),
    request_body = Foreign,
    responses(
        (status = 204, description = "It has had its effect, now or earlier."),
        (status = 202, description = "It is none of the shop's business, or its own, and changes nothing."),
        (status = 401, description = "The signature or the time does not hold."),
        (status = 404, description = "The shop has no secret to check events with, and takes none."),
        (status = 409, description = "The order is paid already, or does not wait for money."),
        (status = 422, description = "Something of it is missing, or is not what the order is about.")
    )
)]
async fn receive(headers: HeaderMap, RawJson(body): RawJson) -> Result<StatusCode> {
    Ok(match ingest::receive(&headers, &body).await? {
        Taken::Done => StatusCode::NO_CONTENT,
        Taken::Ignored => StatusCode::ACCEPTED,
    })
}
