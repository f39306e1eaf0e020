//! A shop that a test has to itself.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bodega_host::{Clock, Control};
use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use crate::{
    Answer, Call, Rows,
    data::Data,
    eventually,
    plans::Watch,
    postgres::on_postgres,
    server::{Manifest, Program, Server, Settings},
    template,
};

const ADMIN: (&str, &str) = ("admin@example.com", "correct horse battery");

/// What a shop is started with. The default: no limit on requests, an admin, nothing that ticks by itself.
#[derive(Clone)]
pub struct ShopOptions {
    /// How long an order may stay unpaid.
    pub order_timeout: Duration,
    /// Further variables of `spin.toml`, or others than the default.
    pub variables: BTreeMap<String, String>,
    /// How often the host ticks by itself.
    pub tick_interval: Option<Duration>,
    /// Decides about the calls of components to the outside.
    pub control: Option<Arc<dyn Control>>,
    /// How many requests an instance serves; 1 makes every request meet a new instance.
    pub max_instance_reuse: Option<usize>,
    /// Bytes that a memory of an instance may have. Only on our host.
    pub max_guest_memory: Option<usize>,
    /// Lines of `spin.toml`, each there once, and what stands there instead.
    pub changes: Vec<(String, String)>,
    /// Files of `config/` by name, further ones or others than there are.
    pub config: Vec<(String, String)>,
    /// The books of a payment provider that is not the sandbox, in the sandbox's words.
    pub provider_books: Option<Arc<ProviderBooks>>,
    /// Whether it is a program of its own, which can be killed: [`Shop::program`]. Its time is the machine's, and it ticks by itself.
    pub program: bool,
}

/// Tells what a payment provider has in its books: `charge/<key>` and `refund/<key>`.
pub type ProviderBooks = dyn Fn() -> Vec<(String, Value)> + Send + Sync;

impl Default for ShopOptions {
    fn default() -> Self {
        Self {
            order_timeout: Duration::from_secs(15 * 60),
            variables: BTreeMap::new(),
            tick_interval: None,
            control: None,
            max_instance_reuse: None,
            max_guest_memory: None,
            changes: Vec::new(),
            config: Vec::new(),
            provider_books: None,
            program: false,
        }
    }
}

impl ShopOptions {
    /// The default, with calls decided by `control`.
    pub fn controlled(control: Arc<impl Control + 'static>) -> Self {
        Self { control: Some(control), ..Self::default() }
    }
}

/// A running shop with an empty state. It ends when it is dropped.
pub struct Shop {
    pub(crate) client: reqwest::Client,
    pub(crate) manifest: Manifest,
    pub(crate) data: Data,
    /// The time of its components; it moves only on our host.
    pub clock: Clock,
    admin: OnceCell<Customer>,
    output: Arc<Mutex<Vec<String>>>,
    provider_books: Option<Arc<ProviderBooks>>,
    watch: Arc<Watch>,
    /// Before the directory: it must stop before its files go.
    pub(crate) server: Server,
    directory: TempDir,
}

/// What it has run must not have scanned a table.
impl Drop for Shop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.watch.explain(self.directory.path());
        }
    }
}

/// Somebody with an account.
#[derive(Debug)]
pub struct Customer {
    /// The account.
    pub id: i64,
    /// Its address.
    pub email: String,
    /// Its password.
    pub password: String,
    tokens: AsyncMutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    access: String,
    refresh: String,
    /// Since the Unix epoch, by the shop's clock.
    expires_at: Duration,
}

impl Shop {
    /// Starts a shop.
    ///
    /// # Panics
    ///
    /// When it does not start; the message says why.
    pub async fn start(options: ShopOptions) -> Self {
        let manifest = Manifest::read(&options.changes, &options.config);
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::new();
        let watch = Watch::before(options.control);
        let mut variables = BTreeMap::from(
            [
                ("admin_email", ADMIN.0),
                ("admin_password", ADMIN.1),
                ("rate_limit_max", "1000000000"),
                ("order_timeout_ms", &options.order_timeout.as_millis().to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let schemas = if on_postgres() { Some(template::schemas(&manifest.databases).await) } else { None };
        variables.extend(schemas.iter().flat_map(|schemas| schemas.variables(&manifest.databases)));
        variables.extend(options.variables);
        let output = Arc::<Mutex<Vec<String>>>::default();
        let settings = Settings {
            data: directory.path(),
            variables,
            clock: clock.clone(),
            control: Some(watch.clone()),
            output: Arc::new({
                let output = output.clone();
                move |_, line| output.lock().unwrap().push(String::from_utf8_lossy(line).into_owned())
            }),
            tick_interval: options.tick_interval,
            max_instance_reuse: options.max_instance_reuse,
            max_guest_memory: options.max_guest_memory,
            program: options.program,
        };
        let server = Server::start(settings, &manifest).await;
        let shop = Self {
            client: crate::client().build().unwrap(),
            manifest,
            data: Data::new(directory.path(), schemas),
            clock,
            admin: OnceCell::new(),
            output,
            provider_books: options.provider_books,
            server,
            directory,
            watch,
        };
        // On Spin this compiles everything first.
        eventually(Duration::from_secs(120), "the shop answers", async || {
            shop.get("/health").send().await.is_ok_and(|answer| answer.status.is_success())
        })
        .await;
        shop
    }

    /// The program that it is.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn program(&self) -> &Program {
        let Server::Program(program) = &self.server else { panic!("the shop is no program of its own") };
        program
    }

    /// Where it is, without a slash at the end.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The time that its components see, since the Unix epoch.
    pub fn now(&self) -> Duration {
        match &self.server {
            Server::Bench(_) => self.clock.now(),
            Server::Program(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap(),
        }
    }

    /// What the components have written to stdout until now.
    pub fn output(&self) -> Vec<String> {
        match &self.server {
            Server::Bench(_) => self.output.lock().unwrap().clone(),
            Server::Program(_) => {
                let files = fs::read_dir(self.directory.path().join("logs")).unwrap().map(|file| file.unwrap().path());
                let files = files.filter(|file| file.to_string_lossy().ends_with("_stdout.txt"));
                let texts: Vec<_> = files.map(|file| fs::read_to_string(file).unwrap()).collect();
                texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
            }
        }
    }

    /// A `GET`.
    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(self, Method::GET, path)
    }

    /// A `POST` of JSON.
    pub fn post(&self, path: impl Into<String>, body: &Value) -> Call<'_> {
        Call::new(self, Method::POST, path).json(body)
    }

    /// A `PUT` of JSON.
    pub fn put(&self, path: impl Into<String>, body: &Value) -> Call<'_> {
        Call::new(self, Method::PUT, path).json(body)
    }

