use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A folder of this crate.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What a script of the project prints that fetches something, and says on stderr that it does.
pub(crate) fn fetched_by(script: &str) -> String {
    let file = folder("../../scripts").join(script);
    let output = Command::new(file).stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "scripts/{script} has failed");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
