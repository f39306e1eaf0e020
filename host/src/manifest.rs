//! The manifest, `spin.toml` version 2, as far as this host supports it.
//!
//! What Spin knows and this host does not is refused by name; what neither knows is an error too,
//! because a misspelt grant must not pass silently.

mod brokers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

pub(crate) use brokers::{Brokers, MqttBroker};

/// A map that keeps the order of names, so that messages and start-up are deterministic.
type Map<V> = BTreeMap<String, V>;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    spin_manifest_version: toml::Value,
    pub(crate) application: Application,
    #[serde(default)]
    pub(crate) variables: Map<Variable>,
    #[serde(rename = "trigger", default)]
    triggers: Map<Vec<toml::Table>>,
    #[serde(rename = "component", default)]
    pub(crate) components: Map<Component>,
    #[serde(skip)]
    pub(crate) http: Vec<HttpTrigger>,
    #[serde(skip)]
    pub(crate) brokers: Brokers,
}

/// `[application]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Application {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
    #[serde(default, rename = "targets")]
    _targets: Vec<toml::Value>,
    #[serde(default, rename = "tool")]
    _tool: toml::Table,
    #[serde(default, rename = "trigger")]
    trigger: Map<toml::Table>,
}

/// `[variables]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    pub(crate) required: bool,
    pub(crate) default: Option<String>,
    #[serde(default, rename = "secret")]
    _secret: bool,
}

/// `[[trigger.http]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpTrigger {
    #[serde(default, rename = "id")]
    _id: String,
    pub(crate) component: String,
    pub(crate) route: Route,
    executor: Option<toml::Table>,
}

/// The route of an HTTP trigger.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Route {
    /// A pattern that requests from outside are matched with.
    Public(String),
    /// `{ private = true }`: reached by service chaining only.
    Private(PrivateRoute),
}

/// See [`Route::Private`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivateRoute {
    private: bool,
}

/// `[component.NAME]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    source: toml::Value,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    pub(crate) variables: Map<String>,
    #[serde(default)]
    pub(crate) environment: Map<String>,
    #[serde(default)]
    pub(crate) allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    pub(crate) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(crate) sqlite_databases: Vec<String>,
    #[serde(default)]
    pub(crate) dependencies: Map<Dependency>,
    dependencies_inherit_configuration: Option<bool>,
    #[serde(default)]
    tool: Map<toml::Table>,
    #[serde(default, rename = "build")]
    _build: Option<toml::Table>,
    #[serde(default, rename = "targets")]
    _targets: Option<Vec<toml::Value>>,
    #[serde(default)]
    pub(crate) files: Vec<Mount>,
    #[serde(default)]
    pub(crate) exclude_files: Vec<String>,
    // Known to Spin, refused here.
    allowed_http_hosts: Option<toml::Value>,
    ai_models: Option<toml::Value>,
    profile: Option<toml::Value>,
}

/// One entry of `files`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Mount {
    /// A file or a pattern, relative to the manifest; the component finds the files under the same paths.
    Pattern(String),
    /// A file or a directory, and where the component finds it.
    Placement(Placement),
}

/// See [`Mount::Placement`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placement {
    pub(crate) source: String,
    pub(crate) destination: String,
}

/// One entry of `[component.NAME.dependencies]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Dependency {
    /// A table; see [`DependencyTable`].
    Table(Box<DependencyTable>),
    /// `"name" = "1.2.3"`, a package of a registry.
    Version(#[expect(dead_code, reason = "tells the shapes apart")] String),
}

/// A dependency that is another component of the manifest, or a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DependencyTable {
    pub(crate) component: Option<String>,
    pub(crate) path: Option<PathBuf>,
    pub(crate) export: Option<String>,
    inherit_configuration: Option<InheritField>,
    version: Option<toml::Value>,
    registry: Option<toml::Value>,
    package: Option<toml::Value>,
    url: Option<toml::Value>,
    #[serde(rename = "digest")]
    _digest: Option<toml::Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum InheritField {
    All(bool),
    Some(Vec<String>),
}

/// Which capabilities of its parent a dependency may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inherit {
    /// All of them.
    All,
    /// The ones named, by the manifest field that grants them.
    Some(Vec<String>),
}

