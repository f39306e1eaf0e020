use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// An authority that nobody knows, and the key and the certificate that it has given to 127.0.0.1. All files are PEM.
pub struct Certificates(TempDir);

impl Certificates {
    /// Makes new ones, with `openssl`.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("extensions"), "subjectAltName=IP:127.0.0.1").unwrap();
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        run(
            &directory,
            &[&new[..], &["-x509", "-days", "2", "-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.pem"]].concat(),
        );
        run(&directory, &[&new[..], &["-subj", "/CN=127.0.0.1", "-keyout", "key.pem", "-out", "request"]].concat());
        let sign =
            ["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"];
        run(&directory, &[&sign[..], &["-extfile", "extensions", "-out", "certificate.pem"]].concat());
        Self(directory)
    }

    /// The certificate of the authority, for clients.
    pub fn authority(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// The certificate of 127.0.0.1.
    pub fn certificate(&self) -> PathBuf {
        self.0.path().join("certificate.pem")
    }

    /// Its key.
    pub fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

fn run(directory: &TempDir, arguments: &[&str]) {
    let output = Command::new("openssl").current_dir(directory.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
