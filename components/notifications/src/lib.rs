//! Notifications: what the shop writes to people. It takes mails from the other services and keeps them.

mod api {
    #[cfg(test)]
    mod contract;
    pub(crate) mod internal;
    pub(crate) mod v1;
}
mod mail;
mod mails;
mod reactions;
mod repository;

use axum::Router;
use events::Envelope;
use include_dir::{Dir, include_dir};
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::{Database, Transaction};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/notifications");
static DATABASE: Database = Database::new("notifications", &[events::MIGRATIONS, ("notifications", &FILES)]);

struct Notifications;

impl web::Service for Notifications {
    const NAME: &'static str = "notifications";
    const DATABASE: Option<&'static Database> = Some(&DATABASE);

    fn routes() -> Router {
        api::v1::routes().merge(api::internal::routes())
    }

    async fn react(transaction: &Transaction, event: &Envelope) -> web::Result<()> {
        reactions::react(transaction, event).await
    }

    async fn tick() -> web::Result<()> {
        repository::prune(model::Timestamp::now()).await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Notifications>(request).await
}
