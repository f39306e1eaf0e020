//! Orders: who wants what, and where each order is in its life.

mod api {
    pub(crate) mod classic;
    pub(crate) mod internal;
    pub(crate) mod v1;
}
mod by_hand;
mod changing;
mod erasures;
mod fulfilment;
mod order;
mod orders;
mod placing;
mod pricing;
mod reactions;
mod refunds;
mod repository;
mod users;

use axum::Router;
use events::Envelope;
use include_dir::{Dir, include_dir};
use model::OrderStatus;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::{Database, Transaction};
use web::metrics::Gauge;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/orders");
static DATABASE: Database = Database::new("orders", &[events::MIGRATIONS, ("orders", &FILES)]);

struct Orders;

impl web::Service for Orders {
    const NAME: &'static str = "orders";
    const DATABASE: Option<&'static Database> = Some(&DATABASE);

    fn routes() -> Router {
        api::v1::routes().merge(api::classic::routes()).merge(api::internal::routes())
    }

    async fn react(transaction: &Transaction, event: &Envelope) -> web::Result<()> {
        reactions::react(transaction, event).await
    }

    async fn gauges() -> web::Result<Vec<Gauge>> {
        let words = OrderStatus::ALL.iter().map(|status| status.as_str());
        let counts = repository::counts(&DATABASE).await?;
        Ok(vec![Gauge::new("bodega_orders", "Orders by state.", "state", words, counts)])
    }

    async fn tick() -> web::Result<()> {
        orders::cancel_expired().await?;
        erasures::erase_some().await
    }

    async fn start() -> web::Result<()> {
        orders::read_timeout().await?;
        pricing::read_rates().await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Orders>(request).await
}
