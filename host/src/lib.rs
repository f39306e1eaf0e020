//! A small Spin-compatible host, for development and tests.
//!
//! It serves the components of a plain `spin.toml` with the semantics of Spin, on Wasmtime. What
//! Spin is not, it is a test bench: [`Options::control`] sees every call from a component to the
//! outside and can delay it, fail it, or kill the instance before or after it; [`Options::clock`] is
//! the time that components see.
//!
//! Production is Spin.

#![deny(unsafe_code)]

mod address;
mod allowed_hosts;
mod application;
mod artifact;
mod assemble;
mod bindings;
mod capabilities;
mod clock;
mod control;
mod engine;
mod files;
mod headers;
mod host;
mod instance;
mod manifest;
mod options;
mod output;
mod routes;
mod runtime;
mod runtime_config;
mod server;
mod template;
mod triggers;
mod variables;
mod worker;

pub use clock::Clock;
pub use control::{Control, HostCall, Phase, Verdict};
pub use host::Host;
pub use options::Options;
pub use output::Output;
