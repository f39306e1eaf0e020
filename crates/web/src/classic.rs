//! The clients of older shops, whose paths lie outside of `/api/v1`: how they are told what went wrong.
//! `docs/classic-api.md` says who they are.

use axum::{
    Router,
    body::Body,
    middleware::map_response,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Error, FieldError};

/// Why a request was not answered as asked, as the clients of older shops read it. It has changed nothing.
#[derive(Serialize, ToSchema)]
pub struct ClassicError<'a> {
    /// A sentence for people.
    #[schema(example = "order not found")]
    message: &'a str,
    /// What is wrong with which fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

/// Whether it is a path of older shops: the API itself tells of problems, after RFC 9457.
pub fn is_path(path: &str) -> bool {
    path.strip_prefix("/api/v1").is_none_or(|rest| !rest.is_empty() && !rest.starts_with('/'))
}

/// The same answer for those clients.
pub(crate) fn told(mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<Error>() else { return response };
    let status = error.status_for_classics(response.status());
    say(response, status, &error.message_for_classics(), error.fields())
}

/// An answer that is a sentence: `{"message": …}`.
pub fn message(status: StatusCode, text: &str) -> Response {
    say(Response::new(Body::empty()), status, text, &[])
}

fn say(mut response: Response, status: StatusCode, message: &str, errors: &[FieldError]) -> Response {
    let body = serde_json::to_vec(&ClassicError { message, errors }).unwrap_or_default();
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // The router has written down that of the body before.
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
    response
}

/// The routes of the cart shop, which has its own words for those who are not signed in: 401 without a token, 403 with one
/// that does not hold.
pub fn cart_shop(routes: Router) -> Router {
    routes.layer(map_response(async |mut response: Response| {
        let (status, text) = match response.extensions().get::<Error>() {
            Some(Error::Unauthenticated(_)) => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Some(Error::InvalidToken(_)) => (StatusCode::FORBIDDEN, "Invalid token"),
            _ => return response,
        };
        response.extensions_mut().remove::<Error>();
        if status == StatusCode::FORBIDDEN {
            response.headers_mut().remove(header::WWW_AUTHENTICATE);
        }
        say(response, status, text, &[]).into_response()
    }))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn as_told(error: Error) -> (u16, Value) {
        let response = told(error.into_response());
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let status = response.status().as_u16();
        let body = block_on(response.into_body().collect()).unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn only_the_api_itself_tells_of_problems() {
        for path in ["/api/v1", "/api/v1/orders"] {
            assert!(!is_path(path), "{path}");
        }
        for path in ["/", "/api", "/api/v10", "/api/orders", "/orders/1", "/internal/products/1"] {
            assert!(is_path(path), "{path}");
        }
    }

    #[test]
    fn an_error_is_a_message() {
        assert_eq!(as_told(Error::not_found("order")), (404, json!({"message": "order not found"})));
        let unknown = Error::NoRoute("GET /unknown-route".into());
        assert_eq!(as_told(unknown), (404, json!({"message": "Route not found: GET /unknown-route"})));
        let internal = as_told(Error::Internal("secret".into()));
        assert_eq!(internal.0, 500);
        assert!(!internal.1.to_string().contains("secret"));
    }

    #[test]
    fn the_length_of_a_message_is_its_own() {
        let mut router = Router::new().route("/", axum::routing::get(async || Error::not_found("order")));
        let request = axum::extract::Request::get("/").body(Body::empty()).unwrap();
        let response = block_on(tower_service::Service::call(&mut router, request)).unwrap();
        assert!(response.headers().contains_key(header::CONTENT_LENGTH));
        let told = told(response);
        let length = told.headers()[header::CONTENT_LENGTH].to_str().unwrap().parse();
        assert_eq!(length, Ok(block_on(told.into_body().collect()).unwrap().to_bytes().len()));
    }

    #[test]
    fn fields_that_are_not_valid_are_a_bad_request_that_names_them() {
        let (status, body) = as_told(Error::invalid("price", "lower than 0"));
        let errors = json!([{"field": "price", "message": "lower than 0"}]);
        assert_eq!((status, body), (400, json!({"message": "price: lower than 0", "errors": errors})));
    }

    proptest! {
        #[test]
        fn every_path_is_of_one_kind(rest in "[a-z0-9/]{0,20}") {
            let path = format!("/api/v1/{rest}");
            prop_assert!(!is_path(&path));
            let without_a_slash = format!("/api/v1x{rest}");
            prop_assert!(is_path(&without_a_slash));
        }
    }
}
