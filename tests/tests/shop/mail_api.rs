//! A mail API that takes `POST /emails`, remembers idempotency keys, and may take only so many in a second.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, request::Parts};
use serde_json::{Value, json};
use shop_tests::{ShopOptions, eventually};

use crate::local_server::{LocalServer, Work};

/// The key that the server wants.
pub const TOKEN: &str = "re_fake_token";
/// For one request, in milliseconds.
pub const PATIENCE: u64 = 300;

/// A mail that the server has taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    pub key: String,
    /// As it was sent: `from`, `to`, `subject`, `text`, `html`.
    pub body: Value,
}

impl Received {
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap()
    }

    pub fn to(&self) -> &str {
        self.body["to"][0].as_str().unwrap()
    }
}

/// What the server has taken, each key once.
#[derive(Default)]
pub struct Mailbox {
    taken: Mutex<Vec<Received>>,
    /// So many in a second; 0: as many as come.
    rate: Mutex<usize>,
    /// When those of the last second came.
    recent: Mutex<Vec<Instant>>,
    /// How long it wants none when there were too many, in seconds; 0: one.
    pause: Mutex<u64>,
}

/// A running server. It ends when it is dropped.
pub type MailApi = LocalServer<Mailbox>;

impl Mailbox {
    pub fn all(&self) -> Vec<Received> {
        self.taken.lock().unwrap().clone()
    }

    /// Forgets what it has taken.
    pub fn empty(&self) {
        self.taken.lock().unwrap().clear();
    }

    /// As if it had taken other letters under the keys that it knows.
    pub fn alter(&self) {
        for mail in &mut *self.taken.lock().unwrap() {
            mail.body["subject"] = json!("Something else");
        }
    }

    /// From now on it takes so many in a second.
    pub fn limit(&self, rate: usize) {
        *self.rate.lock().unwrap() = rate;
    }

    /// From now on it wants no mails for so many seconds when there were too many.
    pub fn pause(&self, seconds: u64) {
        *self.pause.lock().unwrap() = seconds;
    }

    fn is_too_many(&self) -> bool {
        let rate = *self.rate.lock().unwrap();
        let mut recent = self.recent.lock().unwrap();
        recent.retain(|at| at.elapsed() < Duration::from_secs(1));
        let too_many = rate > 0 && recent.len() >= rate;
        if !too_many {
            recent.push(Instant::now());
        }
        too_many
    }

    /// The subjects of the mails to an address, in the order in which they came.
    pub fn subjects(&self, to: &str) -> Vec<String> {
        self.all().iter().filter(|mail| mail.to() == to).map(|mail| mail.text("subject").to_owned()).collect()
    }
}

impl Work for Mailbox {
    fn carry_out(&self, head: &Parts, body: &Bytes) -> (u16, Value) {
        let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
        let refused = |status: u16, message: &str| (status, json!({ "statusCode": status, "message": message }));
        if self.is_too_many() {
            return refused(429, "too many requests");
        }
        if (&head.method, head.uri.path()) != (&Method::POST, "/emails") {
            return refused(404, "no such resource");
        }
        if header("authorization") != Some(&format!("Bearer {TOKEN}")) || header("user-agent").is_none() {
            return refused(403, "nobody knows you");
        }
        let (Some(key), Ok(body)) = (header("idempotency-key"), serde_json::from_slice::<Value>(body)) else {
            return refused(400, "a key and JSON are wanted");
        };
        let texts = ["from", "subject", "text", "html"];
        let to = body["to"][0].as_str().unwrap_or_default();
        if texts.iter().any(|name| body[name].as_str().is_none_or(str::is_empty)) || !to.contains('@') {
            return refused(422, "a field is missing");
        }
        if to.starts_with("refused") {
            return refused(422, &format!("nobody reads {to}"));
        }
        let mut mails = self.taken.lock().unwrap();
        match mails.iter().find(|mail| mail.key == key) {
            Some(known) if known.body != body => {
                let message = "the key was used with another mail";
                return (409, json!({ "statusCode": 409, "name": "invalid_idempotent_request", "message": message }));
            }
            Some(_) => {}
            None => mails.push(Received { key: key.to_owned(), body }),
        }
        (200, json!({ "id": key }))
    }

    fn retry_after(&self) -> Option<u64> {
        Some((*self.pause.lock().unwrap()).max(1))
    }
}

pub async fn start() -> MailApi {
    LocalServer::start(Mailbox::default()).await
}

/// A shop that sends its mails there.
pub fn options(api: &MailApi) -> ShopOptions {
    let variables = [
        ("mail_url", api.url()),
        ("mail_token", TOKEN.to_owned()),
        ("mail_from", "Bodega <shop@example.com>".to_owned()),
        ("mail_timeout_ms", PATIENCE.to_string()),
        ("mails_per_hour", "0".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    // Time passes in jumps; no order's time may be up by them.
    ShopOptions { variables, order_timeout: Duration::from_secs(365 * 24 * 60 * 60), ..ShopOptions::default() }
}

impl MailApi {
    /// Waits until so many mails have been taken.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let here = async || self.work().all().len() >= count;
        eventually(Duration::from_secs(20), &format!("{count} mails are there"), here).await;
        self.work().all()
    }
}
