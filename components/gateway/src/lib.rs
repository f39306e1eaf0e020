//! The gateway: what no service routes. It says what the shop is and how it is, and that anything else does not exist.

#[cfg(test)]
mod contract;
mod docs;
mod exposition;
mod health;
mod index;
mod metrics;
mod openapi;
mod services;
mod tick;
mod token;

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
    const PROBES: &'static [&'static str] = &["/health", "/livez", "/readyz"];

    fn routes() -> Router {
        Router::new()
            .route("/", web::get(index::index))
            .route("/health", web::get(health::health))
            .route("/readyz", web::get(health::ready))
            .route("/livez", web::get(health::alive))
            .route("/metrics", web::get(metrics::metrics))
            .route("/openapi.json", web::get(openapi::document))
            .route("/docs", web::get(docs::page))
            .route("/docs/{file}", web::get(docs::file))
            .route("/tick", web::post(tick::tick))
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Gateway>(request).await
}