impl Manifest {
    /// Reads and checks the manifest at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a version 2 manifest, has a field that nobody knows, or
    /// uses a feature of Spin that this host lacks; the message names the field.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest {}; --manifest names another", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the manifest {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut manifest: Self = toml::from_str(text)?;
        ensure!(manifest.spin_manifest_version == toml::Value::Integer(2), "spin_manifest_version must be 2");
        (manifest.http, manifest.brokers) = manifest.read_triggers()?;
        manifest.check_any_trigger()?;
        for (name, component) in &manifest.components {
            component
                .check()
                .and_then(|()| manifest.check_references(component))
                .with_context(|| format!("component {name:?}"))?;
        }
        Ok(manifest)
    }

    /// A component that serves as a dependency is only code: what it may touch is its parent's to
    /// grant, so grants of its own would mislead.
    fn check_references(&self, parent: &Component) -> Result<()> {
        for (name, dependency) in &parent.dependencies {
            let Some(id) = &dependency.table(name)?.component else {
                continue;
            };
            let target = self
                .components
                .get(id)
                .with_context(|| format!("dependency {name:?} names the component {id:?}, which does not exist"))?;
            if let Some(field) = target.configured_field() {
                bail!(
                    "dependency {name:?} names the component {id:?}, which sets {field}: a \
                     dependency takes its configuration from the component that uses it"
                );
            }
        }
        Ok(())
    }

    fn read_triggers(&self) -> Result<(Vec<HttpTrigger>, Brokers)> {
        let (mut http, mut brokers) = (Vec::new(), Brokers::default());
        for (kind, triggers) in &self.triggers {
            for table in triggers {
                match kind.as_str() {
                    "http" => http.push(self.http_trigger(table.clone())?),
                    _ => brokers.add(kind, table)?,
                }
            }
        }
        brokers.complete(&self.application)?;
        for (kind, component) in brokers.components() {
            self.check_triggered(kind, component)?;
        }
        Ok((http, brokers))
    }

    /// Leaves out the triggers of all components but these, as `spin up --component-id` does.
    ///
    /// # Errors
    ///
    /// If there is no such component, or none of them has a trigger.
    pub(crate) fn retain(&mut self, components: &[String]) -> Result<()> {
        for id in components {
            ensure!(self.components.contains_key(id), "there is no component {id:?}");
        }
        self.http.retain(|trigger| components.contains(&trigger.component));
        self.brokers.redis.retain(|trigger| components.contains(&trigger.component));
        self.brokers.mqtt.retain(|trigger| components.contains(&trigger.component));
        self.check_any_trigger()
    }

    fn check_any_trigger(&self) -> Result<()> {
        ensure!(!self.triggered().is_empty(), "there is no trigger: nothing would be served");
        Ok(())
    }

    /// The components that have a trigger, each once.
    pub(crate) fn triggered(&self) -> BTreeSet<&str> {
        let http = self.http.iter().map(|trigger| trigger.component.as_str());
        http.chain(self.brokers.components().map(|(_, component)| component)).collect()
    }

    fn check_triggered(&self, kind: &str, component: &str) -> Result<()> {
        let exists = self.components.contains_key(component);
        ensure!(exists, "[[trigger.{kind}]] names the component {component:?}, which does not exist");
        Ok(())
    }

    fn http_trigger(&self, table: toml::Table) -> Result<HttpTrigger> {
        for field in ["static_response", "components", "dependencies"] {
            if table.contains_key(field) {
                return Err(unsupported(&format!("{field} of [[trigger.http]]")));
            }
        }
        if table.get("component").is_some_and(toml::Value::is_table) {
            return Err(unsupported("an inline component of [[trigger.http]]"));
        }
        let shown = table.to_string();
        let trigger: HttpTrigger = table.try_into().with_context(|| format!("in the [[trigger.http]] with {shown}"))?;
        if let Some(executor) = &trigger.executor {
            let kind = executor.get("type").and_then(toml::Value::as_str);
            if !matches!(kind, Some("http" | "spin")) {
                return Err(unsupported(&format!("executor {executor} of [[trigger.http]]")));
            }
        }
        if let Route::Private(PrivateRoute { private: false }) = trigger.route {
            bail!("route must be a pattern or {{ private = true }}, not {{ private = false }}");
        }
        self.check_triggered("http", &trigger.component)?;
        Ok(trigger)
    }
}

