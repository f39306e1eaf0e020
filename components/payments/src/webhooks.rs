//! Webhooks after the Standard Webhooks specification: <https://www.standardwebhooks.com>.
//!
//! A message is only believed to say that there is something to look at. What has happened to the money, the provider
//! is asked by the key of the charge or refund, so that a message that is forged, late, or out of order moves nothing.
//! Its id is written down in the transaction in which it has its effect: again, it has none.

use http::HeaderMap;
use model::{OrderId, PaymentId};
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Error, Result, webhook};

use crate::{DATABASE, charges, refunds, repository};

/// The variable with the secrets that sign messages.
const SECRETS: &str = "payment_webhook_secret";

/// What a message is about. Others than these fields are none of our business.
#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookMessage, example = json!({"type": "charge.captured", "data": {"orderId": 17}}))]
pub(crate) struct Message {
    data: Data,
}

/// The charge or refund, by the shop's own key; or its payment or order, by their ids.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebhookData)]
struct Data {
    key: Option<String>,
    #[schema(value_type = Option<PaymentId>)]
    payment_id: Option<i64>,
    #[schema(value_type = Option<OrderId>)]
    order_id: Option<i64>,
    /// As Stripe shapes its events: the key is in the metadata that the charge or refund was made with.
    object: Option<Object>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WebhookObject)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = WebhookMetadata)]
struct Metadata {
    key: Option<String>,
}

/// Takes a message of `provider`, whose name keeps its ids apart from those of others.
pub(crate) async fn receive(provider: &str, headers: &HeaderMap, body: &[u8]) -> Result<()> {
    let id = webhook::verified(SECRETS, headers, body).await?;
    let message = format!("webhook/{provider}/{id}");
    if events::knows_foreign(&DATABASE, &message).await? {
        return Ok(());
    }
    let Message { data } =
        serde_json::from_slice(body).map_err(|error| Error::Malformed(format!("not a webhook message: {error}")))?;
    let payment =
        match (data.key.or(data.object.and_then(|object| object.metadata.key)), data.payment_id, data.order_id) {
            (Some(key), ..) => {
                if let Some(refund) = repository::find_refund_by_key(&DATABASE, &key).await? {
                    return refunds::hear(&refund, &message).await;
                }
                repository::find_by_key(&DATABASE, &key).await?
            }
            (None, Some(id), _) => repository::find(&DATABASE, PaymentId(id)).await?,
            (None, None, Some(id)) => repository::find_by_order(&DATABASE, OrderId(id)).await?,
            (None, None, None) => None,
        };
    match payment {
        Some(payment) => charges::hear(&payment, &message).await,
        // Of the account's other business.
        None => Ok(()),
    }
}
