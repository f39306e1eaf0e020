//! What the suites in `tests/` start a shop with, and how they ask it.
//!
//! A [`Shop`] is the real components of `spin.toml` with databases of their own, on a free port: by default on
//! `bodega-host`, in this process; with `BODEGA_HOST=spin` on the `spin` program. Time is up to the test: nothing ticks
//! unless it asks for that ([`Shop::tick_all`], [`Shop::settle`]), and on our host the clock is the test's, too.

// A test that cannot go on says why and ends.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod audit;
mod call;
mod data;
mod inbound;
mod order;
mod plans;
mod postgres;
mod purchase;
mod script;
mod server;
mod settle;
mod shop;
mod template;

use std::{
    io::Write,
    time::{Duration, Instant},
};

pub use audit::Allow;
pub use call::{Answer, Call};
pub use data::Rows;
pub use inbound::Inbound;
pub use postgres::{as_written, on_postgres, server as postgres};
pub use script::{Script, Seen, is_database};
pub use server::{Program, on_spin, program};
pub use servers::note;
pub use shop::{Customer, ProviderBooks, Shop, ShopOptions};

/// Asks again and again until `condition` holds.
///
/// # Panics
///
/// When it does not within `deadline`; the message names `what` was waited for.
pub async fn eventually(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition().await {
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How clients of a shop begin. It is asked without TLS, but `reqwest` wants to know who would do that: the bridge builds it
/// with TLS and no word about it, and in a workspace that holds for all.
pub fn client() -> reqwest::ClientBuilder {
    // An error says that it is known already.
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// Prints a line although the test passes: libtest keeps what `println!` prints to itself.
pub fn say(line: &str) {
    // Nobody can be told that stderr is gone.
    _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Ends the test, and says so, when the shop is to run on Spin: for tests that move the clock, look at calls between
/// components, or kill instances.
#[macro_export]
macro_rules! needs_bench {
    ($why:literal) => {
        if $crate::on_spin() {
            fn here() {}
            let name = std::any::type_name_of_val(&here);
            let name = name.trim_end_matches("::here").trim_end_matches("::{{closure}}");
            $crate::note(&format!("SKIPPED on spin: {name} needs the test bench: {}", $why));
            return;
        }
    };
}

/// Ends the test, and says so, when services are on Postgres: for tests of what only SQLite has, its files and its plans.
#[macro_export]
macro_rules! needs_sqlite {
    ($why:literal) => {
        if $crate::on_postgres() {
            fn here() {}
            let name = std::any::type_name_of_val(&here);
            let name = name.trim_end_matches("::here").trim_end_matches("::{{closure}}");
            $crate::note(&format!("SKIPPED on postgres: {name} needs SQLite: {}", $why));
            return;
        }
    };
}
