//! Calls to other services of the shop, by service chaining: no network in between.

use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Refusal, Result};

/// A service that takes longer than this is not available.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// `GET http://<service>.spin.internal<path>` and its JSON. `None` on 404; 503 when the service does not answer.
pub async fn get<T: DeserializeOwned>(service: &'static str, path: &str) -> Result<Option<T>> {
    let (status, body) = send(service, Method::GET, path, Bytes::new()).await?;
    read(service, status, &body)
}

/// `POST`s JSON and reads JSON. `None` on 404; 503 when the service does not answer.
pub async fn post<T: DeserializeOwned>(service: &'static str, path: &str, body: &impl Serialize) -> Result<Option<T>> {
    let body = Bytes::from(serde_json::to_vec(body)?);
    let (status, body) = send(service, Method::POST, path, body).await?;
    read(service, status, &body)
}

/// The same, where the service may say no: its 403, 404, 409 or 422 is the answer to whoever asks us ([`Error::Refused`]).
pub async fn ask<T: DeserializeOwned>(service: &'static str, path: &str, body: &impl Serialize) -> Result<T> {
    let body = Bytes::from(serde_json::to_vec(body)?);
    let (status, body) = send(service, Method::POST, path, body).await?;
    match status {
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(Error::Refused(Box::new(serde_json::from_slice::<Refusal>(&body)?)))
        }
        status => read(service, status, &body)?.ok_or(Error::Unavailable(service.into())),
    }
}

fn read<T: DeserializeOwned>(service: &'static str, status: StatusCode, body: &[u8]) -> Result<Option<T>> {
    match status {
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::NO_CONTENT => Ok(Some(serde_json::from_slice(b"null")?)),
        status if status.is_success() => Ok(Some(serde_json::from_slice(body)?)),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Err(Error::Unavailable(service.into())),
        status => Err(Error::Internal(format!("{service} answered {status}"))),
    }
}

async fn send(service: &'static str, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes)> {
    let mut request = http::Request::builder().method(method).uri(format!("http://{service}.spin.internal{path}"));
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(trace) = events::trace::current() {
        request = request.header("traceparent", &trace.traceparent);
        if let Some(request_id) = &trace.request_id {
            request = request.header("x-request-id", request_id);
        }
    }
    let request =
        request.body(Full::new(body)).map_err(|error| Error::Internal(format!("{service}{path}: {error}")))?;
    match exchange(request, PATIENCE, LONGEST_ANSWER).await {
        Ok(response) => Ok((response.status(), response.into_body())),
        Err(error) => {
            eprintln!("error: {service}{path}: {error}");
            Err(Error::Unavailable(service.into()))
        }
    }
}

/// Sends a request, to wherever it says, and reads the whole answer, of at most `longest` bytes, within `patience`. Says
/// what is in the way otherwise; then nobody knows what has become of the request.
pub async fn exchange(
    request: http::Request<Full<Bytes>>,
    patience: Duration,
    longest: usize,
) -> Result<http::Response<Bytes>, String> {
    let exchange = Box::pin(async {
        let response = spin_sdk::http::send(request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, longest).collect().await.map_err(|error| error.to_string())?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    });
    match select(exchange, Box::pin(spin_sdk::time::sleep(patience))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(format!("no answer within {} ms", patience.as_millis())),
    }
}
