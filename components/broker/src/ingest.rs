//! Events of others: what an external payment processor says of an order's money is handed to payments; the rest is none of
//! our business.

use http::HeaderMap;
use model::{Currency, Money, OrderId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::{Error, Json, Result, client, webhook};

/// The variable with the secrets that sign events, separated by spaces.
const SECRETS: &str = "ingest_secret";
/// Where the shop's own events come from: such a one has come back.
const OWN_SOURCE: &str = "/bodega/";
const LONGEST_NAME: usize = 200;

/// An event, in the shop's envelope or as a CloudEvent. Further fields are welcome.
#[derive(Deserialize, garde::Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ForeignEvent, example = json!({
    "specversion": "1.0", "id": "psp-000123", "source": "/psp", "type": "PAYMENT_SUCCEEDED",
    "time": "2026-11-23T08:00:00Z", "subject": "order/17", "data": {"orderId": 17, "amount": 40.88, "currency": "EUR"}
}))]
pub(crate) struct Foreign {
    /// Names it for ever, for its source; `id` is the same.
    #[garde(skip)]
    event_id: Option<String>,
    #[garde(skip)]
    id: Option<String>,
    /// Such as `PAYMENT_SUCCEEDED` or `PaymentSucceeded`; `type` is the same.
    #[garde(skip)]
    event_type: Option<String>,
    #[garde(skip)]
    r#type: Option<String>,
    /// Where it comes from; `source` is the same.
    #[garde(skip)]
    producer: Option<String>,
    #[garde(skip)]
    source: Option<String>,
    #[garde(skip)]
    #[serde(default)]
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

/// What an external processor says of the money of an order.
#[derive(Deserialize, garde::Validate)]
#[serde(rename_all = "camelCase")]
struct Payment {
    #[garde(skip)]
    order_id: i64,
    #[garde(skip)]
    amount: Option<Money>,
    #[garde(skip)]
    currency: Option<Currency>,
    #[garde(skip)]
    reason: Option<String>,
}

/// The same, as payments take it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct External {
    event: String,
    succeeded: bool,
    order_id: OrderId,
    amount: Option<Money>,
    currency: Option<Currency>,
    reason: Option<String>,
}

/// Whether an event has had its effect, now or earlier, or can have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Done,
    Ignored,
}

fn name(field: &'static str, name: Option<String>) -> Result<String> {
    let name = name.ok_or_else(|| Error::invalid(field, "is missing"))?;
    match (1..=LONGEST_NAME).contains(&name.len()) {
        true => Ok(name),
        false => Err(Error::invalid(field, format!("length must be between 1 and {LONGEST_NAME}"))),
    }
}

/// Whether a payment has succeeded, by the type of an event; `None` when it is about something else.
fn succeeded(event_type: &str) -> Option<bool> {
    let words = event_type.replace(['_', '.', '-'], "").to_ascii_lowercase();
    match words.as_str() {
        "paymentsucceeded" => Some(true),
        "paymentfailed" => Some(false),
        _ => None,
    }
}

/// Takes an event that is signed.
pub(crate) async fn receive(headers: &HeaderMap, body: &[u8]) -> Result<Taken> {
    webhook::verified(SECRETS, headers, body).await?;
    let Json(event) = Json::<Foreign>::parse(body)?;
    let event_type = name("type", event.event_type.or(event.r#type))?;
    let id = name("id", event.event_id.or(event.id))?;
    let source = name("source", event.source.or(event.producer))?;
    let Some(succeeded) = succeeded(&event_type).filter(|_| !is_own(&source)) else { return Ok(Taken::Ignored) };
    let Json(payment) =
        Json::<Payment>::parse(event.data.to_string().as_bytes()).map_err(|error| below("data", error))?;
    let Payment { order_id, amount, currency, reason } = payment;
    let event = format!("event/{source}/{id}");
    let external = External { event, succeeded, order_id: OrderId(order_id), amount, currency, reason };
    client::ask::<()>("payments", "/internal/external-payments", &external).await?;
    Ok(Taken::Done)
}

/// Whether the shop has said it itself.
fn is_own(source: &str) -> bool {
    const SERVICES: [&str; 7] = ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
    source.starts_with(OWN_SOURCE) || SERVICES.contains(&source)
}

/// What is wrong with a part of the body, by its place in the whole.
fn below(place: &str, error: Error) -> Error {
    match error {
        Error::Invalid(errors) => Error::Invalid(
            errors
                .into_iter()
                .map(|error| {
                    let dot = if error.field.is_empty() { "" } else { "." };
                    web::FieldError { field: format!("{place}{dot}{}", error.field), message: error.message }
                })
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_known_in_several_spellings() {
        for kind in ["PAYMENT_SUCCEEDED", "PaymentSucceeded", "payment.succeeded"] {
            assert_eq!(succeeded(kind), Some(true), "{kind}");
        }
        assert_eq!(succeeded("PaymentFailed"), Some(false));
        for kind in ["PAYMENT_REFUNDED", "", "ORDER_PLACED", "PAYMENT_SUCCEEDED_TWICE"] {
            assert_eq!(succeeded(kind), None, "{kind}");
        }
    }

    #[test]
    fn what_the_shop_has_said_itself_is_known_by_its_source() {
        assert!(is_own("/bodega/payments") && is_own("payments"));
        assert!(!is_own("/psp") && !is_own("/payments") && !is_own("psp-payments"));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place() {
        let told = below("data", Error::invalid("orderId", "is missing"));
        assert_eq!(told, Error::invalid("data.orderId", "is missing"));
    }
}
