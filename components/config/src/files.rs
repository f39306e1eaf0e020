//! The files that the manifest mounts.

use std::{fs, path::Path};

use web::{Error, Result};

/// Where the manifest puts them.
const FOLDER: &str = "/config";

/// All files of the folder that end in `.toml`: their names and their text.
pub(crate) fn read() -> Result<Vec<(String, String)>> {
    let failed = |path: &Path, error: std::io::Error| Error::Internal(format!("{}: {error}", path.display()));
    let folder = Path::new(FOLDER);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let path = entry.map_err(|error| failed(folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).map_err(|error| failed(&path, error))?));
        }
    }
    Ok(found)
}
