//! The use cases of config. All files are read once in an instance: `spin up` copies them when it starts, so they do not
//! change while it runs.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde::Serialize;
use utoipa::ToSchema;
use web::{Error, FieldError, Result};

use crate::{
    document::{self, Document},
    files,
};

/// The profile that all others are merged into.
const DEFAULT: &str = "default";
const NO_SERVICE: Error = Error::not_found("configuration of that service");
const NO_PROFILE: Error = Error::not_found("profile");

/// What stands in a file, or what is wrong with it.
type Content = Result<Document, Vec<FieldError>>;

/// All files, by service and profile.
#[derive(Debug, Default)]
struct Shelf(BTreeMap<String, BTreeMap<String, Content>>);

/// What a service is configured with, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Configuration {
    #[schema(example = "orders")]
    service: String,
    #[schema(example = "default")]
    profile: String,
    /// The same for the same content, whenever and wherever it is read.
    #[schema(example = "6c1c7f101f1b0198")]
    pub(crate) version: String,
    #[schema(value_type = Object, example = json!({"order_timeout_ms": 900000}))]
    config: Document,
}

impl Shelf {
    /// Takes in a file. One whose name is not one of a configuration is told of, not served.
    fn add(&mut self, name: &str, text: &str) -> Result<(), String> {
        let (service, profile) = document::names(name).ok_or_else(|| {
            format!("config/{name}: must be called <service>.toml or <service>-<profile>.toml, in lower case")
        })?;
        let content = document::parse(text).map_err(|flaws| flaws.into_iter().map(|flaw| flaw.of(name)).collect());
        self.0.entry(service.to_owned()).or_default().insert(profile.to_owned(), content);
        Ok(())
    }

    /// A profile is one of the shop: a service without a file for it has its default there.
    fn has_profile(&self, profile: &str) -> bool {
        profile == DEFAULT || self.0.values().any(|profiles| profiles.contains_key(profile))
    }

    fn profiles(&self, service: &str) -> Result<Vec<String>> {
        self.0.get(service).ok_or(NO_SERVICE)?;
        let others: BTreeSet<&String> =
            self.0.values().flat_map(BTreeMap::keys).filter(|profile| *profile != DEFAULT).collect();
        Ok(std::iter::once(DEFAULT.to_owned()).chain(others.into_iter().cloned()).collect())
    }

    fn get(&self, service: &str, profile: &str) -> Result<Configuration> {
        let profiles = self.0.get(service).ok_or(NO_SERVICE)?;
        if !self.has_profile(profile) {
            return Err(NO_PROFILE);
        }
        let content = |profile: &str| match profiles.get(profile) {
            None => Ok(Document::new()),
            Some(Ok(document)) => Ok(document.clone()),
            Some(Err(flaws)) => Err(Error::Misconfigured(flaws.clone())),
        };
        let mut config = content(DEFAULT)?;
        if profile != DEFAULT {
            document::merge(&mut config, content(profile)?);
        }
        let version = document::version(&config)?;
        Ok(Configuration { service: service.to_owned(), profile: profile.to_owned(), version, config })
    }
}

thread_local! {
    static SHELF: OnceCell<Rc<Shelf>> = const { OnceCell::new() };
}

/// Reads all files.
pub(crate) fn load() -> Result<()> {
    let mut shelf = Shelf::default();
    for (name, text) in files::read()? {
        if let Err(refusal) = shelf.add(&name, &text) {
            eprintln!("warning: {refusal}");
        }
    }
    SHELF.with(|loaded| {
        loaded.get_or_init(|| Rc::new(shelf));
    });
    Ok(())
}

fn shelf() -> Result<Rc<Shelf>> {
    SHELF.with(|shelf| shelf.get().cloned()).ok_or_else(|| Error::Internal("config: no file was read".into()))
}

/// The services that have a configuration.
pub(crate) fn services() -> Result<Vec<String>> {
    Ok(shelf()?.0.keys().cloned().collect())
}

/// The profiles that `service` can be asked for in.
pub(crate) fn profiles(service: &str) -> Result<Vec<String>> {
    shelf()?.profiles(service)
}

/// What `service` is configured with in `profile`: its default, and over it what the profile says.
pub(crate) fn get(service: &str, profile: &str) -> Result<Configuration> {
    shelf()?.get(service, profile)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shelf(files: &[(&str, &str)]) -> Shelf {
        let mut shelf = Shelf::default();
        for (name, text) in files {
            shelf.add(name, text).unwrap();
        }
        shelf
    }

    fn of_the_shop() -> Shelf {
        let mut shelf = Shelf::default();
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            shelf.add(&name, &fs::read_to_string(path).unwrap()).unwrap();
        }
        shelf
    }

    #[test]
    fn a_profile_stands_over_the_default() {
        let shelf = shelf(&[("a.toml", "x = 1\ny = 2"), ("a-fast.toml", "y = 3"), ("b.toml", "z = 4")]);
        let default = shelf.get("a", "default").unwrap();
        assert_eq!(serde_json::to_value(&default.config).unwrap(), serde_json::json!({ "x": 1, "y": 2 }));
        let fast = shelf.get("a", "fast").unwrap();
        assert_eq!(serde_json::to_value(&fast.config).unwrap(), serde_json::json!({ "x": 1, "y": 3 }));
        assert_ne!(fast.version, default.version);
        assert_eq!(shelf.get("b", "fast").unwrap().version, shelf.get("b", "default").unwrap().version);
        assert_eq!(shelf.profiles("b").unwrap(), ["default", "fast"]);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let shelf = shelf(&[("a.toml", ""), ("a-fast.toml", "")]);
        assert_eq!(shelf.get("b", "default").unwrap_err(), NO_SERVICE);
        assert_eq!(shelf.profiles("b").unwrap_err(), NO_SERVICE);
        for profile in ["", "Fast", "fast.toml", "../a", "fast\0", "%66ast", "default.toml"] {
            assert_eq!(shelf.get("a", profile).unwrap_err(), NO_PROFILE, "{profile:?}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_is_not_served_and_harms_no_other() {
        let shelf = shelf(&[("a.toml", "x = 1"), ("a-bad.toml", "db_password = 'horse'"), ("b.toml", "x = ")]);
        assert!(shelf.get("a", "default").is_ok());
        for (service, profile, field) in [("a", "bad", "db_password"), ("b", "default", ""), ("b", "bad", "")] {
            let Err(Error::Misconfigured(flaws)) = shelf.get(service, profile) else { panic!("{service}") };
            assert_eq!(flaws[0].field, field);
            assert!(flaws[0].message.contains(".toml") && !flaws[0].message.contains("horse"), "{flaws:?}");
        }
    }

    #[test]
    fn the_files_of_the_shop_are_right() {
        let shelf = of_the_shop();
        assert!(!shelf.0.is_empty());
        for service in shelf.0.keys() {
            for profile in shelf.profiles(service).unwrap() {
                let config = shelf.get(service, &profile).unwrap();
                for limit in ["rate_limit_max", "rate_limit_window_ms"] {
                    assert!(
                        config.config[limit].as_u64().is_some_and(|limit| limit > 0),
                        "{service} {profile} {limit}"
                    );
                }
            }
        }
    }

    #[test]
    fn carts_and_orders_agree_on_how_long_an_order_may_stay_unpaid() {
        let shelf = of_the_shop();
        for profile in shelf.profiles("orders").unwrap() {
            let timeout = |service| shelf.get(service, &profile).unwrap().config["order_timeout_ms"].clone();
            assert_eq!(timeout("carts"), timeout("orders"), "{profile}");
        }
    }
}
