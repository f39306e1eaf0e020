//! From the Wasm files that the manifest names to compiled components, by way of a cache on disk.

mod compose;
pub(crate) mod deny;

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::manifest::{Inherit, Manifest};

/// Changes whenever the way from files to components does, so that old cache entries are not used.
const CACHE_FORMAT: &str = "bodega-host 3";

/// The components of this process, by cache key: hosts that a test starts one after the other share
/// their code.
static LOADED: LazyLock<Mutex<HashMap<String, Component>>> = LazyLock::new(Mutex::default);

/// The files of one component, read but not yet composed.
struct Parts {
    component: Vec<u8>,
    dependencies: Vec<Part>,
}

/// A file that satisfies imports of a component.
struct Part {
    /// The name in the manifest, which selects the imports.
    name: String,
    /// The export to use, where it is not named as the import.
    export: Option<String>,
    inherit: Inherit,
    bytes: Vec<u8>,
}

/// Loads components, and compiles those that the cache does not have.
pub(crate) struct Loader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) manifest: &'a Manifest,
    /// Where the manifest is; sources are relative to it.
    pub(crate) directory: &'a Path,
    pub(crate) cache: &'a Path,
    /// Told what takes time.
    pub(crate) progress: &'a dyn Fn(&str),
}

impl Loader<'_> {
    /// Loads a component of the manifest, with its dependencies composed into it.
    ///
    /// # Errors
    ///
    /// If a file is missing or not WebAssembly, or the parts do not fit together.
    pub(crate) fn load(&self, id: &str) -> Result<Component> {
        let parts = self.parts(id)?;
        let key = self.key(&parts);
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = loaded.get(&key) {
            return Ok(component.clone());
        }
        let component = match self.cached(&key) {
            Some(component) => component,
            None => self.compile(id, &parts, &key)?,
        };
        loaded.insert(key, component.clone());
        Ok(component)
    }

    fn parts(&self, id: &str) -> Result<Parts> {
        let component = self.component(id)?;
        let mut dependencies = Vec::new();
        for (name, dependency) in &component.dependencies {
            let table = dependency.table(name)?;
            let path = match (&table.component, &table.path) {
                (Some(other), _) => self.component(other)?.source()?,
                (None, Some(path)) => path,
                (None, None) => anyhow::bail!("dependency {name:?} has no source"),
            };
            dependencies.push(Part {
                name: name.clone(),
                export: table.export.clone(),
                inherit: if component.inherits_all() { Inherit::All } else { table.inherit() },
                bytes: self.read(path)?,
            });
        }
        Ok(Parts { component: self.read(component.source()?)?, dependencies })
    }

    fn component(&self, id: &str) -> Result<&crate::manifest::Component> {
        let component = self.manifest.components.get(id);
        component.with_context(|| format!("the manifest has no component {id:?}"))
    }

    fn read(&self, source: &Path) -> Result<Vec<u8>> {
        let path = self.directory.join(source);
        fs::read(&path).with_context(|| format!("cannot read {}; build the components first", path.display()))
    }

    fn key(&self, parts: &Parts) -> String {
        let mut engine = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut engine);
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        field(CACHE_FORMAT.as_bytes());
        field(&engine.finish().to_le_bytes());
        field(&parts.component);
        for part in &parts.dependencies {
            field(part.name.as_bytes());
            field(format!("{:?} {:?}", part.export, part.inherit).as_bytes());
            field(&part.bytes);
        }
        let digest = hash.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn cache_file(&self, key: &str) -> PathBuf {
        self.cache.join(format!("{key}.cwasm"))
    }

    #[allow(unsafe_code)]
    fn cached(&self, key: &str) -> Option<Component> {
        let file = self.cache_file(key);
        if !file.exists() {
            return None;
        }
        // SAFETY: the file holds native code, which must be what `compile` has written. It is in a
        // directory of the user who runs the host, its name is a digest of all that it was made
        // from, and it appeared there in one piece by a rename.
        let component = unsafe { Component::deserialize_file(self.engine, &file) };
        // An entry that does not load is made anew.
        component.ok()
    }

    fn compile(&self, id: &str, parts: &Parts, key: &str) -> Result<Component> {
        (self.progress)(&format!("compiling {id} (kept for the next start)"));
        let bytes = compose::compose(parts).with_context(|| format!("component {id:?}"))?;
        // On threads that end: those of the global pool would keep what the compiler has allocated.
        let threads = rayon::ThreadPoolBuilder::new().build()?;
        let code = threads
            .install(|| self.engine.precompile_component(&bytes))
            .map_err(anyhow::Error::from)
            .with_context(|| format!("cannot compile the component {id:?}"))?;
        drop(threads);
        fs::create_dir_all(self.cache).with_context(|| format!("cannot create the cache {}", self.cache.display()))?;
        let file = self.cache_file(key);
        let unfinished = file.with_extension(format!("{}.part", std::process::id()));
        fs::write(&unfinished, code)
            .and_then(|()| fs::rename(&unfinished, &file))
            .with_context(|| format!("cannot write {}", file.display()))?;
        self.cached(key).with_context(|| format!("cannot load what was just written to {}", file.display()))
    }
}

/// Makes a component of a core module; leaves a component as it is.
fn componentize(bytes: &[u8]) -> Result<Vec<u8>> {
    ensure!(bytes.starts_with(b"\0asm"), "the file is not WebAssembly");
    // The fourth pair of bytes tells the two layers apart.
    if bytes.get(6..8) == Some(&[1, 0]) {
        return Ok(bytes.to_vec());
    }
    wit_component::ComponentEncoder::default()
        .module(bytes)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .validate(true)
        .encode()
        .context("cannot make a component of this core module")
}
