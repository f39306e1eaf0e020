//! Messages from outside, signed after the Standard Webhooks specification: <https://www.standardwebhooks.com>.

use http::HeaderMap;
use standardwebhooks::{HEADER_WEBHOOK_ID, Webhook};

use crate::{Error, Result, variable};

const LONGEST_ID: usize = 255;

/// The id of a message whose signature and time hold by one of the secrets in the variable `secrets`, separated by spaces:
/// two while one takes the place of the other. 401 otherwise; 404 in a shop without a secret, which takes none.
pub async fn verified<'a>(secrets: &'static str, headers: &'a HeaderMap, body: &[u8]) -> Result<&'a str> {
    const REFUSED: Error = Error::Unauthenticated("the signature or the time of the message does not hold");
    let Some(known) = variable::get(secrets).await? else {
        eprintln!("error: a signed message came, but the variable {secrets} is not set");
        return Err(Error::not_found("webhook"));
    };
    let mut holds = false;
    for secret in known.split_whitespace() {
        match Webhook::new(secret) {
            Ok(webhook) => holds |= webhook.verify(body, headers).is_ok(),
            Err(_) => {
                eprintln!("error: the variable {secrets} must be base64 after `whsec_`");
                return Err(Error::Unavailable("the webhook's secret".into()));
            }
        }
    }
    let id = headers.get(HEADER_WEBHOOK_ID).and_then(|id| id.to_str().ok());
    id.filter(|id| holds && (1..=LONGEST_ID).contains(&id.len())).ok_or(REFUSED)
}
