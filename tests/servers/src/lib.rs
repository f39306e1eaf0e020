//! Real servers for tests: Debian's PostgreSQL, Redis, Mosquitto and RabbitMQ, Apache Kafka, a sink for mails.
//!
//! Each runs on a free port of 127.0.0.1, with its data in a temporary directory, and ends with the value that stands
//! for it, or with the process of the tests. A test can kill it as a power failure would, and start it again where it was.
//!
//! Where a server is not installed a test that [`needs!`] it is skipped, and says so; `make test` counts those at its end.
//! With `BODEGA_SERVERS=all` (as in CI) a missing one fails the test.

// A test that cannot go on says why and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod certificates;
mod kafka;
mod mosquitto;
mod postgres;
mod process;
mod rabbitmq;
mod redis;
mod script;
mod smtp;
#[cfg(test)]
mod tests;

use std::{
    fs::OpenOptions,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
};

pub use certificates::Certificates;
pub use kafka::Kafka;
pub use mosquitto::Mosquitto;
pub use postgres::Postgres;
pub use process::Process;
pub use rabbitmq::RabbitMq;
pub use redis::Redis;
pub use smtp::Smtp;

/// A port of 127.0.0.1 that nobody listens at right now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where a program is: on the PATH, or where Debian puts servers, the newest version first.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/sbin", "/usr/local/sbin", "/usr/lib/rabbitmq/bin"].map(PathBuf::from));
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<_> = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
        versions.sort();
        directories.splice(0..0, versions.into_iter().rev());
    }
    directories.into_iter().map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Notes that `test` is skipped because `program` is missing; `make test` counts these at its end.
///
/// # Panics
///
/// With `BODEGA_SERVERS=all`, where nothing may be skipped.
pub fn skip(test: &str, program: &str) {
    let line = format!("SKIPPED: {test} needs {program}, which is not installed");
    assert!(std::env::var("BODEGA_SERVERS").as_deref() != Ok("all"), "{line}");
    note(&line);
}

/// Says that something is skipped, in a line that `make test` shows again at its end.
pub fn note(line: &str) {
    // libtest keeps what `println!` prints to itself. Nobody can be told that stderr is gone.
    _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    if let Some(file) = std::env::var_os("BODEGA_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(Path::new(&file));
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).unwrap();
    }
}

/// Ends the test, and says so, where one of these programs is not installed.
#[macro_export]
macro_rules! needs {
    ($($program:literal),+) => {
        $(if $crate::find($program).is_none() {
            fn here() {}
            let name = std::any::type_name_of_val(&here);
            let name = name.trim_end_matches("::here").trim_end_matches("::{{closure}}");
            $crate::skip(name, $program);
            return;
        })+
    };
}
