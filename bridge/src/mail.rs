//! Mails of the shop, on their way to an SMTP server.
//!
//! `POST /emails` takes what Resend's does. 2xx only when the SMTP server has accepted the mail; a refusal that cannot
//! change is 422, which the shop takes for final, one of the password is 403, which it tries again when somebody may have put
//! it right, and whatever may go away is 503.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart, SinglePart},
    transport::smtp::{
        Error, PoolConfig,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};
use uuid::{Builder, Uuid};

use crate::{
    config,
    status::{Route, Side},
};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

const LARGEST: usize = 4 * 1024 * 1024;
const LONGEST_KEY: usize = 256;
const MONITOR: Duration = Duration::from_secs(15);
/// SMTP's words for a sign-in that is missing or wrong.
const SIGN_IN: [u16; 4] = [530, 534, 535, 538];

/// What is asked for. Whatever else there could be in it would be left out of the mail: so it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Email {
    from: String,
    to: Recipients,
    subject: String,
    text: Option<String>,
    html: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Recipients {
    One(String),
    Many(Vec<String>),
}

/// Why a mail was not sent, in the words of Resend.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    name: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_error", message)
    }

    fn later(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "application_error", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"statusCode": self.status.as_u16(), "name": self.name, "message": self.message});
        (self.status, Json(body)).into_response()
    }
}

struct Mailer {
    transport: Transport,
    token: Option<String>,
    timeout: Duration,
    route: Route,
}

/// The way to the SMTP server.
///
/// # Errors
///
/// If the configuration cannot be meant.
pub fn transport(config: &config::Mail) -> Result<Transport> {
    let mut parameters = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca_file {
        let pem = fs::read(file).with_context(|| format!("mail.ca_file: {} cannot be read", file.display()))?;
        let certificate = Certificate::from_pem(&pem).context("mail.ca_file is no certificate in PEM")?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = || parameters.build().context("mail.tls");
    let (tls, port) = match config.tls {
        config::Encryption::Starttls => (Tls::Required(parameters()?), 587),
        config::Encryption::Tls => (Tls::Wrapper(parameters()?), 465),
        config::Encryption::None => (Tls::None, 25),
    };
    let mut builder = Transport::builder_dangerous(&config.host)
        .port(config.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(config.timeout))
        .pool_config(PoolConfig::new().max_size(config.pool));
    if let (Some(username), Some(password)) = (&config.username, &config.password) {
        builder = builder.credentials(Credentials::new(username.clone(), password.reveal().to_owned()));
    }
    Ok(builder.build())
}

/// The route of mails.
pub fn router(config: &config::Mail, transport: Transport, route: Route) -> Router {
    route.active.set(1);
    let token = config.token.as_ref().map(|token| token.reveal().to_owned());
    let mailer = Mailer { transport, token, timeout: config.timeout, route };
    Router::new().route("/emails", post(send)).with_state(Arc::new(mailer))
}

/// Says whether the SMTP server answers.
pub async fn monitor(transport: Transport, mut side: Side) {
    loop {
        match transport.test_connection().await {
            Ok(true) => side.up(),
            Ok(false) => side.down("the SMTP server ends the connection"),
            Err(error) => side.down(error),
        }
        sleep(MONITOR).await;
    }
}

async fn send(State(mailer): State<Arc<Mailer>>, request: Request) -> Response {
    mailer.route.read.inc();
    match mailer.handle(request).await {
        Ok(id) => {
            mailer.route.delivered(1);
            Json(json!({"id": id})).into_response()
        }
        Err(refusal) => {
            mailer.route.failures.inc();
            tracing::warn!(status = refusal.status.as_u16(), name = refusal.name, "a mail is not sent");
            refusal.into_response()
        }
    }
}

impl Mailer {
    async fn handle(&self, request: Request) -> Result<Uuid, Refusal> {
        let (parts, body) = request.into_parts();
        if !self.admits(&parts.headers) {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "missing_api_key", "the token is missing or wrong"));
        }
        let key = key(&parts.headers)?;
        let too_large = |_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "validation_error", "the mail is too large");
        let body = to_bytes(body, LARGEST).await.map_err(too_large)?;
        let email: Email = serde_json::from_slice(&body).map_err(|error| Refusal::invalid(error.to_string()))?;
        let id = id(key.as_deref());
        let message = compose(email, id)?;
        match timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(id),
            Ok(Err(error)) => Err(judge(&error)),
            Err(_) => Err(Refusal::later("the SMTP server did not answer in time")),
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        given.is_some_and(|given| constant_time_eq(given, token.as_bytes()))
    }
}

