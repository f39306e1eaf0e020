//! Config: what each service is configured with. Files that the manifest mounts, merged by profile; it keeps nothing.

mod api {
    pub(crate) mod classic;
    #[cfg(test)]
    mod contract;
    pub(crate) mod internal;
}
mod broker;
mod configs;
mod document;
mod files;
mod secret;

use axum::Router;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::Database;

struct Config;

impl web::Service for Config {
    const NAME: &'static str = "config";
    const DATABASE: Option<&'static Database> = None;

    fn routes() -> Router {
        api::classic::routes().merge(api::internal::routes())
    }

    async fn start() -> web::Result<()> {
        configs::load()
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Config>(request).await
}
