//! What components may ask of the host, a module each.

pub(crate) mod key_value;
pub(crate) mod mqtt;
pub(crate) mod outbound_http;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod sqlite;
pub(crate) mod variables;
