//! Hands an event of somebody else to the shop's `POST /api/v1/events`, signed after Standard Webhooks. What the broker
//! triggers have in common.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use sha2::{Digest, Sha256};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use web::{client, variable};

/// A shop that takes longer is away.
const PATIENCE: Duration = Duration::from_secs(8);
const LONGEST_ANSWER: usize = 64 * 1024;
/// So much of what the shop says is told on.
const LONGEST_REASON: usize = 500;

/// What has become of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has had its effect, now or earlier, or can have none.
    Taken,
    /// It can never have one, and why.
    Refused(String),
    /// The shop failed over it, and why: perhaps it always will.
    Failed(String),
    /// Not now, and why: others may be taken.
    Later(String),
    /// Nothing is taken now, and why.
    Away(String),
}

/// Names an event by what it says: the same each time that it comes.
pub fn name(event: &[u8]) -> String {
    Sha256::digest(event).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hands it to the shop at the variable `shop_url`, signed with the first secret of the variable `ingest_secret`.
pub async fn deliver(event: Vec<u8>) -> Outcome {
    let request = match request(event).await {
        Ok(request) => request,
        Err(reason) => return Outcome::Away(reason),
    };
    match client::exchange(request, PATIENCE, LONGEST_ANSWER).await {
        Ok(answer) => outcome(&answer),
        Err(reason) => Outcome::Away(format!("the shop: {reason}")),
    }
}

async fn request(event: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
    let set = async |name| match variable::get(name).await {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(format!("the variable {name} is not set")),
        Err(error) => Err(error.to_string()),
    };
    let (shop, secrets) = (set("shop_url").await?, set("ingest_secret").await?);
    // Two while one takes the place of the other: the shop knows both by then.
    let secret = secrets.split_whitespace().next().unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
    signed(&shop, secret, now.as_secs().try_into().unwrap_or(i64::MAX), event)
}

fn signed(shop: &str, secret: &str, now: i64, event: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
    let id = format!("msg_{}", name(&event));
    let wrong = "the variable ingest_secret must be base64 after `whsec_`";
    let signature = Webhook::new(secret).and_then(|webhook| webhook.sign(&id, now, &event)).map_err(|_| wrong)?;
    Request::post(format!("{}/api/v1/events", shop.trim_end_matches('/')))
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(HEADER_WEBHOOK_ID, id)
        .header(HEADER_WEBHOOK_TIMESTAMP, now)
        .header(HEADER_WEBHOOK_SIGNATURE, signature)
        .body(Full::new(event.into()))
        .map_err(|error| format!("the variable shop_url: {error}"))
}

fn outcome(answer: &Response<Bytes>) -> Outcome {
    let status = answer.status();
    let words: String = String::from_utf8_lossy(answer.body()).chars().take(LONGEST_REASON).collect();
    let reason = format!("{} {words}", status.as_u16());
    match status {
        status if status.is_success() => Outcome::Taken,
        // The signature does not hold, or the shop takes no events: somebody can put that right.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Outcome::Away(reason),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Outcome::Away(reason),
        status if status.is_client_error() => Outcome::Refused(reason),
        StatusCode::SERVICE_UNAVAILABLE => Outcome::Later(reason),
        StatusCode::INTERNAL_SERVER_ERROR => Outcome::Failed(reason),
        // A proxy that has no shop behind it, or an address that is not the shop's.
        _ => Outcome::Away(reason),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    const SECRET: &str = "whsec_dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCBrZXk=";

    fn now() -> i64 {
        i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
    }

    #[test]
    fn what_is_signed_holds() {
        let event = br#"{"id": "1"}"#;
        let request = signed("http://shop.example/", SECRET, now(), event.to_vec()).unwrap();
        assert_eq!(request.uri(), "http://shop.example/api/v1/events");
        let verified = |headers: &HeaderMap, body| Webhook::new(SECRET).unwrap().verify(body, headers);
        assert!(verified(request.headers(), event).is_ok());
        assert!(verified(request.headers(), b"{}").is_err());
    }

    #[test]
    fn a_secret_or_an_address_that_cannot_be_is_named() {
        let refused = |shop, secret| signed(shop, secret, now(), Vec::new()).unwrap_err();
        assert!(refused("http://shop.example", "whsec_?").contains("ingest_secret"));
        assert!(refused("not an address", SECRET).contains("shop_url"));
    }

    #[test]
    fn the_same_event_has_the_same_name() {
        assert_eq!(name(b"one"), name(b"one"));
        assert_ne!(name(b"one"), name(b"two"));
        assert_eq!(name(b"").len(), 64);
    }

    #[test]
    fn an_answer_says_whether_it_is_about_this_event_or_about_all() {
        let of = |status: u16, body: &'static str| {
            outcome(&Response::builder().status(status).body(Bytes::from(body)).unwrap())
        };
        for status in [200, 202, 204] {
            assert_eq!(of(status, ""), Outcome::Taken, "{status}");
        }
        for status in [400, 409, 413, 415, 422] {
            assert_eq!(of(status, "why"), Outcome::Refused(format!("{status} why")));
        }
        for status in [301, 401, 403, 404, 408, 429, 502, 504] {
            assert_eq!(of(status, "why"), Outcome::Away(format!("{status} why")));
        }
        assert_eq!(of(503, "why"), Outcome::Later("503 why".into()));
        assert_eq!(of(500, "why"), Outcome::Failed("500 why".into()));
    }
}
