//! Notifications: what the shop writes to people. Events bring mails about; other services hand over those that carry a
//! secret. They are sent after the commit that makes them, and kept for a while.

mod api {
    #[cfg(test)]
    mod contract;
    pub(crate) mod internal;
    pub(crate) mod v1;
}
mod attempt;
mod delivery;
mod letter;
mod locale;
mod mail;
mod mails;
mod reactions;
mod repository;
mod sending;
mod settings;

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
        let now = model::Timestamp::now();
        let chores = repository::chores(now).await?;
        repository::prune(&chores, now).await?;
        if chores.due {
            // A mail API that is slow must not hold up the rest of the housekeeping.
            spin_sdk::wasip3::spawn(sending::due(chores.paused_until));
        }
        Ok(())
    }

    async fn start() -> web::Result<()> {
        settings::read().await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Notifications>(request).await
}
