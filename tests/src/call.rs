//! Requests to a shop, and what it answers.

use std::{future::IntoFuture, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::{Customer, Shop};

/// What the shop answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, when it is JSON; null otherwise.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The body of an answer that must have this status.
    ///
    /// # Panics
    ///
    /// When it has another one, with what the shop said.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.body
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request that is sent when it is awaited.
#[must_use = "it is sent when it is awaited"]
#[derive(Clone)]
pub struct Call<'a> {
    shop: &'a Shop,
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    headers: HeaderMap,
    customer: Option<&'a Customer>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(shop: &'a Shop, method: Method, path: impl Into<String>) -> Self {
        Self { shop, method, path: path.into(), body: None, headers: HeaderMap::new(), customer: None }
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").bytes(body.to_string())
    }

    /// With a body of any kind, and whatever `content-type` the headers say.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Signed in as this customer, with an access token that is still good.
    pub fn by(mut self, customer: &'a Customer) -> Self {
        self.customer = Some(customer);
        self
    }

    /// With this access token, whatever it is.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With this `Idempotency-Key`.
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With this header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// When no answer comes.
    pub async fn send(self) -> reqwest::Result<Answer> {
        let mut request = self.shop.client.request(self.method, format!("{}{}", self.shop.url(), self.path));
        request = request.headers(self.headers).timeout(Duration::from_secs(60));
        if let Some(customer) = self.customer {
            request = request.bearer_auth(self.shop.access_token(customer).await);
        }
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        Ok(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text })
    }
}

impl<'a> IntoFuture for Call<'a> {
    type Output = Answer;
    type IntoFuture = BoxFuture<'a, Answer>;

    /// Panics when no answer comes.
    fn into_future(self) -> Self::IntoFuture {
        let what = format!("{} {}", self.method, self.path);
        async move { self.send().await.unwrap_or_else(|error| panic!("{what}: {error:?}")) }.boxed()
    }
}
