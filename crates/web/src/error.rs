//! One error type, rendered once: RFC 9457 problem details.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// What is not available when the database is busy or away.
const DATABASE: &str = "the database";

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Its path, such as `items[0].quantity`.
    #[schema(example = "items[0].quantity")]
    pub field: String,
    /// What it must be.
    #[schema(example = "lower than 1")]
    pub message: String,
}

/// What another service of the shop has refused, as it said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// 4xx.
    pub status: u16,
    /// A word for programs.
    pub code: String,
    /// A sentence for people.
    pub detail: String,
    /// What is wrong with which fields.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// Why a request was not answered as asked. Every variant has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// 400: the request cannot be understood.
    Malformed(String),
    /// 401: nobody, or somebody who could not prove it.
    Unauthenticated(&'static str),
    /// 401: there is an access token, and it does not hold.
    InvalidToken(&'static str),
    /// 403: known, but not allowed to.
    Forbidden(&'static str),
    /// 404: there is no such thing, or none that the caller may see. Names the thing.
    NotFound(Cow<'static, str>),
    /// 404: method and path of a request that no route takes.
    NoRoute(String),
    /// 405: the resource does not do that.
    MethodNotAllowed,
    /// 409: it contradicts the present state. A word for programs, and a sentence for people.
    Conflict(&'static str, String),
    /// 4xx: another service of the shop says no, and that is the answer.
    Refused(Box<Refusal>),
    /// 412: what `If-Match` demands does not hold.
    PreconditionFailed(&'static str),
    /// 408: the body, or a line of it, took too long to arrive.
    TooSlow,
    /// 413: the body is too long.
    TooLarge,
    /// 414: path and query are too long.
    UriTooLong,
    /// 415: the body is compressed.
    UnsupportedEncoding,
    /// 415: the body is of another type than JSON.
    UnsupportedMediaType,
    /// 422: understood, but fields are not what they must be.
    Invalid(Vec<FieldError>),
    /// 422: the idempotency key was used with another request.
    KeyReused,
    /// 431: a header is too long, or all of them together are.
    HeadersTooLarge,
    /// 429: too many requests; seconds until the next are welcome.
    TooManyRequests(u64),
    /// 503: a moment later it may work. Names what is not available.
    Unavailable(Cow<'static, str>),
    /// 500: whoever runs the shop has configured it wrongly. Says where, never what stands there.
    Misconfigured(Vec<FieldError>),
    /// 500: a defect. The text is logged and never answered.
    Internal(String),
}

impl Error {
    /// 422 for one field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// 404 for a thing, such as `order`.
    pub const fn not_found(thing: &'static str) -> Self {
        Self::NotFound(Cow::Borrowed(thing))
    }

    /// Whether the database of the service is busy or away.
    pub(crate) fn is_outage_of_database(&self) -> bool {
        matches!(self, Self::Unavailable(what) if what == DATABASE)
    }

    /// The problem as JSON: for answers that tell of several things, of which some have failed.
    pub fn to_json(&self) -> serde_json::Result<Box<RawValue>> {
        self.problem(|problem| serde_json::value::to_raw_value(problem))
    }

    fn problem<T>(&self, write: impl FnOnce(&Problem<'_>) -> T) -> T {
        let (status, code, detail) = self.parts();
        write(&Problem {
            r#type: format!("urn:bodega:problem:{code}"),
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: &detail,
            code,
            errors: self.fields(),
        })
    }

    /// What is wrong with which fields.
    pub fn fields(&self) -> &[FieldError] {
        match self {
            Error::Invalid(errors) | Error::Misconfigured(errors) => errors,
            Error::Refused(refusal) => &refusal.errors,
            _ => &[],
        }
    }

    /// Older shops have one status for all that is wrong with a body.
    pub(crate) fn status_for_classics(&self, status: StatusCode) -> StatusCode {
        let fields = status == StatusCode::UNPROCESSABLE_ENTITY && !self.fields().is_empty();
        if fields { StatusCode::BAD_REQUEST } else { status }
    }

    /// The sentence for people, with what is wrong with which fields.
    pub fn message_for_classics(&self) -> Cow<'_, str> {
        match (self, self.fields()) {
            (Error::NoRoute(route), _) => format!("Route not found: {route}").into(),
            (_, []) => self.parts().2,
            (_, fields) => {
                let said: Vec<_> = fields.iter().map(|field| format!("{}: {}", field.field, field.message)).collect();
                said.join("; ").into()
            }
        }
    }

    /// The status, a word for programs, and a sentence for people.
    fn parts(&self) -> (StatusCode, &str, Cow<'_, str>) {
        match self {
            Error::Malformed(detail) => (StatusCode::BAD_REQUEST, "malformed", detail.into()),
            Error::Unauthenticated(detail) | Error::InvalidToken(detail) => {
                (StatusCode::UNAUTHORIZED, "unauthenticated", (*detail).into())
            }
            Error::Forbidden(detail) => (StatusCode::FORBIDDEN, "forbidden", (*detail).into()),
            Error::NotFound(thing) => (StatusCode::NOT_FOUND, "not-found", format!("{thing} not found").into()),
            Error::NoRoute(route) => (StatusCode::NOT_FOUND, "not-found", format!("route {route} not found").into()),
            Error::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this resource does not do that".into())
            }
            Error::Conflict(code, detail) => (StatusCode::CONFLICT, code, detail.into()),
            Error::Refused(refusal) => (
                StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::CONFLICT),
                &refusal.code,
                refusal.detail.as_str().into(),
            ),
            Error::PreconditionFailed(detail) => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", (*detail).into())
            }
            Error::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too long".into()),
            Error::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "too-slow", "the body took too long to arrive: send it again".into())
            }
            Error::UriTooLong => (StatusCode::URI_TOO_LONG, "uri-too-long", "path and query are too long".into()),
            Error::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers-too-large",
                "the headers are too long, or too many".into(),
            ),
            Error::UnsupportedEncoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-content-encoding",
                "bodies are taken as they are: send this one without a Content-Encoding".into(),
            ),
            Error::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "this is not taken in that content type: send JSON, to an import NDJSON".into(),
            ),
            Error::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "some fields are not valid".into()),
            Error::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "this Idempotency-Key was used with another request".into(),
            ),
            Error::TooManyRequests(seconds) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                format!("too many requests: try again in {seconds} s").into(),
            ),
            Error::Unavailable(what) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("{what} is not available: try again").into())
            }
            Error::Misconfigured(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "misconfigured",
                "the configuration of the shop is not usable".into(),
            ),
            Error::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "something went wrong on our side; the request id leads us to it".into(),
            ),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Internal(detail) => f.write_str(detail),
            Error::Invalid(fields) | Error::Misconfigured(fields) => {
                f.write_str(self.parts().1)?;
                f.write_str(":")?;
                fields.iter().try_for_each(|field| write!(f, " {} {};", field.field, field.message))
            }
            other => f.write_str(&other.parts().2),
        }
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Busy => Error::Unavailable(DATABASE.into()),
            store::Error::Away(_) => {
                eprintln!("error: {error}");
                Error::Unavailable(DATABASE.into())
            }
            other => Error::Internal(format!("database: {other}")),
        }
    }
}

