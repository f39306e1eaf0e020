//! The host, on components made for it: `tests/guests`.

#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests")]

mod composition;
mod control;
mod files;
mod fixture;
mod http;
mod lifecycle;
mod manifest;
mod mqtt;
mod outbound;
mod redis;
mod sqlite;
mod stores;
mod triggers;
