//! Does what a test tells it to, with whatever the host offers: the last segment of a request's path,
//! or its header `x-probe`, names the deed, its query has the details, and the answer tells the result. Errors of the host are answered 409.

mod brokers;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use spin_sdk::http::{IntoResponse, Request, StatusCode};
use spin_sdk::http_service;
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::wasip3::clocks::monotonic_clock;
use spin_sdk::wasip3::random::random::get_random_bytes;

thread_local! {
    static SERVED: Cell<u32> = const { Cell::new(0) };
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    SERVED.set(SERVED.get() + 1);
    let deed = Deed::of(&request);
    match deed.carry_out(request).await {
        Ok(result) => (StatusCode::OK, result.to_string()),
        Err(error) => (StatusCode::CONFLICT, format!("{error:#}")),
    }
}

/// What is to be done, from the request's path and query.
struct Deed {
    name: String,
    details: HashMap<String, String>,
}

impl Deed {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let named = request.headers().get("x-probe");
        let named = named.and_then(|name| name.to_str().ok());
        let last = path.rsplit('/').next().unwrap_or_default();
        Self {
            name: named.unwrap_or(last).to_owned(),
            details: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        }
    }

    fn text(&self, name: &str) -> Result<&str> {
        let value = self.details.get(name);
        value.map(String::as_str).with_context(|| format!("the query has no {name:?}"))
    }

    fn millis(&self) -> Result<Duration> {
        Ok(Duration::from_millis(self.text("ms")?.parse()?))
    }

    async fn carry_out(&self, request: Request) -> Result<Json> {
        match self.name.as_str() {
            "echo" => Ok(echo(&request)),
            "served" => Ok(json!(SERVED.get())),
            "body" => Ok(json!(request.into_body().collect().await?.to_bytes().len())),
            "variable" => Ok(json!(spin_sdk::variables::get(self.text("name")?).await?)),
            "environment" => Ok(json!(std::env::vars().collect::<HashMap<_, _>>())),
            "time" => Ok(json!(now()?)),
            "read" => Ok(json!(std::fs::read_to_string(self.text("path")?)?)),
            "write" => Ok(json!(std::fs::write(self.text("path")?, "written")?)),
            "remove" => Ok(json!(std::fs::remove_file(self.text("path")?)?)),
            "files" => files(Path::new("/")).map(|files| json!(files)),
            "random" => Ok(json!(get_random_bytes(16))),
            "fetch" => self.fetch().await,
            "sleep" => {
                let served = SERVED.get();
                sleep(self.millis()?).await;
                Ok(json!(served))
            }
            "compute" => {
                let begin = Instant::now();
                while begin.elapsed() < self.millis()? {
                    std::hint::spin_loop();
                }
                Ok(json!("computed"))
            }
            "print" => {
                println!("{}", self.text("text")?);
                Ok(json!("printed"))
            }
            "trap" => std::process::abort(),
            "sql" => {
                let body = request.into_body().collect().await?.to_bytes();
                self.sql(std::str::from_utf8(&body)?).await
            }
            "get" | "set" | "delete" | "exists" | "keys" => self.key_value().await,
            "redis" => {
                let commands = request.into_body().collect().await?.to_bytes();
                brokers::redis(self.text("address")?, &commands).await
            }
            "mqtt" => {
                let messages = request.into_body().collect().await?.to_bytes();
                brokers::mqtt(self.text("address")?, self.text("password")?, &messages).await
            }
            "spawn" => self.spawn(),
            other => bail!("no such deed: {other}"),
        }
    }

    async fn fetch(&self) -> Result<Json> {
        let response = spin_sdk::http::get(self.text("url")?).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(json!({ "status": status, "body": String::from_utf8_lossy(&body) }))
    }

    /// Runs the statements, one a line, on a connection of their own; a line `SLEEP 50` waits in
    /// between. Answers with the rows of the last.
    async fn sql(&self, statements: &str) -> Result<Json> {
        let database = self.details.get("database").map_or("default", String::as_str);
        let connection = Connection::open(database).await?;
        let mut last = json!(null);
        for statement in statements.lines() {
            if let Some(millis) = statement.strip_prefix("SLEEP ") {
                sleep(Duration::from_millis(millis.parse()?)).await;
                continue;
            }
            let result = connection.execute(statement, []).await?;
            let columns = result.columns().to_vec();
            let rows = result.collect().await?;
            let rows = rows.iter().map(|row| row.values.iter().map(render).collect());
            let rows: Vec<Vec<Json>> = rows.collect();
            last = json!({
                "columns": columns,
                "rows": rows,
                "changes": connection.changes().await,
                "lastInsertRowid": connection.last_insert_rowid().await,
            });
        }
        Ok(last)
    }

    async fn key_value(&self) -> Result<Json> {
        let label = self.details.get("store").map_or("default", String::as_str);
        let store = Store::open(label).await?;
        Ok(match self.name.as_str() {
            "get" => {
                let value = store.get(self.text("key")?).await?;
                json!(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
            }
            "set" => json!(store.set(self.text("key")?, self.text("value")?).await?),
            "delete" => json!(store.delete(self.text("key")?).await?),
            "exists" => json!(store.exists(self.text("key")?).await?),
            _ => json!(store.get_keys().await.collect().await?),
        })
    }

    /// Answers at once, and sets a key of the store `default` after a while.
    fn spawn(&self) -> Result<Json> {
        let (time, key) = (self.millis()?, self.text("key")?.to_owned());
        spin_sdk::wasip3::spawn(async move {
            sleep(time).await;
            // The test sees by the missing key that this has failed.
            if let Ok(store) = Store::open("default").await {
                _ = store.set(&key, "done").await;
            }
        });
        Ok(json!("spawned"))
    }
}

/// The paths of all files below a directory, in order.
fn files(directory: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    Ok(found)
}

fn echo(request: &Request) -> Json {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        })
        .collect();
    json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "headers": headers,
    })
}

fn render(value: &Value) -> Json {
    match value {
        Value::Integer(integer) => json!(integer),
        Value::Real(real) => json!(real),
        Value::Text(text) => json!(text),
        Value::Blob(blob) => json!(blob),
        Value::Null => json!(null),
    }
}

fn now() -> Result<u64> {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    Ok(u64::try_from(millis)?)
}

async fn sleep(time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::wait_for(nanos).await;
}
