//! `/api/v1/products/import` and `/export`.

use axum::{Router, extract::Request, response::IntoResponse};
use web::{Caller, Lines, Ndjson, Result, get, post};

use crate::bulk;

pub(crate) fn routes() -> Router {
    Router::new().route("/api/v1/products/import", post(import)).route("/api/v1/products/export", get(export))
}

/// A product a line comes in, known by its SKU; what became of each goes out, a line each, in order.
async fn import(caller: Caller, request: Request) -> Result<impl IntoResponse> {
    caller.must_sell()?;
    Ok(Ndjson(bulk::import(caller, Lines::of(request)?)))
}

/// A product a line: the caller's own; all, for an admin.
async fn export(caller: Caller) -> Result<impl IntoResponse> {
    caller.must_sell()?;
    Ok(Ndjson(bulk::export(&caller)))
}
