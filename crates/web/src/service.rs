//! Serving: one router per instance, and around each request what all services have in common.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use axum::{
    Router,
    body::Body,
    extract::DefaultBodyLimit,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use events::Envelope;
use futures::future::LocalBoxFuture;
use http::{Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Either, Full};
use model::Timestamp;
use spin_sdk::http::Request;
use store::{Database, Transaction, Turns};
use tower_service::Service as _;
use uuid::Uuid;

use crate::{
    Error, Result, after, audit, auth::SigningKey, client, headers, idempotency, internal, lines::Streamed, rate_limit,
    rate_limit::Limit,
};

/// Longer bodies are refused with 413, unless a route has a limit of its own.
const LONGEST_BODY: usize = 64 * 1024;
/// At most one tick in this time is started by the requests of an instance.
const TICK_INTERVAL: i64 = 1000;

/// A service of the shop.
#[allow(async_fn_in_trait, reason = "a component has one thread")]
pub trait Service: 'static {
    /// Its name: of the component, in events, in calls.
    const NAME: &'static str;
    /// Its database, when it has one.
    const DATABASE: Option<&'static Database>;

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
    /// Where requests are counted, and how many may come.
    limit: Option<(&'static Database, Limit)>,
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
    S::start().await?;
    // Under load an instance may live for less than a second. Starting at a random point of the interval, many
    // short-lived ones together still tick once a second.
    let phase = i64::from(Uuid::new_v4().as_bytes()[0]) * TICK_INTERVAL / 256;
    let instance = Rc::new(Instance {
        router: RefCell::new(router::<S>()),
        limit: match S::DATABASE {
            Some(database) => Some((database, Limit::of(S::NAME).await?)),
            None => None,
        },
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
        .fallback(|method: http::Method, uri: Uri| async move {
            Error::NotFound(format!("route {method} {}", uri.path()).into())
        })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed })
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
    let trace = headers::Trace::of(request.headers());
    let method = request.method().clone();
    let if_none_match = request.headers().get(header::IF_NONE_MATCH).cloned();
    // Whatever is written down of it goes by the id that its answer has.
    trace.put_into(request.headers_mut());

    let response = events::trace::scope(trace.traceparent.clone(), answer::<S>(request)).await;
    if response.status().is_server_error() {
        eprintln!("error: {} for request {}, trace {}", response.status(), trace.request_id, trace.traceparent);
    }
    let (mut parts, body) = response.into_parts();
    let mut response = if parts.extensions.remove::<Streamed>().is_some() {
        http::Response::from_parts(parts, Either::Right(body))
    } else {
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let mut response = http::Response::from_parts(parts, body);
        headers::etag(&method, if_none_match.as_ref(), &mut response);
        response.map(|body| Either::Left(Full::new(body)))
    };
    headers::write(response.headers_mut(), &trace);

    leave_work::<S>();
    response
}

async fn answer<S: Service>(request: Request) -> Response<Body> {
    let instance = match instance::<S>().await {
        Ok(instance) => instance,
        Err(error) => {
            eprintln!("error: {} cannot start: {error}", S::NAME);
            return Error::Unavailable(S::NAME.into()).into_response();
        }
    };
    let inside = headers::is_internal(request.headers());
    if !inside && request.uri().path().starts_with("/internal") {
        return Error::NotFound(format!("route {} {}", request.method(), request.uri().path()).into()).into_response();
    }
    let budget = match &instance.limit {
        Some((database, limit)) if !inside => {
            let (budget, outcome) = limit.count(database, headers::client(request.headers())).await;
            if let Err(error) = outcome {
                let mut response = error.into_response();
                budget.write(response.headers_mut());
                return response;
            }
            Some(budget)
        }
        _ => None,
    };
    let mut router = instance.router.borrow().clone();
    let mut response = match router.call(without_trailing_slash(request)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if let Some(budget) = budget {
        budget.write(response.headers_mut());
    }
    response
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
        spin_sdk::wasip3::spawn(async {
            if let Err(error) = tick::<S>().await {
                eprintln!("error: tick of {}: {error}", S::NAME);
            }
        });
    }
}

/// The tick that is running in this instance; another may begin when this is dropped.
struct Ticking(Rc<Instance>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.ticking.set(false);
    }
}

/// One bounded round of housekeeping; nothing when one is running in this instance.
pub(crate) async fn tick<S: Service>() -> Result<()> {
    let (Some(database), Some(instance)) = (S::DATABASE, started()) else { return Ok(()) };
    if instance.ticking.replace(true) {
        return Ok(());
    }
    let ticking = Ticking(instance);
    ticking.0.next_tick.set(Timestamp::now().0 + TICK_INTERVAL);
    let outcome = housekeeping::<S>(database).await;
    drop(ticking);
    after::start(Some(database));
    outcome
}

async fn housekeeping<S: Service>(database: &'static Database) -> Result<()> {
    let done = S::tick().await;
    // What the service could not do must not hold up what others wait for.
    events::relay_due(database).await;
    let now = Timestamp::now();
    events::prune(database, now).await?;
    idempotency::prune(database, now).await?;
    rate_limit::prune(database, now).await?;
    audit::prune(database, now).await?;
    done
}
