//! What other services of the shop ask when they start.

use axum::Router;
use web::{Json, Path, Result};

use crate::configs::{self, Configuration};

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/config/{service}/{profile}", web::get(get))
}

async fn get(Path((service, profile)): Path<(String, String)>) -> Result<Json<Configuration>> {
    Ok(Json(configs::get(&service, &profile)?))
}
