//! What the tests start, and how they ask it.

use std::path::{Path, PathBuf};

use bodega_host::{Host, Options};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// The application that most tests use: the probe with everything it may ask for.
pub const PROBE: &str = r#"
spin_manifest_version = 2
[application]
name = "fixture"
version = "1.2.3"
[variables]
greeting = { default = "hello" }
[[trigger.http]]
route = "/probe/..."
component = "probe"
[[trigger.http]]
route = { private = true }
component = "hidden"
[component.probe]
source = "{probe}"
sqlite_databases = ["default"]
key_value_stores = ["default"]
allowed_outbound_hosts = ["http://hidden.spin.internal"]
environment = { MODE = "test" }
[component.probe.variables]
greeting = "{{ greeting }}, world"
[component.hidden]
source = "{probe}"
key_value_stores = ["default"]
"#;

/// A running application with a directory of its own.
pub struct Fixture {
    pub host: Host,
    directory: TempDir,
}

/// An answer: its status, headers and body.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body as JSON, of an answer that must be 200.
    pub fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    /// The error that the probe tells.
    pub fn error(&self) -> &str {
        assert_eq!(self.status, StatusCode::CONFLICT, "{}", self.body);
        &self.body
    }
}

/// Starts an application, or tells why it does not start.
pub async fn try_start(manifest: &str, adapt: impl FnOnce(&mut Options)) -> anyhow::Result<Fixture> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("spin.toml");
    std::fs::write(&path, with_sources(manifest))?;
    let mut options = Options::new(path);
    options.data_root = Some(directory.path().join("data"));
    options.cache_dir = target().join("bodega-host-cache");
    options.quiet = true;
    adapt(&mut options);
    Ok(Fixture { host: Host::start(options).await?, directory })
}

/// Starts an application with options of its own.
pub async fn start_with(manifest: &str, adapt: impl FnOnce(&mut Options)) -> Fixture {
    let started = try_start(manifest, adapt).await;
    started.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Starts an application.
pub async fn start(manifest: &str) -> Fixture {
    start_with(manifest, |_| {}).await
}

/// Why an application does not start.
pub async fn refusal(manifest: &str) -> String {
    match try_start(manifest, |_| {}).await {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error:#}"),
    }
}

impl Fixture {
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, "")).await
    }

    /// The file of the key-value store with the label `default`.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data/key_value_store/default.db")
    }

    /// Has the probe run statements on its database, one a line.
    pub async fn sql(&self, statements: &str) -> Answer {
        self.send(request(Method::POST, "/probe/sql", statements)).await
    }

    /// Sends a request to the public address, on a connection of its own.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.host.address()).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        if !request.headers().contains_key("host") {
            let host = self.host.address().to_string();
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// Sends a request to a component by service chaining.
    pub async fn call(&self, component: &str, path: &str) -> Answer {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        let (parts, body) = self.host.call(component, request).await.unwrap().into_parts();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
    }
}

pub fn request(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(path);
    builder.body(Full::from(body.to_owned())).unwrap()
}

/// Puts the paths of the built guests for `{probe}` and so on.
pub fn with_sources(manifest: &str) -> String {
    ["probe", "hello", "consumer", "provider", "listener"].into_iter().fold(manifest.to_owned(), |manifest, name| {
        let place = format!("\"{{{name}}}\"");
        if !manifest.contains(&place) {
            return manifest;
        }
        let path = target().join(format!("wasm32-wasip1/release/{name}.wasm"));
        assert!(path.exists(), "{} is missing: run `make build` first", path.display());
        manifest.replace(&place, &format!("{path:?}"))
    })
}

fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let moved = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    workspace.join(moved.unwrap_or("target".into()))
}

/// The values of a header in what `/echo` answers.
pub fn echoed(echo: &Value, header: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().unwrap();
    let values = headers.iter().filter(|pair| pair[0] == header);
    values.map(|pair| pair[1].as_str().unwrap().to_owned()).collect()
}
