//! The host, on components made for it: `tests/guests`.

mod composition;
mod control;
mod fixture;
mod http;
mod lifecycle;
mod manifest;
mod outbound;
mod sqlite;
mod stores;
