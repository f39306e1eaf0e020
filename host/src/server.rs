//! The HTTP server: HTTP/1.1 and, for clients that begin with it, HTTP/2, without TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wasmtime_wasi_http::Error;

use crate::application::Application;

/// The accepting side of a host.
pub(crate) struct Server {
    stop: oneshot::Sender<Duration>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves connections of `listener` until [`Server::stop`], or until this is dropped.
    pub(crate) fn start(listener: TcpListener, application: Arc<Application>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, application, stopped));
        Self { stop, accepting }
    }

    /// Stops accepting and lets the requests in flight finish, at most for `bound`.
    pub(crate) async fn stop(&mut self, bound: Duration) {
        let (closed, _) = oneshot::channel();
        _ = std::mem::replace(&mut self.stop, closed).send(bound);
        _ = (&mut self.accepting).await;
    }
}

async fn accept(listener: TcpListener, application: Arc<Application>, mut stopped: oneshot::Receiver<Duration>) {
    let builder = Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    let bound = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    serve(&builder, &graceful, stream, client, application.clone());
                }
                // Out of descriptors, or the client is gone: others may do better in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            bound = &mut stopped => break bound.unwrap_or_default(),
        }
    };
    drop(listener);
    _ = tokio::time::timeout(bound, graceful.shutdown()).await;
}

fn serve(
    builder: &Builder<TokioExecutor>,
    graceful: &GracefulShutdown,
    stream: TcpStream,
    client: SocketAddr,
    application: Arc<Application>,
) {
    // A response must not wait for the next one to fill its packet.
    _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let application = application.clone();
        async move {
            let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
            Ok::<_, Infallible>(application.respond(request, client).await)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection.into_owned());
    tokio::spawn(async move {
        // A client that goes away is nobody's concern.
        _ = connection.await;
    });
}
