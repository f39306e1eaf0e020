//! Configuration: the variables that `spin.toml` declares and grants, and the limits that config has for each service.

use std::{cell::Cell, cell::OnceCell, rc::Rc, str::FromStr, time::Duration};

use futures::future::{Either, select};
use model::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use spin_sdk::variables::{self, Error as Native};

use crate::{Error, Result, client};

/// How long config may take to answer an instance that starts.
const PATIENCE: Duration = Duration::from_secs(2);
/// For so long nobody else of the instance asks config after it has not answered: they would wait one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// What config has for this service.
#[derive(Deserialize)]
struct Configuration {
    profile: String,
    config: Map<String, Value>,
    /// Whether events leave the shop.
    broker: bool,
}

thread_local! {
    /// Kept as long as the instance, which lives for some requests: files change only when the shop starts.
    static CONFIGURATION: OnceCell<Rc<Configuration>> = const { OnceCell::new() };
    static ASK_AGAIN_AT: Cell<Timestamp> = const { Cell::new(Timestamp(0)) };
}

/// The variable's value without white space around it, or `None` when it is undefined or empty: what comes out of a file
/// ends in a newline.
pub async fn get(name: &str) -> Result<Option<String>> {
    match variables::get(name).await {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(Native::Undefined(_)) => Ok(None),
        Err(error) => Err(Error::Internal(format!("variable {name}: {error}"))),
    }
}

/// The variable's value as a `T`, or `default` when it is undefined or empty. Anything else is an error that names it.
pub async fn parsed<T: FromStr>(name: &str, default: T) -> Result<T> {
    match get(name).await? {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Error::Internal(format!("variable {name}: `{text}` is not valid"))),
    }
}

/// A limit of `service`: the variable `name` when it is not empty, else what the service's configuration says in the
/// profile that the variable `profile` names. Without either it is an error that names both: a service does not run with
/// limits that nobody has set. For [`Service::start`](crate::Service::start); asks config once in an instance.
pub async fn limit<T: FromStr>(service: &'static str, name: &str) -> Result<T> {
    if let Some(limit) = optional_limit(service, name).await? {
        return Ok(limit);
    }
    let profile = &configuration(service).await?.profile;
    Err(Error::Internal(format!(
        "neither the variable {name} nor the configuration of {service} (profile `{profile}`) says what {name} is"
    )))
}

/// Like [`limit`], for one that nobody must set.
pub(crate) async fn optional_limit<T: FromStr>(service: &'static str, name: &str) -> Result<Option<T>> {
    let (text, source) = match get(name).await? {
        Some(text) => (text, "variable"),
        None => match configuration(service).await?.config.get(name) {
            Some(Value::String(text)) => (text.clone(), "configured value"),
            Some(value) => (value.to_string(), "configured value"),
            None => return Ok(None),
        },
    };
    let limit = text.trim().parse();
    limit.map(Some).map_err(|_| Error::Internal(format!("{source} {name} of {service}: `{text}` is not valid")))
}

/// Whether events leave the shop: then each has one more subscriber.
pub(crate) async fn has_broker(service: &'static str) -> Result<bool> {
    Ok(configuration(service).await?.broker)
}

async fn configuration(service: &'static str) -> Result<Rc<Configuration>> {
    if let Some(known) = CONFIGURATION.with(|known| known.get().cloned()) {
        return Ok(known);
    }
    if Timestamp::now() < ASK_AGAIN_AT.get() {
        return Err(Error::Unavailable("config".into()));
    }
    let profile = get("profile").await?.unwrap_or_else(|| "default".to_owned());
    let path = format!("/internal/config/{service}/{}", profile.trim());
    let asked = Box::pin(client::get::<Configuration>("config", &path));
    let answer = match select(asked, Box::pin(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(Error::Unavailable("config".into())),
    };
    if answer.is_err() {
        ASK_AGAIN_AT.set(Timestamp::now().after(PAUSE));
    }
    let found = answer?.ok_or_else(|| Error::Internal(format!("config has no profile `{profile}` of {service}")))?;
    Ok(CONFIGURATION.with(|known| known.get_or_init(|| Rc::new(found)).clone()))
}
