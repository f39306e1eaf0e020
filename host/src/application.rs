//! The application as its clients see it: routes, the host's own paths, and who answers.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use wasmtime_wasi_http::WasiBody;

use crate::headers::strip_forged;
use crate::routes::{Router, WELL_KNOWN};
use crate::runtime::Service;

/// An application, ready to serve.
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) router: Router,
    /// The components that have an HTTP trigger, public or private.
    pub(crate) services: HashMap<String, Service>,
}

impl Application {
    /// Answers a request from outside.
    pub(crate) async fn respond(&self, mut request: Request<WasiBody>, client: SocketAddr) -> Response<WasiBody> {
        strip_forged(request.headers_mut());
        let path = request.uri().path().to_owned();
        if let Some(own) = path.strip_prefix(WELL_KNOWN) {
            return self.respond_own(own);
        }
        let Some(matched) = self.router.find(&path) else {
            return empty_response(StatusCode::NOT_FOUND);
        };
        let Some(service) = self.services.get(matched.component) else {
            return empty_response(StatusCode::NOT_FOUND);
        };
        if let Err(error) = make_absolute(&mut request) {
            let message = Full::from(format!("{error:#}\n"));
            let mut response = Response::new(boxed(message));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return response;
        }
        service.respond(request, &matched, client).await
    }

    fn respond_own(&self, path: &str) -> Response<WasiBody> {
        match path {
            "health" => Response::new(boxed(Full::from("OK"))),
            "info" => {
                let info = serde_json::json!({ "name": self.name, "version": self.version });
                let mut response = Response::new(boxed(Full::from(info.to_string())));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
                response
            }
            _ => empty_response(StatusCode::NOT_FOUND),
        }
    }
}

/// Gives the request an absolute URI, with the authority that it names itself.
fn make_absolute(request: &mut Request<WasiBody>) -> Result<()> {
    let host = request.headers().get(HOST);
    let host: Option<Authority> =
        host.map(|host| Authority::try_from(host.as_bytes())).transpose().context("the Host header is not a host")?;
    let mut parts = request.uri().clone().into_parts();
    if let (Some(host), Some(authority)) = (&host, &parts.authority) {
        ensure!(host == authority, "the Host header and the URI disagree");
    }
    let authority = parts.authority.take().or(host);
    parts.authority = Some(authority.context("the request names no host")?);
    parts.scheme = Some(Scheme::HTTP);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

/// A response without a body.
pub(crate) fn empty_response(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// A body that is all there.
pub(crate) fn boxed(body: Full<Bytes>) -> WasiBody {
    body.map_err(|never| match never {}).boxed_unsync()
}
