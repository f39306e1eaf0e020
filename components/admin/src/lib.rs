//! Admin: what admins see and do across services. It asks them all, and keeps nothing.

mod api {
    #[cfg(test)]
    mod contract;
    pub(crate) mod v1;
}
mod audit;
mod merge;
mod parked;
mod services;

use axum::Router;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::Database;

struct Admin;

impl web::Service for Admin {
    const NAME: &'static str = "admin";
    const DATABASE: Option<&'static Database> = None;

    fn routes() -> Router {
        api::v1::routes()
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Admin>(request).await
}
