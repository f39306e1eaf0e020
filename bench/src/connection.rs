//! One kept-alive HTTP/1.1 connection. The generator shares the machine with what it measures, so it does no more than
//! a client must.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The JSON of a successful reply.
    pub(crate) fn json(&self) -> Result<Value> {
        ensure!(self.status.is_success(), "{} {}", self.status, String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).context("the reply is not JSON")
    }
}

/// A connection, opened at the first request and again after a failure.
pub(crate) struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self { address, host: HeaderValue::from_str(&address.to_string())?, sender: None })
    }

    /// Sends a request and reads the whole reply.
    pub(crate) async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Reply> {
        request.headers_mut().insert(header::HOST, self.host.clone());
        let mut sender = match self.sender.take() {
            Some(sender) => sender,
            None => self.open().await?,
        };
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok(Reply { status, body })
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors come out at the sender.
        tokio::spawn(connection);
        Ok(sender)
    }

    pub(crate) async fn get(&mut self, path: &str, token: Option<&Token>) -> Result<Reply> {
        self.send(get(path.parse()?, token)).await
    }

    pub(crate) async fn post(&mut self, path: &str, token: Option<&Token>, body: &Value) -> Result<Reply> {
        self.send(post(path.parse()?, token, body.to_string().into())).await
    }
}

/// The value of an `Authorization` header.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

impl Token {
    /// The access token of a sign-in's answer.
    pub(crate) fn of(signed_in: &Value) -> Result<Self> {
        let token = signed_in["accessToken"].as_str().context("no access token")?;
        Ok(Self(HeaderValue::from_str(&format!("Bearer {token}"))?))
    }
}

pub(crate) fn get(path: Uri, token: Option<&Token>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = path;
    if let Some(Token(token)) = token {
        request.headers_mut().insert(header::AUTHORIZATION, token.clone());
    }
    request
}

pub(crate) fn post(path: Uri, token: Option<&Token>, json: Bytes) -> Request<Full<Bytes>> {
    let mut request = get(path, token).map(|_| Full::new(json));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}
