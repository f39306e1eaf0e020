//! `wasi:http` to the outside: service chaining, the application's own address, and other hosts, as
//! far as `allowed_outbound_hosts` lets a component.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::HOST;
use http::uri::{Authority, Parts, Scheme};
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::allowed_hosts::chained_component;
use crate::control::{Call, Gate};
use crate::instance::Shared;

/// Progress of a connection, after the head of a response.
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What an instance's outbound HTTP needs.
#[derive(Clone)]
pub(crate) struct Hooks {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    filter: ForbiddenHeaderFilter,
}

impl Hooks {
    pub(crate) fn new(shared: Arc<Shared>, gate: Arc<Gate>) -> Self {
        let filter = shared.runtime.header_filter.clone();
        Self { shared, gate, filter }
    }
}

/// Tells the headers that no component may see or set. `Host` is not among them: components on Spin
/// read it.
pub(crate) fn header_filter() -> ForbiddenHeaderFilter {
    let forbidden: Vec<HeaderName> = DEFAULT_FORBIDDEN_HEADERS.into_iter().filter(|name| name != HOST).collect();
    Arc::new(move |name| forbidden.contains(name))
}

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        self.filter.clone()
    }

    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        (self.filter)(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        // The guest's trouble with the response: nobody here could do anything about it.
        _trouble: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        let hooks = self.clone();
        Box::new(async move {
            let detail = if hooks.gate.control.is_some() {
                format!("{} {}", request.method(), request.uri())
            } else {
                String::new()
            };
            let call = Call { interface: "http", function: "send", detail: &detail };
            let refuse = |message| Error::InternalError(Some(message));
            let sent = hooks.gate.pass(call, refuse, hooks.send(request, options));
            match sent.await {
                Ok(result) => result,
                // This function cannot trap. The worker sees the switch and ends the instance.
                Err(_killed) => std::future::pending().await,
            }
        })
    }
}

impl Hooks {
    async fn send(
        &self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<(Response<WasiBody>, Io), Error> {
        let authority = request.uri().authority().map(Authority::host);
        if matches!(authority, None | Some("" | "self.alt")) {
            if !self.shared.allowed_hosts.allows_own() {
                return self.denied(request.uri());
            }
            let own = self.shared.runtime.address();
            *request.uri_mut() = to_address(request.uri().clone(), own)?;
        } else if !self.shared.allowed_hosts.allows(request.uri()) {
            return self.denied(request.uri());
        }
        let target = request.uri().host().and_then(chained_component);
        if let Some(component) = target.map(str::to_owned) {
            // As in Spin, a chained component sees no host.
            request.headers_mut().remove(HOST);
            let response = self.shared.runtime.chain(&component, request).await?;
            return Ok((response, Box::new(async { Ok(()) })));
        }
        set_host(&mut request);
        let sent = wasmtime_wasi_http::default_send_request(request, options).await;
        let (response, io) = sent?;
        Ok((response.map(BodyExt::boxed_unsync), Box::new(io)))
    }

    fn denied<T>(&self, uri: &Uri) -> Result<T, Error> {
        if !self.shared.runtime.quiet {
            eprintln!(
                "[{}] may not call {uri}: allowed_outbound_hosts of the component does not have it",
                self.shared.id
            );
        }
        Err(Error::HttpRequestDenied)
    }
}

/// Makes the `Host` header that of the URI, whatever the component has put there.
fn set_host(request: &mut Request<WasiBody>) {
    let authority = request.uri().authority().map(Authority::as_str);
    if let Some(Ok(host)) = authority.map(HeaderValue::from_str) {
        request.headers_mut().insert(HOST, host);
    }
}

/// The same path at the application's own address.
fn to_address(uri: Uri, address: SocketAddr) -> Result<Uri, Error> {
    let invalid = |_| Error::HttpRequestUriInvalid;
    let mut parts: Parts = uri.into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(address.to_string().parse().map_err(|_| Error::HttpRequestUriInvalid)?);
    Uri::from_parts(parts).map_err(invalid)
}
