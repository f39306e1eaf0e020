//! The gateway: what no service routes. It says how the shop is, and that anything else does not exist.

#[cfg(test)]
mod contract;
mod health;
mod openapi;
mod tick;

use axum::Router;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::Database;

struct Gateway;

impl web::Service for Gateway {
    const NAME: &'static str = "gateway";
    const DATABASE: Option<&'static Database> = None;

    fn routes() -> Router {
        Router::new()
            .route("/health", web::get(health::health))
            .route("/openapi.json", web::get(openapi::document))
            .route("/tick", web::post(tick::tick))
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Gateway>(request).await
}
