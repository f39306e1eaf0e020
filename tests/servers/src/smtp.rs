use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    Process, free_port,
    script::{fetched_by, folder},
};

/// A server that takes mails and sends none: after STARTTLS, and AUTH as `shop` with the password `s3cret`. It refuses
/// mails to anybody called `busy` for now, and to anybody called `nobody` for good. Needs `python3`.
pub struct Smtp {
    directory: TempDir,
    port: u16,
    process: Process,
}

impl Smtp {
    /// Starts one; the first time, this fetches it.
    ///
    /// # Panics
    ///
    /// If it cannot be had or started.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = run(directory.path(), port);
        Self { directory, port, process }
    }

    /// Its port of localhost.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whoever believes this certificate believes that it is `localhost`.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The mails that it has taken, as they came.
    ///
    /// # Panics
    ///
    /// If they cannot be read.
    pub fn mails(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.directory.path().join("mails/new")) else { return Vec::new() };
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it at the same port with the same mails and the same certificate.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_again(&mut self) {
        self.process.kill();
        self.process = run(self.directory.path(), self.port);
    }
}

fn run(directory: &Path, port: u16) -> Process {
    let mut command = Command::new(fetched_by("smtp-sink"));
    command.arg(folder("smtp").join("sink.py")).arg(directory).arg(port.to_string());
    let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    Process::start("the sink of mails", command, directory.join("log"), ready)
}
