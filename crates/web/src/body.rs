//! What a request says: its body, its path, its query. Each refusal is precise.

use std::{fmt::Display, pin::pin, str::FromStr};

use axum::{
    RequestExt,
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request},
    response::{IntoResponse, Response},
};
use futures::future::{Either, select};
use garde::Validate;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError};
use send_wrapper::SendWrapper;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, FieldError, edge, json_text};

/// Longer bodies are refused with 413.
pub(crate) const LONGEST_BODY: usize = 64 * 1024;

/// A JSON body. As an argument it is parsed and validated; as an answer it is rendered.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T> FromRequest<()> for Json<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Error;

    async fn from_request(request: Request, _: &()) -> Result<Self, Error> {
        let bytes = json_bytes(request).await?;
        parse(&bytes).map(Json)
    }
}

impl<T: DeserializeOwned + Validate<Context = ()>> Json<T> {
    /// Parses and validates JSON that came in another way, such as a line of a longer body.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        parse(bytes).map(Json)
    }
}

impl<T> OptionalFromRequest<()> for Json<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Error;

    /// `None` when the request has no content type, as one without a body.
    async fn from_request(request: Request, state: &()) -> Result<Option<Self>, Error> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            <Self as FromRequest<()>>::from_request(request, state).await.map(Some)
        } else {
            Ok(None)
        }
    }
}

/// The body of an HTML form, or the same fields in JSON: for protocols that want a form.
#[derive(Debug, Clone)]
pub struct Form<T>(pub T);

impl<T> FromRequest<()> for Form<T>
where
    T: DeserializeOwned + Validate<Context = ()> + Send,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &()) -> Result<Self, Error> {
        let form = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
            value.as_bytes().to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded")
        });
        if !form {
            return <Json<T> as FromRequest<()>>::from_request(request, state).await.map(|Json(value)| Form(value));
        }
        let (parts, body) = request.into_parts();
        let bytes = read(Request::from_parts(parts.clone(), body)).await?;
        let request = Request::from_parts(parts, Body::from(bytes));
        let parsed = axum::Form::<T>::from_request(request, state).await;
        let axum::Form(value) = parsed.map_err(|rejection| match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => {
                let message = rejection.body_text();
                refused("", message.trim_start_matches("Failed to deserialize form body: "))
            }
            _ => Error::Malformed("the body could not be read".into()),
        })?;
        validate(&value)?;
        Ok(Form(value))
    }
}

/// A JSON body as it came, for those who must see every byte of it: to check a signature, say.
#[derive(Debug, Clone)]
pub struct RawJson(pub Bytes);

impl FromRequest<()> for RawJson {
    type Rejection = Error;

    async fn from_request(request: Request, _: &()) -> Result<Self, Error> {
        json_bytes(request).await.map(Self)
    }
}

/// The request with an empty JSON object for a body that is missing: for routes that need none.
pub fn or_empty(mut request: Request) -> Request {
    let headers = request.headers();
    let empty = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    if empty || !headers.contains_key(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Body::from("{}");
    }
    request
}

/// The bytes of a body that calls itself JSON.
pub(crate) async fn json_bytes(request: Request) -> Result<Bytes, Error> {
    let json = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    });
    if json { read(request).await } else { Err(Error::UnsupportedMediaType) }
}

/// A whole body. Its length has a limit, and so has the time in which it must arrive: 413 and 408. 415 when it is compressed.
async fn read(request: Request) -> Result<Bytes, Error> {
    must_be_plain(request.headers())?;
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // Nobody waits for what is too long anyway.
    if declared.is_some_and(|length: u64| length > LONGEST_BODY as u64) {
        return Err(Error::TooLarge);
    }
    let arrival = async move {
        let body = pin!(request.into_limited_body().collect());
        match select(body, pin!(spin_sdk::time::sleep(edge::body_patience()))).await {
            Either::Left((Ok(body), _)) => Ok(body.to_bytes()),
            Either::Left((Err(error), _)) => Err(unreadable(&error)),
            Either::Right(_) => Err(Error::TooSlow),
        }
    };
    SendWrapper::new(arrival).await
}

fn unreadable(error: &axum::Error) -> Error {
    let first: &dyn std::error::Error = error;
    let mut causes = std::iter::successors(Some(first), |error| error.source());
    if causes.any(|error| error.is::<LengthLimitError>()) {
        Error::TooLarge
    } else {
        Error::Malformed("the body could not be read".into())
    }
}

/// 415 for a body that is compressed: a few bytes of it may stand for more than there is room for.
pub(crate) fn must_be_plain(headers: &HeaderMap) -> Result<(), Error> {
    let plain = |coding: &[u8]| coding.trim_ascii().is_empty() || coding.trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().all(|coding| plain(coding.as_bytes())) {
        Ok(())
    } else {
        Err(Error::UnsupportedEncoding)
    }
}

/// Parses and validates: 400 for what is not JSON, 422 for JSON that is not what was asked for.
pub(crate) fn parse<T>(bytes: &[u8]) -> Result<T, Error>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    let mut deserializer = serde_json::Deserializer::from_str(json_text::checked(bytes)?);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner();
        if inner.is_data() {
            // serde_json adds " at line L column C", which is noise beside the name of the field.
            let message = inner.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            refused(if path == "." { "" } else { &path }, message)
        } else {
            Error::Malformed(format!("the body is not JSON: {inner}"))
        }
    })?;
    deserializer.end().map_err(|error| Error::Malformed(format!("the body is not JSON: {error}")))?;
    validate(&value)?;
    Ok(value)
}

