//! What the figures depend on: the machine, and what processes have taken of it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How long synchronous commits are counted.
const COUNTED: Duration = Duration::from_secs(1);
/// Of the processor times in `/proc`, a second, on every Linux.
const TICKS: f64 = 100.0;
const MIB: u64 = 1 << 20;

/// What a process has taken so far, as Linux tells it; elsewhere nothing is known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Processor time.
    pub(crate) processor: Option<Duration>,
    /// Resident memory, bytes.
    pub(crate) resident: Option<u64>,
    /// The most it has been.
    pub(crate) peak: Option<u64>,
}

impl Usage {
    /// Of the process with this id, or of `self`.
    pub(crate) fn of(process: &str) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|value| value * 1024)
        };
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        Self { processor: processor_time(&stat), resident: kibibytes("VmRSS:"), peak: kibibytes("VmHWM:") }
    }

    /// Microseconds of processor time since `before`, for each of `count`.
    pub(crate) fn micros_each(&self, before: &Self, count: u64) -> Option<f64> {
        let taken = self.processor?.checked_sub(before.processor?)?;
        (count > 0).then(|| taken.as_secs_f64() * 1e6 / count as f64)
    }
}

/// `utime` and `stime` of proc(5): the 14th and 15th field, of which the second may have spaces within parentheses.
fn processor_time(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(Duration::from_secs_f64((next()? + next()?) / TICKS))
}

/// Prints what the machine is, with the disk that `directory` is on.
pub(crate) fn print(directory: &Path) -> Result<()> {
    let cores = std::thread::available_parallelism()?;
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" unknown");
    println!("Processor        {cores} cores, {}", model.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    if let Some(load) = load.split(' ').next() {
        let busy = load.parse::<f64>().is_ok_and(|load| load > 0.3 * cores.get() as f64);
        let hint = if busy { ": others are at work here, the figures are too low" } else { "" };
        println!("Load before      {load}{hint}");
    }
    println!("Disk             {:.0} synchronous commits a second (SQLite, one writer)", commits(directory)?);
    Ok(())
}

/// Commits a second of one writer, each of them on disk when it returns.
fn commits(directory: &Path) -> Result<f64> {
    let sqlite = rusqlite::Connection::open(directory.join("commits.db"))?;
    sqlite.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    sqlite.execute_batch("PRAGMA synchronous = FULL; CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")?;
    let mut insert = sqlite.prepare("INSERT INTO rows (text) VALUES (?1)")?;
    let text = "x".repeat(200);
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < COUNTED {
        insert.execute([&text])?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// Prints how large the components are that a manifest names.
pub(crate) fn print_sizes(manifest: &Path) -> Result<()> {
    let table: toml::Table = toml::from_str(&fs::read_to_string(manifest)?)?;
    let components = table.get("component").and_then(toml::Value::as_table).into_iter().flatten();
    let directory = manifest.parent().unwrap_or(Path::new("."));
    let mut sum = 0;
    let mut sizes = Vec::new();
    for (name, component) in components {
        if let Some(source) = component.get("source").and_then(toml::Value::as_str) {
            let size = fs::metadata(directory.join(source))?.len();
            sum += size;
            sizes.push(format!("{name} {}", mebibytes(size)));
        }
    }
    println!("Components       {} MiB: {}", mebibytes(sum), sizes.join(", "));
    Ok(())
}

/// With two decimals.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / MIB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_a_name_with_spaces() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 100 1 1";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(processor_time(""), None);
    }
}
