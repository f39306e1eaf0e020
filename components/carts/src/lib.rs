//! Carts: what customers are about to buy, how a cart becomes an order, and the discount codes.

mod api {
    pub(crate) mod classic;
    #[cfg(test)]
    mod contract;
    pub(crate) mod internal;
    pub(crate) mod v1;
}
mod cart;
mod carts;
mod checkout;
mod checkouts;
mod departures;
mod discount;
mod discounts;
mod merging;
mod offers;
mod parts;
mod reactions;
mod repository;
mod returns;
mod users;

use axum::Router;
use events::Envelope;
use include_dir::{Dir, include_dir};
use model::Timestamp;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::{Database, Transaction};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/carts");
static DATABASE: Database = Database::new("carts", &[events::MIGRATIONS, ("carts", &FILES)]);

struct Carts;

impl web::Service for Carts {
    const NAME: &'static str = "carts";
    const DATABASE: Option<&'static Database> = Some(&DATABASE);

    fn routes() -> Router {
        api::v1::routes().merge(api::classic::routes()).merge(api::internal::routes())
    }

    async fn react(transaction: &Transaction, event: &Envelope) -> web::Result<()> {
        reactions::react(transaction, event).await
    }

    async fn tick() -> web::Result<()> {
        checkouts::finish_open().await?;
        discounts::find_out_unconfirmed().await?;
        let now = Timestamp::now();
        carts::prune(now).await?;
        merging::prune(now).await?;
        departures::forget_late(now).await?;
        checkouts::prune(now).await
    }

    async fn start() -> web::Result<()> {
        offers::read_currency().await?;
        checkouts::read_order_timeout().await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Carts>(request).await
}
