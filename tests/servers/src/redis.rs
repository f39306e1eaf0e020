use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{Process, find, free_port};

/// A Redis that has on disk what it has acknowledged.
pub struct Redis {
    directory: TempDir,
    port: u16,
    options: Vec<(String, String)>,
    process: Process,
}

impl Redis {
    /// Starts one that waits for the disk at every write, so that no kill loses anything it has answered to.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with settings of `redis.conf`, such as `("appendfsync", "everysec")`; they go before ours.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_with(options: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let options: Vec<_> = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let process = run(&directory, port, &options);
        Self { directory, port, options, process }
    }

    /// Where it is. A password is not part of it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it where it is, as a machine would that hangs: its connections stay, and nobody answers.
    pub fn pause(&self) {
        self.process.signal(libc::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal(libc::SIGCONT);
    }

    /// Starts it at the same port with the same data.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_again(&mut self) {
        self.process.kill();
        self.process = run(&self.directory, self.port, &self.options);
    }
}

fn run(directory: &TempDir, port: u16, options: &[(String, String)]) -> Process {
    let program = find("redis-server").expect("redis-server is not installed");
    let mut command = Command::new(program);
    command.current_dir(directory.path());
    let ours = [
        ("bind", "127.0.0.1"),
        ("port", &port.to_string()),
        ("save", ""),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
    ];
    let theirs = options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in ours.into_iter().chain(theirs) {
        command.arg(format!("--{name}")).arg(value);
    }
    Process::start("redis-server", command, directory.path().join("log"), || answers(port))
}

/// Whether it answers, and has read its data again: until then it says `-LOADING`.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    // One with a password asks for it instead: that is an answer too.
    ask().is_ok_and(|answer| answer == *b"+PONG\r\n" || answer.starts_with(b"-NOAUTH"))
}
