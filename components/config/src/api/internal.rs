//! What other services of the shop ask when they start.

use axum::Router;
use serde::Serialize;
use web::{Json, Path, Result};

use crate::{
    broker,
    configs::{self, Configuration},
};

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/config/{service}/{profile}", web::get(get))
}

#[derive(Serialize)]
struct ForService {
    #[serde(flatten)]
    configuration: Configuration,
    /// Whether events leave the shop. Where to is only the broker's business.
    broker: bool,
}

async fn get(Path((service, profile)): Path<(String, String)>) -> Result<Json<ForService>> {
    Ok(Json(ForService { configuration: configs::get(&service, &profile)?, broker: broker::is_there().await? }))
}
