use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{LazyLock, mpsc},
    thread::sleep,
    time::{Duration, Instant},
};

/// A server that takes longer to start has failed to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server: the leader of a process group, which ends with this value, or when this process dies.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` and waits until it is `ready`. What it prints is in `log`.
    ///
    /// # Panics
    ///
    /// When it ends, or is not ready within a minute; with the end of its log.
    pub fn start(name: &'static str, mut command: Command, log: PathBuf, ready: impl FnMut() -> bool) -> Self {
        let output = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).process_group(0);
        // SAFETY: prctl is a system call, as is allowed between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // So that nothing is left behind when the tests are killed.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = spawn(command).unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let mut process = Self { name, child, log };
        process.wait_until(ready);
        process
    }

    fn wait_until(&mut self, mut ready: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !ready() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended: {}\n{}", self.name, ended.unwrap(), self.tail());
            assert!(Instant::now() < end, "{} is not ready within {PATIENCE:?}\n{}", self.name, self.tail());
            sleep(Duration::from_millis(20));
        }
    }

    /// The end of what it has printed.
    pub fn tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Kills it and all it has started, as a power failure would.
    pub fn kill(&mut self) {
        // It must not start another one meanwhile. Those of PostgreSQL leave the group.
        self.signal(libc::SIGSTOP);
        let children = self.children();
        self.signal(libc::SIGKILL);
        for child in &children {
            // SAFETY: a system call.
            unsafe { libc::kill(*child, libc::SIGKILL) };
        }
        _ = self.child.wait();
        let end = Instant::now() + PATIENCE;
        while children.iter().any(|child| runs(*child)) && Instant::now() < end {
            sleep(Duration::from_millis(1));
        }
    }

    /// The processes it has started, if it runs.
    fn children(&mut self) -> Vec<i32> {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Vec::new();
        }
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let lists: Vec<_> = lists.collect();
        lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
    }

    /// Sends a signal to it and all it has started.
    pub fn signal(&self, signal: i32) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            // SAFETY: a system call.
            unsafe { libc::killpg(group, signal) };
        }
    }

    /// What it has ended with, if it has ended by itself.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    /// Waits for it to end by itself, and says whether it did within that time.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            sleep(Duration::from_millis(20));
        }
        false
    }
}

/// Whether a process is there, and not one that only waits for somebody to hear that it has ended.
fn runs(process: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Starts a command on a thread that never ends: to Linux the thread is the parent whose death ends the child, and those
/// of tests end before others are done with a server that they share.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, child) = mpsc::channel();
    SPAWNER.send((command, answer)).unwrap();
    child.recv().unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
