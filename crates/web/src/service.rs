//! Serving: one router per instance, and around each request what all services have in common.

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::IpAddr,
    rc::Rc,
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use events::{Envelope, trace::Trace};
use futures::future::LocalBoxFuture;
use http::{HeaderValue, Method, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Either, Full};
use model::Timestamp;
use spin_sdk::http::Request;
use store::{Database, Transaction, Turns};
use tower_service::Service as _;
use uuid::Uuid;

use crate::{
    Error, Result, access_log, after, audit,
    auth::SigningKey,
    body::LONGEST_BODY,
    classic, client,
    client_address::{self, is_internal},
    edge, head, headers, idempotency, internal,
    lines::Streamed,
    metrics::{self, Gauge},
    rate_limit::{self, Limits},
    variable,
};

/// Who brings events to brokers outside of the shop.
const BROKER: &str = "broker";
/// At most one tick in this time is started by the requests of an instance.
const TICK_INTERVAL: i64 = 1000;

/// A service of the shop.
#[allow(async_fn_in_trait, reason = "a component has one thread")]
pub trait Service: 'static {
    /// Its name: of the component, in events, in calls.
    const NAME: &'static str;
    /// Its database, when it has one.
    const DATABASE: Option<&'static Database>;

    /// Paths at which somebody could try out what lets them in: their requests are counted apart, and fewer are allowed.
    const SIGN_IN: &'static [&'static str] = &[];

    /// Paths that are answered however often they are asked for: whoever watches must not take a limit for an outage.
    const PROBES: &'static [&'static str] = &[];

    /// Its routes, with whole paths.
    fn routes() -> Router;

    /// What it does when an event of another service arrives, in the transaction that makes it happen once. Types it
    /// does not know are none of its business.
    async fn react(_transaction: &Transaction, _event: &Envelope) -> Result<()> {
        Ok(())
    }

    /// One bounded round of its own housekeeping.
    async fn tick() -> Result<()> {
        Ok(())
    }

    /// What it knows of itself, for `/metrics`. Asked every few seconds: nothing that grows with a table.
    async fn gauges() -> Result<Vec<Gauge>> {
        Ok(Vec::new())
    }

    /// Runs once in each instance, before its first request. While it fails, the service is unavailable.
    async fn start() -> Result<()> {
        Ok(())
    }

    /// The keys that check access tokens.
    async fn signing_keys() -> Result<Vec<SigningKey>> {
        client::get("accounts", "/internal/keys").await?.ok_or(Error::Unavailable("accounts".into()))
    }
}

/// What an instance keeps from one request to the next.
struct Instance {
    router: RefCell<Router>,
    limits: Limits,
    next_tick: Cell<i64>,
    ticking: Cell<bool>,
    signing_keys: fn() -> LocalBoxFuture<'static, Result<Vec<SigningKey>>>,
}

thread_local! {
    static INSTANCE: OnceCell<Rc<Instance>> = const { OnceCell::new() };
    static STARTING: Rc<Turns> = Turns::new(1);
}

fn started() -> Option<Rc<Instance>> {
    INSTANCE.with(|instance| instance.get().cloned())
}

async fn instance<S: Service>() -> Result<Rc<Instance>> {
    if let Some(instance) = started() {
        return Ok(instance);
    }
    let starting = STARTING.with(Rc::clone);
    let _one_at_a_time = starting.take().await;
    if let Some(instance) = started() {
        return Ok(instance);
    }
    // First: what it does when it starts may be told of.
    if S::DATABASE.is_some() && variable::has_broker(S::NAME).await? {
        events::copy_all_to(Some(BROKER));
    }
    S::start().await?;
    // Under load an instance may live for less than a second. Starting at a random point of the interval, many
    // short-lived ones together still tick once a second.
    let phase = i64::from(Uuid::new_v4().as_bytes()[0]) * TICK_INTERVAL / 256;
    let instance = Rc::new(Instance {
        router: RefCell::new(router::<S>()),
        limits: Limits::of(S::NAME, S::DATABASE, !S::SIGN_IN.is_empty()).await?,
        next_tick: Cell::new(Timestamp::now().0 + phase),
        ticking: Cell::new(false),
        signing_keys: || Box::pin(S::signing_keys()),
    });
    let kept = instance.clone();
    INSTANCE.with(move |cell| {
        cell.get_or_init(|| kept);
    });
    Ok(instance)
}

