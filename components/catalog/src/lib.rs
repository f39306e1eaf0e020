//! Catalog: what is for sale.

mod api {
    pub(crate) mod classic;
    #[cfg(test)]
    mod contract;
    pub(crate) mod internal;
    pub(crate) mod v1;
}
mod bulk;
mod categories;
mod category;
mod product;
mod products;
mod reactions;
mod repository;
mod text;

use axum::Router;
use events::Envelope;
use include_dir::{Dir, include_dir};
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::{Database, Transaction};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/catalog");
static DATABASE: Database = Database::new("catalog", &[events::MIGRATIONS, (NAME, &FILES)]);
const NAME: &str = "catalog";

struct Catalog;

impl web::Service for Catalog {
    const NAME: &'static str = NAME;
    const DATABASE: Option<&'static Database> = Some(&DATABASE);

    fn routes() -> Router {
        api::v1::routes().merge(api::classic::routes()).merge(api::internal::routes())
    }

    async fn react(transaction: &Transaction, event: &Envelope) -> web::Result<()> {
        reactions::react(transaction, event).await
    }

    async fn tick() -> web::Result<()> {
        categories::relabel().await
    }

    async fn start() -> web::Result<()> {
        products::read_currency().await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Catalog>(request).await
}