/// 422 for what is wrong at `path`. A field that is missing has no path of its own: serde names it in the message.
fn refused(path: &str, message: &str) -> Error {
    match message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(field) if path.is_empty() => Error::invalid(field, "is missing"),
        Some(field) => Error::invalid(format!("{path}.{field}"), "is missing"),
        None => Error::invalid(path, message),
    }
}

/// A parameter of a query as what it stands for, nothing when it is empty; 422 that names it when it stands for nothing.
pub fn parsed<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<Option<T>, Error> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse::<T>().map(Some).map_err(|error| Error::invalid(field, error.to_string())),
    }
}

fn validate<T: Validate<Context = ()>>(value: &T) -> Result<(), Error> {
    value.validate().map_err(|report| {
        let fields = report
            .iter()
            .map(|(path, error)| FieldError { field: camel_case(&path.to_string()), message: error.to_string() });
        Error::Invalid(fields.collect())
    })
}

/// garde names fields as Rust does, clients as JSON does.
fn camel_case(path: &str) -> String {
    let mut result = String::with_capacity(path.len());
    let mut upper = false;
    for character in path.chars() {
        match character {
            '_' => upper = true,
            _ if upper => {
                result.extend(character.to_uppercase());
                upper = false;
            }
            _ => result.push(character),
        }
    }
    result
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

/// JSON that is written already, such as a column of a table: answered as it is, neither parsed nor written again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenJson(pub String);

/// Appends an array of what is written already.
pub(crate) fn write_list<'a>(to: &mut String, items: impl IntoIterator<Item = &'a str>) {
    to.push('[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            to.push(',');
        }
        to.push_str(item);
    }
    to.push(']');
}

impl WrittenJson {
    /// An array of these.
    pub fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = String::new();
        write_list(&mut list, items);
        Self(list)
    }

    /// The same object with one more field.
    pub fn with(mut self, name: &str, value: &impl Serialize) -> Result<Self, Error> {
        let field = format!("{}:{}", serde_json::to_string(name)?, serde_json::to_string(value)?);
        match self.0.trim_end().strip_suffix('}').map(str::len) {
            Some(end) => self.0.truncate(end),
            None => return Err(Error::Internal("json: a field was added to what is no object".into())),
        }
        if !self.0.trim_end().ends_with('{') {
            self.0.push(',');
        }
        self.0.push_str(&field);
        self.0.push('}');
        Ok(self)
    }
}

impl IntoResponse for WrittenJson {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

/// The parameters of the path. What does not parse names nothing: 404.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<()> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &()) -> Result<Self, Error> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Path(value)).map_err(|_| Error::not_found("resource"))
    }
}

/// The query string, parsed and validated.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T> FromRequestParts<()> for Query<T>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &()) -> Result<Self, Error> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map_err(|rejection| Error::Malformed(rejection.body_text()))?;
        validate(&query.0)?;
        Ok(Query(query.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, Validate)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        #[garde(range(min = 1, max = 1000))]
        item_quantity: u32,
    }

    #[derive(Debug, serde::Deserialize, Validate)]
    struct Form {
        #[garde(dive, length(min = 1, max = 2))]
        lines: Vec<Line>,
    }

    fn refusal(json: &str) -> Error {
        parse::<Form>(json.as_bytes()).unwrap_err()
    }

    #[test]
    fn written_json_takes_another_field() {
        let with = |json: &str| WrittenJson(json.into()).with("n", &[1]).map(|json| json.0).ok();
        assert_eq!(with(r#"{"items":[]}"#).as_deref(), Some(r#"{"items":[],"n":[1]}"#));
        assert_eq!(with("{}").as_deref(), Some(r#"{"n":[1]}"#));
        assert_eq!(with("[]"), None);
    }

    #[test]
    fn written_json_is_put_together_to_a_list() {
        let list = |items: &[&str]| WrittenJson::list(items.iter().copied()).0;
        assert_eq!((list(&[]), list(&["1"]), list(&["1", "{}"])), ("[]".into(), "[1]".into(), "[1,{}]".into()));
    }

    #[test]
    fn refusals_name_the_field() {
        assert!(matches!(refusal("{"), Error::Malformed(_)));
        assert!(matches!(refusal(r#"{"lines":[{"itemQuantity":1}]} x"#), Error::Malformed(_)));
        for (json, wanted) in [
            (r#"{"lines":[{"itemQuantity":"1"}]}"#, "lines[0].itemQuantity"),
            (r#"{"lines":[{"itemQuantity":-1}]}"#, "lines[0].itemQuantity"),
            (r#"{"lines":[{"itemQuantity":0}]}"#, "lines[0].itemQuantity"),
            (r#"{"lines":[{}]}"#, "lines[0].itemQuantity"),
            ("{}", "lines"),
            ("[]", ""),
            (r#"{"lines":[]}"#, "lines"),
        ] {
            let Error::Invalid(fields) = refusal(json) else { panic!("{json}") };
            assert_eq!(fields[0].field, wanted, "{json}");
            assert!(!fields[0].message.contains("line "), "{json}");
        }
    }
}