impl Component {
    fn check(&self) -> Result<()> {
        let refused = [
            ("allowed_http_hosts", &self.allowed_http_hosts),
            ("ai_models", &self.ai_models),
            ("profile", &self.profile),
        ];
        for (field, value) in refused {
            if value.is_some() {
                return Err(unsupported(&format!("the field {field}")));
            }
        }
        self.source()?;
        let each = self.dependencies.values().any(Dependency::states_inheritance);
        ensure!(
            !(each && self.dependencies_inherit_configuration.is_some()),
            "has both dependencies_inherit_configuration and a dependency with \
             inherit_configuration: use one of them"
        );
        for (name, dependency) in &self.dependencies {
            dependency
                .table(name)
                .and_then(|table| table.check(name))
                .with_context(|| format!("dependency {name:?}"))?;
        }
        self.tick().map(drop)
    }

    fn configured_field(&self) -> Option<&'static str> {
        let fields = [
            ("variables", self.variables.is_empty()),
            ("environment", self.environment.is_empty()),
            ("files", self.files.is_empty()),
            ("allowed_outbound_hosts", self.allowed_outbound_hosts.is_empty()),
            ("key_value_stores", self.key_value_stores.is_empty()),
            ("sqlite_databases", self.sqlite_databases.is_empty()),
            ("dependencies", self.dependencies.is_empty()),
        ];
        let set = fields.into_iter().find(|(_, empty)| !empty);
        set.map(|(field, _)| field)
    }

    /// The path of the Wasm file, relative to the manifest.
    pub(crate) fn source(&self) -> Result<&Path> {
        match &self.source {
            toml::Value::String(path) => Ok(Path::new(path)),
            _ => Err(unsupported("a source that is not a path")),
        }
    }

    /// Whether all dependencies inherit everything, whatever they say themselves.
    pub(crate) fn inherits_all(&self) -> bool {
        self.dependencies_inherit_configuration.unwrap_or(false)
    }

    /// The path that `[component.NAME.tool.bodega] tick` wants a POST at on a timer. Spin ignores
    /// `tool` tables, so the manifest stays a plain Spin manifest.
    pub(crate) fn tick(&self) -> Result<Option<&str>> {
        let Some(value) = self.tool.get("bodega").and_then(|tool| tool.get("tick")) else {
            return Ok(None);
        };
        let path = value.as_str().filter(|path| path.starts_with('/'));
        path.map(Some).context("tool.bodega.tick must be a path that starts with a slash")
    }
}

impl Dependency {
    pub(crate) fn table(&self, name: &str) -> Result<&DependencyTable> {
        match self {
            Self::Table(table) => Ok(table),
            Self::Version(_) => Err(unsupported(&format!("dependency {name:?} from a package registry"))),
        }
    }

    fn states_inheritance(&self) -> bool {
        matches!(self, Self::Table(table) if table.inherit_configuration.is_some())
    }
}

impl DependencyTable {
    fn check(&self, name: &str) -> Result<()> {
        let remote = [&self.version, &self.registry, &self.package, &self.url];
        if remote.into_iter().any(Option::is_some) {
            return Err(unsupported(&format!("dependency {name:?} from a registry or URL")));
        }
        ensure!(self.component.is_some() != self.path.is_some(), "needs either `component` or `path`");
        let whole_package = name.contains(':') && !name.contains('/');
        ensure!(
            !(whole_package && self.export.is_some()),
            "`export` needs a dependency name with an interface, such as {name}/interface"
        );
        Ok(())
    }

    /// What the dependency inherits: nothing, unless it says otherwise.
    pub(crate) fn inherit(&self) -> Inherit {
        match &self.inherit_configuration {
            Some(InheritField::All(true)) => Inherit::All,
            Some(InheritField::Some(fields)) => Inherit::Some(fields.clone()),
            Some(InheritField::All(false)) | None => Inherit::Some(Vec::new()),
        }
    }
}

/// The error for a feature of Spin that this host lacks.
pub(crate) fn unsupported(what: &str) -> anyhow::Error {
    anyhow::anyhow!("{what} is not supported by bodega-host; run the application with `spin up`")
}
