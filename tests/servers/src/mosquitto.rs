use std::{fs, net::TcpStream, process::Command};

use tempfile::TempDir;

use crate::{Process, find, free_port};

/// A Mosquitto that lets everybody in, forgets nobody's messages, and writes to disk whatever changes.
pub struct Mosquitto {
    directory: TempDir,
    port: u16,
    /// Further lines of `mosquitto.conf`.
    settings: String,
    process: Process,
}

/// What was told between two writes of its database, which take the longer the more there is, is lost when it is killed.
const AT_ONCE: &str = "autosave_on_changes true\nautosave_interval 1\n";
const EACH_SECOND: &str = "autosave_interval 1\n";

impl Mosquitto {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one that can take many messages: it writes to disk once a second.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_hasty() -> Self {
        Self::start_as(EACH_SECOND)
    }

    /// Starts one with further lines of `mosquitto.conf`, such as those of another listener.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start_with(settings: &str) -> Self {
        Self::start_as(&format!("{AT_ONCE}{settings}"))
    }

    fn start_as(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (port, settings) = (free_port(), settings.to_owned());
        let process = run(&directory, port, &settings);
        Self { directory, port, settings, process }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Its port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether a message with this in it would outlast a kill.
    #[cfg(test)]
    pub(crate) fn has_saved(&self, text: &str) -> bool {
        let database = fs::read(self.directory.path().join("mosquitto.db")).unwrap_or_default();
        database.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// Ends it as a power failure would. What it was told in the last instant may be lost: Mosquitto acknowledges a
    /// message before it writes its database.
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
        self.process = run(&self.directory, self.port, &self.settings);
    }
}

fn run(directory: &TempDir, port: u16, settings: &str) -> Process {
    let program = find("mosquitto").expect("mosquitto is not installed");
    let path = directory.path().display();
    // As root it would otherwise become a user who may not enter the directory. A queue without bounds, because tests
    // stop subscribers for longer than a thousand messages.
    let config = format!(
        "per_listener_settings true\nlistener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n\
         persistence_location {path}/\nmax_queued_messages 0\n{settings}\n"
    );
    let file = directory.path().join("mosquitto.conf");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(file);
    // It listens when it has read its data again.
    let ready = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    Process::start("mosquitto", command, directory.path().join("log"), ready)
}
