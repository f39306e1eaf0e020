//! What `accounts` may ask.
//!
//! Every request says until when its answer is of use. Work that nobody waits for any more is not begun, so that a
//! crowd at the door costs those who came too late, and not everybody after them.

use axum::Router;
use garde::Validate;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use web::{Error, Json, Result};

use crate::hashing;

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/hash", web::post(hash)).route("/internal/verify", web::post(verify))
}

/// Longer than any password that `accounts` lets pass: 128 characters of four bytes each.
const LONGEST: usize = 512;

#[derive(Deserialize, Validate)]
struct HashRequest {
    #[garde(length(bytes, max = LONGEST))]
    password: String,
    /// When the caller gives up.
    #[garde(skip)]
    deadline: Option<Timestamp>,
}

#[derive(Serialize)]
struct HashResponse {
    /// A PHC string: algorithm, parameters, salt and hash.
    hash: String,
}

async fn hash(Json(request): Json<HashRequest>) -> Result<Json<HashResponse>> {
    in_time(request.deadline)?;
    let hash = hashing::hash(&request.password).map_err(|error| Error::Internal(format!("hash: {error}")))?;
    Ok(Json(HashResponse { hash }))
}

#[derive(Deserialize, Validate)]
struct VerifyRequest {
    #[garde(length(bytes, max = LONGEST))]
    password: String,
    #[garde(length(bytes, max = 512))]
    hash: String,
    /// When the caller gives up.
    #[garde(skip)]
    deadline: Option<Timestamp>,
}

#[derive(Serialize)]
struct VerifyResponse {
    matches: bool,
}

async fn verify(Json(request): Json<VerifyRequest>) -> Result<Json<VerifyResponse>> {
    in_time(request.deadline)?;
    let matches = hashing::verify(&request.password, &request.hash)
        .map_err(|error| Error::Internal(format!("verify: {error}")))?;
    Ok(Json(VerifyResponse { matches }))
}

fn in_time(deadline: Option<Timestamp>) -> Result<()> {
    match deadline {
        Some(deadline) if Timestamp::now() > deadline => Err(Error::Unavailable("passwords".into())),
        _ => Ok(()),
    }
}
