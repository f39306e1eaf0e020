//! What other components of the shop may ask.

use axum::Router;
use web::{Json, Result, auth::SigningKey};

use crate::keys;

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/keys", web::get(signing_keys))
}

/// The keys that check access tokens, the one that signs first.
async fn signing_keys() -> Result<Json<Vec<SigningKey>>> {
    keys::all().await.map(Json)
}