impl From<serde_json::Error> for Error {
    /// For what we write ourselves or stored ourselves: a client's JSON goes through [`crate::Json`].
    fn from(error: serde_json::Error) -> Self {
        Error::Internal(format!("json: {error}"))
    }
}

/// Why a request was not answered as asked, after RFC 9457. It has changed nothing.
#[derive(Serialize, ToSchema)]
pub struct Problem<'a> {
    /// What kind of problem: `urn:bodega:problem:` and the code.
    #[schema(example = "urn:bodega:problem:invalid")]
    r#type: String,
    /// The status in words.
    #[schema(example = "Unprocessable Entity")]
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// A sentence for people.
    #[schema(example = "some fields are not valid")]
    detail: &'a str,
    /// A word for programs.
    #[schema(pattern = "^[a-z0-9-]+$", example = "invalid")]
    code: &'a str,
    /// What is wrong with which fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.parts().0;
        if let Error::Internal(_) | Error::Misconfigured(_) = &self {
            eprintln!("error: {self}");
        }
        let body = self.problem(|problem| serde_json::to_vec(problem)).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        match &self {
            Error::Unauthenticated(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // RFC 6750 3.1.
            Error::InvalidToken(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
            }
            // RFC 9110 12.5.3.
            Error::UnsupportedEncoding => {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
            Error::TooManyRequests(seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Error::Unavailable(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        // For those who tell it in other words.
        response.extensions_mut().insert(self);
        response
    }
}