    /// A `DELETE`.
    pub fn delete(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(self, Method::DELETE, path)
    }

    /// Any other request.
    pub fn request(&self, method: Method, path: impl Into<String>) -> Call<'_> {
        Call::new(self, method, path)
    }

    /// A call of one component by service chaining, as another component would make it. Not on Spin.
    pub async fn internal(&self, component: &str, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.try_internal(component, method, path, body).await;
        answer.unwrap_or_else(|| panic!("{component}{path}: the answer broke off"))
    }

    /// The same; none when the answer broke off, because the instance was killed.
    pub async fn try_internal(
        &self,
        component: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let Server::Bench(host) = &self.server else { panic!("nobody outside makes internal calls on Spin") };
        let mut request = http::Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let answer = host.call(component, request.body(body).unwrap());
        let answer = tokio::time::timeout(Duration::from_secs(90), answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{component}{path} never answers")).ok()?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        Some(Answer {
            status: answer.status(),
            headers: answer.headers().clone(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        })
    }

    /// The rows of a query on the database of a service.
    pub fn query(&self, service: &str, sql: &str) -> Rows {
        self.data.query(service, sql)
    }

    /// The one value of a query on the database of a service, or null.
    pub fn value(&self, service: &str, sql: &str) -> Value {
        self.data.query(service, sql).first().and_then(|row| row.first()).cloned().unwrap_or(Value::Null)
    }

    /// The last id that a table of a service has ever given; null when it has given none.
    pub fn last_id(&self, service: &str, table: &str) -> Value {
        self.data.last_id(service, table)
    }

    /// Changes the database of a service behind its back, in one transaction: to see that an audit notices.
    pub fn tamper(&self, service: &str, sql: &str) {
        self.data.tamper(service, sql);
    }

    /// Where the database of a service is, or the key-value store with that label.
    pub fn store(&self, label: &str) -> PathBuf {
        self.data.store(label, self.manifest.databases.iter().any(|database| database == label))
    }

    /// What the payment provider has in its books: `charge/<key>` and `refund/<key>`.
    pub fn provider_books(&self) -> Vec<(String, Value)> {
        match &self.provider_books {
            Some(books) => books(),
            None => self.data.entries("provider-sandbox"),
        }
    }

    /// The admin that the variables name.
    pub async fn admin(&self) -> &Customer {
        self.admin.get_or_init(|| self.sign_in(ADMIN.0, ADMIN.1)).await
    }

    /// A new customer with the address `<name>@example.com`, signed in.
    pub async fn customer(&self, name: &str) -> Customer {
        let (email, password) = (format!("{name}@example.com"), format!("{name}'s password"));
        let body = json!({ "email": email, "password": password });
        self.post("/api/v1/auth/register", &body).await.expect(201);
        self.sign_in(&email, &password).await
    }

    /// A new customer who may sell.
    pub async fn seller(&self, name: &str) -> Customer {
        let customer = self.customer(name).await;
        let path = format!("/api/v1/users/{}/role", customer.id);
        self.put(path, &json!({ "role": "supplier" })).by(self.admin().await).await.expect(200);
        self.sign_in(&customer.email, &customer.password).await
    }

    /// Signs in to an account that exists.
    pub async fn sign_in(&self, email: &str, password: &str) -> Customer {
        let body = json!({ "email": email, "password": password });
        let signed_in = self.post("/api/v1/auth/login", &body).await.expect(200);
        Customer {
            id: signed_in["user"]["id"].as_i64().unwrap(),
            email: email.to_owned(),
            password: password.to_owned(),
            tokens: AsyncMutex::new(self.tokens(&signed_in)),
        }
    }

    fn tokens(&self, signed_in: &Value) -> Tokens {
        let text = |name: &str| signed_in[name].as_str().unwrap().to_owned();
        let expires_in = Duration::from_secs(signed_in["expiresIn"].as_u64().unwrap());
        Tokens { access: text("accessToken"), refresh: text("refreshToken"), expires_at: self.now() + expires_in }
    }

    /// An access token of a customer that is good for a while: signs in again when the clock has overtaken the last one.
    pub async fn access_token(&self, customer: &Customer) -> String {
        let mut tokens = customer.tokens.lock().await;
        if tokens.expires_at < self.now() + Duration::from_secs(60) {
            let body = json!({ "refreshToken": tokens.refresh });
            let refreshed = self.post("/api/v1/auth/refresh", &body).await;
            let signed_in = if refreshed.status.is_success() {
                refreshed.body
            } else {
                let body = json!({ "email": customer.email, "password": customer.password });
                self.post("/api/v1/auth/login", &body).await.expect(200)
            };
            *tokens = self.tokens(&signed_in);
        }
        tokens.access.clone()
    }
}
