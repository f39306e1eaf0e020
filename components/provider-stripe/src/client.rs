//! Requests to Stripe: each within its time, and none while the circuit is open.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::de::DeserializeOwned;
use spin_sdk::variables;

use crate::{
    Failure, Result,
    books::Books,
    breaker::{Breaker, State},
    objects::Refusal,
};

/// The version of the API that this component was written for.
const VERSION: &str = "2024-06-20";
const LONGEST_ANSWER: usize = 1024 * 1024;
const BREAKER: &str = "breaker";

/// Stripe, as the variables of the shop describe it.
pub(crate) struct Client<'a> {
    books: &'a Books,
    url: String,
    secret: String,
    /// For one request.
    patience: Duration,
}

/// The parameters of a request.
pub(crate) type Form<'a> = &'a [(&'a str, &'a str)];

impl<'a> Client<'a> {
    pub(crate) async fn new(books: &'a Books) -> Result<Self> {
        let patience = variable("stripe_timeout_ms").await?;
        let patience = patience.parse().map_err(|_| misconfigured("stripe_timeout_ms", "not a number"))?;
        Ok(Self {
            books,
            url: variable("stripe_url").await?.trim_end_matches('/').to_owned(),
            secret: variable("stripe_secret_key").await?,
            patience: Duration::from_millis(patience),
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, form: Form<'_>) -> Result<T> {
        let query = encoded(form);
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        self.send(self.request(Method::GET, &path), String::new()).await
    }

    /// `key` makes it happen once, however often it is sent.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, form: Form<'_>, key: Option<&str>) -> Result<T> {
        let mut request = self.request(Method::POST, path);
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request, encoded(form)).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        request.header(header::AUTHORIZATION, format!("Bearer {}", self.secret)).header("stripe-version", VERSION)
    }

    async fn send<T: DeserializeOwned>(&self, request: http::request::Builder, body: String) -> Result<T> {
        let request = request.body(Full::new(Bytes::from(body)));
        // Not what is wrong: that could quote the secret.
        let request = request.map_err(|_| misconfigured("stripe_url or stripe_secret_key", "not valid"))?;
        self.ask_breaker().await?;
        let what = format!("{} {}", request.method(), request.uri().path());
        let exchange = Box::pin(exchange(request));
        let answer = match select(exchange, Box::pin(spin_sdk::time::sleep(self.patience))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(format!("no answer within {:?}", self.patience)),
        };
        let answer = answer.and_then(|(status, body)| match status.is_server_error() {
            true => Err(format!("answered {status}")),
            false => Ok((status, body)),
        });
        match answer {
            Ok((status, body)) => {
                self.tell_breaker(true).await?;
                read(&what, status, &body)
            }
            Err(error) => {
                eprintln!("stripe: {what}: {error}");
                self.tell_breaker(false).await?;
                Err(Failure::Unknown)
            }
        }
    }

    async fn breaker(&self) -> Result<Breaker> {
        let known = self.books.get(BREAKER).await?;
        Ok(known.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default())
    }

    async fn keep(&self, breaker: &Breaker) -> Result<()> {
        if *breaker == Breaker::default() {
            return self.books.forget(BREAKER).await;
        }
        let json = serde_json::to_vec(breaker).map_err(|_| Failure::Unknown)?;
        self.books.set(BREAKER, &json).await
    }

    /// Whether a request may go out.
    async fn ask_breaker(&self) -> Result<()> {
        let known = self.breaker().await?;
        let mut breaker = known.clone();
        if !breaker.permit(now()) {
            return Err(Failure::Unknown);
        }
        if breaker != known { self.keep(&breaker).await } else { Ok(()) }
    }

    /// Takes down how a request went; nothing is written while all goes well.
    async fn tell_breaker(&self, well: bool) -> Result<()> {
        let known = self.breaker().await?;
        let mut breaker = known.clone();
        if well {
            breaker.succeeded()
        } else {
            breaker.failed(now())
        }
        let (before, after) = (known.state(now()), breaker.state(now()));
        if before != after {
            match after {
                State::Open => eprintln!("stripe: fails again and again; left alone for a while"),
                _ => eprintln!("stripe: answers again"),
            }
        }
        if breaker != known { self.keep(&breaker).await } else { Ok(()) }
    }
}

/// Sends a request and reads the whole answer.
async fn exchange(request: http::Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
    let response = spin_sdk::http::send(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}

/// What an answer says.
fn read<T: DeserializeOwned>(what: &str, status: StatusCode, body: &[u8]) -> Result<T> {
    match status {
        status if status.is_success() => serde_json::from_slice(body).map_err(|error| {
            eprintln!("stripe: {what}: not the JSON that was expected: {error}");
            Failure::Unknown
        }),
        // The shop's trouble, not the customer's.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            eprintln!("stripe: {what}: {status}: is stripe_secret_key right?");
            Err(Failure::Unknown)
        }
        // The same request is being worked on, or there are too many.
        StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Err(Failure::Unknown),
        status if status.is_client_error() => {
            let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
            Err(Failure::Declined(refusal.map_or_else(|| "declined".into(), |refusal| refusal.error.word())))
        }
        status => {
            eprintln!("stripe: {what}: answered {status}");
            Err(Failure::Unknown)
        }
    }
}

fn encoded(form: Form<'_>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn variable(name: &str) -> Result<String> {
    match variables::get(name).await {
        Ok(value) if !value.trim().is_empty() => Ok(value.trim().to_owned()),
        Ok(_) => Err(misconfigured(name, "not set")),
        Err(error) => Err(misconfigured(name, &error.to_string())),
    }
}

fn misconfigured(name: &str, why: &str) -> Failure {
    eprintln!("stripe: the variable {name}: {why}");
    Failure::Unknown
}
