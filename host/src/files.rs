//! The files of a component: copies that its instances may read, as `spin up` makes them.

use std::fs;
use std::path::{Component as Part, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use glob::Pattern;
use tempfile::TempDir;

use crate::manifest::{Mount, unsupported};

/// The files of one component, in a directory of their own that goes with it. Instances see it as `/`.
pub(crate) struct Files(TempDir);

impl Files {
    /// Copies what `mounts` name, but for `excluded`, from the directory of the manifest; nothing when there are none.
    ///
    /// # Errors
    ///
    /// If a file or directory does not exist, is outside of the directory, cannot be copied, or is named in a way that
    /// this host does not understand.
    pub(crate) fn copy(mounts: &[Mount], excluded: &[String], directory: &Path) -> Result<Option<Self>> {
        if mounts.is_empty() {
            return Ok(None);
        }
        let excluded = excluded.iter().map(|text| pattern(text)).collect::<Result<Vec<_>>>();
        let root = std::path::absolute(directory)?;
        let into = tempfile::tempdir().context("cannot make a directory for the files")?;
        let copier = Copier { root: &root, into: into.path(), excluded: excluded.context("in exclude_files")? };
        for mount in mounts {
            match mount {
                Mount::Pattern(text) => copier.pattern(text).with_context(|| format!("files: {text:?}"))?,
                Mount::Placement(place) => copier
                    .placement(&place.source, &place.destination)
                    .with_context(|| format!("files: {:?} as {:?}", place.source, place.destination))?,
            }
        }
        Ok(Some(Self(into)))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

fn pattern(text: &str) -> Result<Pattern> {
    Pattern::new(text).with_context(|| format!("{text:?} is not a pattern"))
}

struct Copier<'a> {
    root: &'a Path,
    into: &'a Path,
    excluded: Vec<Pattern>,
}

impl Copier<'_> {
    /// A file, or the files that match.
    fn pattern(&self, text: &str) -> Result<()> {
        let path = self.inside(text)?;
        if path.is_dir() {
            // Spin puts them below the path twice, which nobody wants.
            return Err(unsupported("a directory as a pattern (write <directory>/**/*, or source and destination)"));
        }
        if path.exists() {
            return copy(&path, &self.into.join(text));
        }
        ensure!(Pattern::escape(text) != text, "there is no such file, and it is not a pattern either");
        self.matches(&path, self.root, self.into)
    }

    /// A file, or all files of a directory, under another path.
    fn placement(&self, source: &str, destination: &str) -> Result<()> {
        let path = self.inside(source)?;
        let relative = destination.trim_start_matches('/');
        ensure!(!climbs(relative), "the destination must not have `..`");
        let into = self.into.join(relative);
        if path.is_dir() {
            return self.matches(&path.join("**/*"), &path, &into);
        }
        ensure!(path.exists(), "there is no such file or directory");
        ensure!(!relative.is_empty() && !relative.ends_with('/'), "the destination must name a file");
        copy(&path, &into)
    }

    /// Only what is beside the manifest or below it is part of the application.
    fn inside(&self, text: &str) -> Result<PathBuf> {
        ensure!(!climbs(text), "it must not have `..`: files are inside the application's directory");
        let path = self.root.join(text);
        ensure!(path.starts_with(self.root), "files must be inside the application's directory");
        Ok(path)
    }

    /// Copies the files that match, each to where it is relative to `prefix`.
    fn matches(&self, wanted: &Path, prefix: &Path, into: &Path) -> Result<()> {
        let wanted = wanted.to_str().context("the path is not UTF-8")?;
        fs::create_dir_all(into)?;
        for found in glob::glob(wanted)? {
            let found = found?;
            let relative = found.strip_prefix(self.root)?;
            if found.is_file() && !self.excluded.iter().any(|excluded| excluded.matches_path(relative)) {
                copy(&found, &into.join(found.strip_prefix(prefix)?))?;
            }
        }
        Ok(())
    }
}

fn climbs(path: &str) -> bool {
    Path::new(path).components().any(|part| part == Part::ParentDir)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let Some(parent) = to.parent() else { bail!("{} is not the place of a file", to.display()) };
    fs::create_dir_all(parent)
        .and_then(|()| fs::copy(from, to))
        .with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
