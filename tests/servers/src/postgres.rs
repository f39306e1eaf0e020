use std::{
    ffi::CString,
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use tempfile::TempDir;

use crate::{Process, find, free_port};

/// A PostgreSQL server with one user, `bodega`, who needs no password. It may lose what a power failure would have to
/// find on the disk, but not what it knows when it is killed.
pub struct Postgres {
    directory: TempDir,
    port: u16,
    process: Option<Process>,
}

/// As whom it runs: it refuses to be root.
#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

fn user() -> Option<User> {
    // SAFETY: system calls; the entry is read before anybody asks for another one.
    unsafe {
        if libc::geteuid() != 0 {
            return None;
        }
        let name = CString::new("postgres").unwrap();
        let entry = libc::getpwnam(name.as_ptr());
        assert!(!entry.is_null(), "there is no user `postgres`, as whom the server could run");
        Some(User { id: (*entry).pw_uid, group: (*entry).pw_gid })
    }
}

fn command(program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| panic!("{program} is not installed")));
    if let Some(user) = user() {
        command.uid(user.id).gid(user.group);
    }
    command.current_dir("/");
    command
}

impl Postgres {
    /// Starts one with no databases but its own, `postgres`.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        if let Some(user) = user() {
            chown(directory.path(), Some(user.id), Some(user.group)).unwrap();
        }
        let data = directory.path().join("data");
        let made = command("initdb")
            .args(["--auth=trust", "--username=bodega", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(&data)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { directory, port: free_port(), process: None };
        server.start_again();
        server
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        self.process = None;
        // Left behind when it was killed; another process may have its number by now.
        _ = fs::remove_file(self.data().join("postmaster.pid"));
        let mut server = command("postgres");
        server.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=1000",
            "shared_buffers=64MB",
            "fsync=off",
            "full_page_writes=off",
            "autovacuum=off",
            "max_wal_size=2GB",
        ];
        server.args(settings.iter().flat_map(|setting| ["-c", setting]));
        let port = self.port.to_string();
        let ready = || {
            let mut ask = command("pg_isready");
            ask.args(["-q", "-h", "127.0.0.1", "-p", &port, "-U", "bodega"])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            ask.status().is_ok_and(|status| status.success())
        };
        self.process = Some(Process::start("postgres", server, self.directory.path().join("log"), ready));
    }

    /// Has its directory removed when this process ends, for one that lives in a `static`: those are not dropped.
    #[must_use]
    pub fn until_exit(self) -> Self {
        static DIRECTORIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
        extern "C" fn remove() {
            for directory in DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                // The server goes with this process. Nobody is there to be told.
                _ = fs::remove_dir_all(directory);
            }
        }
        let mut directories = DIRECTORIES.lock().unwrap();
        directories.push(self.directory.path().to_owned());
        // SAFETY: registers a function that may be called when the process ends.
        unsafe { libc::atexit(remove) };
        drop(directories);
        self
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://bodega@127.0.0.1:{}/{database}", self.port)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}
