//! Handing a letter to the HTTP mail API.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use web::client;

use crate::{
    attempt::{Outcome, Reason, Said, judge},
    letter::Letter,
    settings::Api,
};

const LONGEST_ANSWER: usize = 64 * 1024;

/// What the API takes.
#[derive(Serialize)]
struct Email<'a> {
    from: &'a str,
    to: [&'a str; 1],
    subject: &'a str,
    text: &'a str,
    html: &'a str,
}

/// What it says when it does not.
#[derive(Default, Deserialize)]
struct Refusal {
    name: Option<String>,
    message: Option<String>,
}

/// What the API is asked for to send a letter.
pub(crate) fn body(api: &Api, to: &str, letter: &Letter) -> serde_json::Result<String> {
    let Letter { subject, text, html } = letter;
    serde_json::to_string(&Email { from: &api.from, to: [to], subject, text, html })
}

/// Sends a letter. `key` is the same each time that the same letter is sent: the API takes it once.
pub(crate) async fn send(api: &Api, key: &str, body: String) -> Outcome {
    let mut request = http::Request::post(&api.url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "bodega")
        .header("idempotency-key", key);
    if let Some(token) = &api.token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    // Not what is wrong: that could quote the token.
    let Ok(request) = request.body(Full::new(Bytes::from(body))) else {
        return Outcome::Barred(Reason::new("the variable mail_url or mail_token is not valid"));
    };
    match client::exchange(request, api.patience, LONGEST_ANSWER).await {
        Ok(response) => {
            let Refusal { name, message } = serde_json::from_slice(response.body()).unwrap_or_default();
            judge(response.status(), retry_after(response.headers()), Said { name, message })
        }
        Err(error) => Outcome::Later(Reason::new(format!("the mail API does not answer: {error}")), None),
    }
}

/// `Retry-After` in seconds; as a date it is not known.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