/// Takes as long for any other text of that length.
fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// What names the mail, however often it is asked for.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", "it has 1 to 256 ASCII characters")),
    }
}

/// The same for the same key: whoever gets a mail twice can tell.
fn id(key: Option<&str>) -> Uuid {
    let Some(key) = key else { return Uuid::now_v7() };
    let digest = Sha256::digest(format!("bodega:mail:{key}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The mail. lettre encodes what must not begin another header.
fn compose(email: Email, id: Uuid) -> Result<Message, Refusal> {
    let mailbox = |field: &str, text: &str| {
        text.parse::<Mailbox>().map_err(|error| Refusal::invalid(format!("{field} is no address: {error}")))
    };
    let from = mailbox("from", &email.from)?;
    let recipients = match email.to {
        Recipients::One(one) => vec![one],
        Recipients::Many(many) => many,
    };
    if recipients.is_empty() || recipients.len() > 50 {
        return Err(Refusal::invalid("to has 1 to 50 addresses"));
    }
    let id = format!("<{id}@{}>", from.email.domain());
    let mut builder = Message::builder().from(from).subject(email.subject).message_id(Some(id)).date_now();
    for recipient in &recipients {
        builder = builder.to(mailbox("to", recipient)?);
    }
    let message = match (email.text, email.html) {
        (Some(text), Some(html)) => builder.multipart(MultiPart::alternative_plain_html(text, html)),
        (Some(text), None) => builder.singlepart(SinglePart::plain(text)),
        (None, Some(html)) => builder.singlepart(SinglePart::html(html)),
        (None, None) => return Err(Refusal::invalid("there is neither text nor html")),
    };
    message.map_err(|error| Refusal::invalid(error.to_string()))
}

/// What an error of the way to the SMTP server means.
fn judge(error: &Error) -> Refusal {
    let code = error.status().map(u16::from);
    let said = error.to_string();
    match code {
        Some(code) if SIGN_IN.contains(&code) => Refusal::new(StatusCode::FORBIDDEN, "invalid_access", said),
        Some(500..) => Refusal::invalid(said),
        Some(_) => Refusal::later(said),
        // It has no STARTTLS, or no way to sign in that we know.
        None if error.is_client() => Refusal::new(StatusCode::FORBIDDEN, "invalid_access", said),
        None => Refusal::later(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(from: &str, to: &str, subject: &str) -> Email {
        Email {
            from: from.into(),
            to: Recipients::One(to.into()),
            subject: subject.into(),
            text: Some("Hello".into()),
            html: Some("<p>Hello</p>".into()),
        }
    }

    #[test]
    fn a_key_names_a_mail_for_ever() {
        assert_eq!(id(Some("a")), id(Some("a")));
        assert_ne!(id(Some("a")), id(Some("b")));
        assert_ne!(id(None), id(None));
    }

    #[test]
    fn nothing_in_a_mail_begins_another_header() {
        let subject = "Hi\r\nBcc: eve@example.com\r\n\r\nbody";
        let message = compose(email("Shop <shop@example.com>", "ann@example.com", subject), id(Some("a"))).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        assert!(!text.lines().any(|line| line.to_ascii_lowercase().starts_with("bcc:")), "{text}");
        assert_eq!(message.envelope().to().len(), 1);
        for to in ["ann@example.com\r\nBcc: eve@example.com", "ann@example.com>\r\nRCPT TO:<eve@example.com", "", "ann"]
        {
            let refusal = compose(email("shop@example.com", to, "Hi"), id(None)).unwrap_err();
            assert_eq!(refusal.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }

    #[test]
    fn a_token_is_compared_as_a_whole() {
        assert!(constant_time_eq(b"token", b"token"));
        assert!(!constant_time_eq(b"token", b"tokem") && !constant_time_eq(b"token", b"toke"));
    }
}
