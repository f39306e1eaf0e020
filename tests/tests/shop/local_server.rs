//! A server of another company, on this machine, that has moods.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It is carried out and answered.
    Fine,
    /// It is answered with this status and not carried out.
    Answering(u16),
    /// It is carried out, and answered with a 500 all the same.
    FailingAfterwards,
    /// It is not carried out, and never answered.
    Hanging,
    /// It is carried out, and never answered.
    HangingAfterwards,
    /// It is not carried out, and the connection is closed.
    Resetting,
    /// It is carried out, and the connection is closed.
    ResettingAfterwards,
}

impl Mood {
    /// A server with trouble of its own.
    pub const FAILING: Mood = Mood::Answering(500);
}

/// What a server does with requests.
pub trait Work: Send + Sync + 'static {
    /// Carries one out: the status and the JSON that it answers.
    fn carry_out(&self, head: &Parts, body: &Bytes) -> (u16, Value);

    /// `Retry-After`, in seconds, of a 429.
    fn retry_after(&self) -> Option<u64> {
        None
    }
}

/// A running server. It ends when it is dropped.
pub struct LocalServer<W> {
    address: SocketAddr,
    state: Arc<State<W>>,
    serving: JoinHandle<()>,
}

struct State<W> {
    mood: Mutex<Mood>,
    requests: AtomicUsize,
    work: Arc<W>,
}

impl<W: Work> LocalServer<W> {
    pub async fn start(work: W) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state =
            Arc::new(State { mood: Mutex::new(Mood::Fine), requests: AtomicUsize::new(0), work: Arc::new(work) });
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                let answer = service_fn(move |request| {
                    let state = state.clone();
                    async move { state.answer(request).await }
                });
                // That a client goes away, or is sent away, is what happens here.
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { address, state, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set_mood(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    pub fn work(&self) -> &Arc<W> {
        &self.state.work
    }
}

impl<W> Drop for LocalServer<W> {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl<W: Work> State<W> {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, &'static str> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().unwrap();
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| "the client has gone")?.to_bytes();
        let work = || self.work.carry_out(&head, &body);
        let refused = |status: u16| (status, json!({ "message": "not now", "error": { "type": "api_error" } }));
        let (status, json) = match mood {
            Mood::Fine => work(),
            Mood::Answering(status) => refused(status),
            Mood::FailingAfterwards => {
                work();
                refused(500)
            }
            Mood::Hanging => std::future::pending().await,
            Mood::HangingAfterwards => {
                work();
                std::future::pending().await
            }
            Mood::Resetting => return Err("no answer"),
            Mood::ResettingAfterwards => {
                work();
                return Err("no answer");
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let (429, Some(seconds)) = (status, self.work.retry_after()) {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        Ok(response)
    }
}
