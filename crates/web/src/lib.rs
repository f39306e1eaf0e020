//! What every service needs around its routes: serving, sign-in, errors, idempotency, paging, rate limits, headers,
//! calls to other services.

mod access_log;
mod after;
pub mod audit;
pub mod auth;
mod body;
pub mod classic;
pub mod client;
mod client_address;
mod cors;
mod edge;
mod error;
mod handler;
mod head;
mod headers;
pub mod idempotency;
mod internal;
mod json_text;
mod lines;
pub mod metrics;
pub mod openapi;
mod page;
mod rate_limit;
mod service;
pub mod variable;
pub mod webhook;

pub use after::after_commit;
pub use auth::{Caller, Viewer};
pub use body::{Form, Json, Path, Query, RawJson, WrittenJson, or_empty, parsed};
pub use error::{Error, FieldError, Refusal};
pub use handler::{delete, get, patch, post, put};
pub use idempotency::{Answer, Once, Submitted};
pub use internal::LONGEST_BATCH;
pub use lines::{Line, Lines, Ndjson};
pub use page::{Cursor, Page, PageQuery, Slice};
pub use service::{Service, serve};

/// What handlers and use cases return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
