//! Inventory: how much there is of each product, and who has been promised some.

mod api {
    pub(crate) mod classic;
    #[cfg(test)]
    mod contract;
    pub(crate) mod v1;
}
mod availability;
mod inventory;
mod reactions;
mod repository;
mod reservations;
mod stock;

use axum::Router;
use events::Envelope;
use include_dir::{Dir, include_dir};
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::{Database, Transaction};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/inventory");
static DATABASE: Database = Database::new("inventory", &[events::MIGRATIONS, ("inventory", &FILES)]);

struct Inventory;

impl web::Service for Inventory {
    const NAME: &'static str = "inventory";
    const DATABASE: Option<&'static Database> = Some(&DATABASE);

    fn routes() -> Router {
        api::v1::routes().merge(api::classic::routes())
    }

    async fn react(transaction: &Transaction, event: &Envelope) -> web::Result<()> {
        reactions::react(transaction, event).await
    }

    async fn tick() -> web::Result<()> {
        reservations::expire().await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Inventory>(request).await
}
