//! `runtime-config.toml`: which file is behind each SQLite and key-value label.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::manifest::unsupported;

/// The label that exists without being configured.
const DEFAULT: &str = "default";

/// The configuration of the stores, with what it takes to resolve their paths.
#[derive(Debug, Default)]
pub(crate) struct RuntimeConfig {
    file: File,
    /// Relative paths of SQLite databases start here, as in Spin: the working directory.
    sqlite_base: PathBuf,
    /// Relative paths of key-value stores start here, as in Spin: beside the configuration.
    key_value_base: PathBuf,
    state_dir: PathBuf,
    data_root: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    state_dir: Option<PathBuf>,
    #[serde(default)]
    sqlite_database: BTreeMap<String, Store>,
    #[serde(default)]
    key_value_store: BTreeMap<String, Store>,
    // Known to Spin, refused here.
    variables_provider: Option<toml::Value>,
    llm_compute: Option<toml::Value>,
    client_tls: Option<toml::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    #[serde(rename = "type")]
    kind: String,
    path: Option<PathBuf>,
    #[serde(default)]
    allow_attach_file: bool,
}

/// Where a store's data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The file, or nothing for a database in memory.
    pub(crate) path: Option<PathBuf>,
    /// Whether `ATTACH` may open other files.
    pub(crate) allow_attach: bool,
}

impl RuntimeConfig {
    /// Reads the configuration; without a file only the label `default` exists.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or uses what this host lacks.
    pub(crate) fn read(file: Option<&Path>, state_dir: &Path, data_root: Option<&Path>) -> Result<Self> {
        let parsed = match file {
            None => File::default(),
            Some(path) => parse(path).with_context(|| format!("in the runtime configuration {}", path.display()))?,
        };
        let state_dir = parsed.state_dir.clone().unwrap_or(state_dir.to_owned());
        Ok(Self {
            file: parsed,
            sqlite_base: std::env::current_dir().context("no working directory")?,
            key_value_base: file.and_then(Path::parent).map(Path::to_owned).unwrap_or_default(),
            state_dir,
            data_root: data_root.map(Path::to_owned),
        })
    }

    /// The location of the SQLite database with this label.
    ///
    /// # Errors
    ///
    /// If the label is not configured.
    pub(crate) fn sqlite(&self, label: &str) -> Result<Location> {
        self.locate("sqlite_database", &self.file.sqlite_database, label, &self.sqlite_base, "sqlite_db.db")
    }

    /// The location of the key-value store with this label.
    ///
    /// # Errors
    ///
    /// If the label is not configured.
    pub(crate) fn key_value(&self, label: &str) -> Result<Location> {
        self.locate("key_value_store", &self.file.key_value_store, label, &self.key_value_base, "sqlite_key_value.db")
    }

    fn locate(
        &self,
        table: &str,
        stores: &BTreeMap<String, Store>,
        label: &str,
        base: &Path,
        default_file: &str,
    ) -> Result<Location> {
        let store = stores.get(label);
        ensure!(
            store.is_some() || label == DEFAULT,
            "the label {label:?} is not configured: add [{table}.{label}] with type = \"spin\" and \
             a path to the runtime configuration, and name that with --runtime-config-file"
        );
        let path = match (&self.data_root, store) {
            (Some(root), _) => Some(root.join(table).join(format!("{label}.db"))),
            (None, Some(store)) => store.path.as_ref().map(|path| base.join(path)),
            (None, None) => Some(self.state_dir.join(default_file)),
        };
        Ok(Location { path, allow_attach: store.is_some_and(|store| store.allow_attach_file) })
    }
}

fn parse(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path).context("cannot read it")?;
    let file: File = toml::from_str(&text)?;
    let refused = [
        ("variables_provider", &file.variables_provider),
        ("llm_compute", &file.llm_compute),
        ("client_tls", &file.client_tls),
    ];
    for (field, value) in refused {
        if value.is_some() {
            return Err(unsupported(field));
        }
    }
    for (label, store) in file.sqlite_database.iter().chain(&file.key_value_store) {
        if store.kind != "spin" {
            return Err(unsupported(&format!("type {:?} of the store {label:?}", store.kind)));
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, data_root: Option<&Path>) -> Result<RuntimeConfig> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("runtime-config.toml");
        std::fs::write(&path, text)?;
        RuntimeConfig::read(Some(&path), Path::new("state"), data_root)
    }

    #[test]
    fn default_is_in_the_state_directory() {
        let config = RuntimeConfig::read(None, Path::new("state"), None).unwrap();
        let path = config.sqlite("default").unwrap().path;
        assert_eq!(path, Some("state/sqlite_db.db".into()));
        let path = config.key_value("default").unwrap().path;
        assert_eq!(path, Some("state/sqlite_key_value.db".into()));
        let error = config.sqlite("orders").unwrap_err().to_string();
        assert!(error.contains("[sqlite_database.orders]"), "{error}");
    }

    #[test]
    fn data_root_moves_every_label() {
        let text = "[sqlite_database.orders]\ntype = 'spin'\npath = '/elsewhere/orders.db'";
        let config = read(text, Some(Path::new("/data"))).unwrap();
        let path = config.sqlite("orders").unwrap().path;
        assert_eq!(path, Some("/data/sqlite_database/orders.db".into()));
        assert!(config.sqlite("carts").is_err());
    }

    #[test]
    fn relative_paths_resolve_as_in_spin() {
        let text = "[sqlite_database.a]\ntype = 'spin'\npath = 'a.db'\n\
                    [key_value_store.b]\ntype = 'spin'\npath = 'b.db'";
        let config = read(text, None).unwrap();
        let working_directory = std::env::current_dir().unwrap();
        let path = config.sqlite("a").unwrap().path;
        assert_eq!(path, Some(working_directory.join("a.db")));
        let path = config.key_value("b").unwrap().path.unwrap();
        assert!(path.is_absolute() && !path.starts_with(&working_directory));
    }

    #[test]
    fn refuses_what_it_lacks() {
        for text in [
            "[sqlite_database.a]\ntype = 'libsql'",
            "[key_value_store.a]\ntype = 'redis'",
            "[llm_compute]\ntype = 'spin'",
        ] {
            let error = format!("{:#}", read(text, None).unwrap_err());
            assert!(error.contains("spin up") || error.contains("unknown field"), "{error}");
        }
    }
}
