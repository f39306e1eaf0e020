//! What other services of the shop may ask.

use axum::Router;
use model::OrderId;
use web::{Json, Path, Result};

use crate::orders::{self, Summary};

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/orders/{id}", web::get(summary))
}

/// Whose order it is, what it costs and where it stands.
async fn summary(Path(id): Path<i64>) -> Result<Json<Summary>> {
    Ok(Json(orders::summary(OrderId(id)).await?))
}