fn router<S: Service>() -> Router {
    S::routes()
        .merge(internal::routes::<S>())
        .fallback(|method: Method, uri: Uri| async move { Error::NoRoute(format!("{method} {}", uri.path())) })
        .method_not_allowed_fallback(|request: axum::extract::Request| {
            metrics::met(request.extensions());
            async { Error::MethodNotAllowed }
        })
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
}

pub(crate) async fn signing_keys() -> Result<Vec<SigningKey>> {
    match started() {
        Some(instance) => (instance.signing_keys)().await,
        None => Err(Error::Internal("a token was checked before the instance had started".into())),
    }
}

/// Answers one request; the whole entry point of a service.
pub async fn serve<S: Service>(mut request: Request) -> http::Response<Either<Full<Bytes>, Body>> {
    let begun = Instant::now();
    let under_way = metrics::arrived();
    let trace = headers::Trace::of(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let if_none_match: Vec<_> = request.headers().get_all(header::IF_NONE_MATCH).iter().cloned().collect();
    // Answered as GET, so that there is a body to make the tag of.
    if method == Method::HEAD {
        *request.method_mut() = Method::GET;
    }
    // Whatever is written down of it goes by the id that its answer has.
    trace.put_into(request.headers_mut());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let from = From { internal: is_internal(request.headers()), client: None };

    let edge = edge::get().await;
    let (response, route, from) = match &edge {
        Ok(edge) => {
            let from = From { client: edge.proxies.client(request.headers()), ..from };
            let (response, route) = match edge.cors.preflight(request.method(), request.headers()) {
                Some(response) => (response, None),
                None => events::trace::scope(trace.shared(), answer::<S>(request, &from)).await,
            };
            (response, route, from)
        }
        Err(error) => (cannot_start::<S>(error), None, from),
    };
    let response = if from.internal || !classic::is_path(&path) { response } else { classic::told(response) };
    let status = response.status();
    if status.is_server_error() {
        eprintln!("error: {status} for request {}, trace {}", trace.request_id, trace.traceparent);
    }
    let (mut response, bytes) = finished(&method, &if_none_match, response).await;
    headers::write(response.headers_mut(), &trace);
    if let Ok(edge) = &edge {
        edge.cors.write(origin.as_ref(), response.headers_mut());
        edge.log.write(&access_log::Entry {
            service: S::NAME,
            method: &method,
            path: &path,
            status: response.status(),
            duration: begun.elapsed(),
            trace: &trace,
            client: from.client,
            internal: from.internal,
            bytes,
        });
    }

    if let Some(database) = S::DATABASE
        && metrics::count(under_way, &method, route, response.status(), begun, begun.elapsed())
    {
        spin_sdk::wasip3::spawn(metrics::flush(database));
    }
    leave_work::<S>();
    response
}

/// What goes out of an answer, and how many bytes that are when it is not sent as it is made.
async fn finished(
    method: &Method,
    if_none_match: &[HeaderValue],
    response: Response<Body>,
) -> (http::Response<Either<Full<Bytes>, Body>>, Option<usize>) {
    let (mut parts, body) = response.into_parts();
    if parts.extensions.remove::<Streamed>().is_some() {
        return match *method {
            Method::HEAD => (http::Response::from_parts(parts, Either::Left(Full::default())), Some(0)),
            _ => (http::Response::from_parts(parts, Either::Right(body)), None),
        };
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut response = http::Response::from_parts(parts, body);
    headers::etag(method, if_none_match, &mut response);
    if *method == Method::HEAD {
        *response.body_mut() = Bytes::new();
    }
    let bytes = response.body().len();
    (response.map(|body| Either::Left(Full::new(body))), Some(bytes))
}

/// Where a request comes from.
struct From {
    /// From another component of the shop.
    internal: bool,
    client: Option<IpAddr>,
}

fn cannot_start<S: Service>(error: &Error) -> Response<Body> {
    eprintln!("error: {} cannot start: {error}", S::NAME);
    Error::Unavailable(S::NAME.into()).into_response()
}

/// The answer, and the route that the request has met.
async fn answer<S: Service>(request: Request, from: &From) -> (Response<Body>, Option<MatchedPath>) {
    let instance = match instance::<S>().await {
        Ok(instance) => instance,
        Err(error) => return (cannot_start::<S>(&error), None),
    };
    let request = without_trailing_slash(request);
    let path = request.uri().path();
    if !from.internal && path.starts_with("/internal") {
        let refusal = Error::NoRoute(format!("{} {path}", request.method()));
        return (refusal.into_response(), None);
    }
    let (budget, refusal) = if from.internal {
        (None, None)
    } else {
        let client = client_address::counted_as(from.client);
        let (budget, counted) = match S::PROBES.contains(&path) {
            true => (instance.limits.budget(&client), Ok(())),
            false => instance.limits.count(&client, S::SIGN_IN.contains(&path)).await,
        };
        (Some(budget), counted.err())
    };
    let refusal = refusal.or_else(|| head::check(request.uri(), request.headers()).err());
    let (mut response, route) = match refusal {
        Some(refusal) => (refusal.into_response(), None),
        None => {
            let mut router = instance.router.borrow().clone();
            let (Ok(response), route) = metrics::routed(router.call(request)).await;
            (response, route)
        }
    };
    if let Some(budget) = budget {
        budget.write(response.headers_mut());
    }
    (response, route)
}

/// A path with and without a trailing slash is the same path.
fn without_trailing_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let path = uri.path();
    if path.len() > 1 && path.ends_with('/') {
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { "/" } else { path };
        let path_and_query = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let mut parts = uri.clone().into_parts();
        if let Ok(path_and_query) = PathAndQuery::try_from(path_and_query) {
            parts.path_and_query = Some(path_and_query);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    request
}

/// Starts what goes on after the response: deliveries, delayed work, now and then a tick.
fn leave_work<S: Service>() {
    after::start(S::DATABASE);
    let (Some(database), Some(instance)) = (S::DATABASE, started()) else { return };
    if events::has_work() {
        spin_sdk::wasip3::spawn(events::relay(database));
    }
    if Timestamp::now().0 >= instance.next_tick.get() {
        spin_sdk::wasip3::spawn(events::trace::scope(Trace::new(), async {
            // It has told what has failed.
            _ = tick::<S>().await;
        }));
    }
}

/// The tick that is running in this instance; another may begin when this is dropped.
struct Ticking(Rc<Instance>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.ticking.set(false);
    }
}

/// What has become of a round of housekeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    Done,
    /// Another one is running in this instance, so there was none.
    Running,
}

/// One bounded round of housekeeping, unless one is running in this instance.
pub(crate) async fn tick<S: Service>() -> Result<Round> {
    let (Some(database), Some(instance)) = (S::DATABASE, started()) else { return Ok(Round::Done) };
    if instance.ticking.replace(true) {
        return Ok(Round::Running);
    }
    let ticking = Ticking(instance);
    ticking.0.next_tick.set(Timestamp::now().0 + TICK_INTERVAL);
    let outcome = housekeeping::<S>(database).await;
    drop(ticking);
    after::start(Some(database));
    outcome.map(|()| Round::Done)
}

/// All its steps, whatever becomes of each: none must hold up the others.
async fn housekeeping<S: Service>(database: &'static Database) -> Result<()> {
    let own = S::tick().await;
    events::relay_due(database).await;
    let now = Timestamp::now();
    let steps = [
        ("its own work", own),
        ("old events", events::prune(database, now).await.map_err(Error::from)),
        ("old idempotency keys", idempotency::prune(database, now).await),
        ("old windows of rate limits", rate_limit::prune(database, now).await),
        ("the audit log", audit::prune(database, now).await),
        ("the sums of metrics", metrics::compact(database, now).await),
    ];
    first_failure(S::NAME, steps)
}

/// Tells of each step that has failed, and returns the first.
fn first_failure(service: &str, steps: impl IntoIterator<Item = (&'static str, Result<()>)>) -> Result<()> {
    let mut outcome = Ok(());
    for (step, done) in steps {
        if let Err(error) = done {
            eprintln!("error: tick of {service}: {step}: {error}");
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_of_a_round_is_its_outcome() {
        let failure = |of: &str| Err(Error::Internal(of.to_owned()));
        assert_eq!(first_failure("x", [("a", Ok(())), ("b", Ok(()))]), Ok(()));
        let steps = [("a", Ok(())), ("b", failure("b")), ("c", Ok(())), ("d", failure("d"))];
        assert_eq!(first_failure("x", steps), failure("b"));
    }
}
