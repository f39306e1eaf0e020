//! Payments: whose money is where.

mod api {
    pub(crate) mod classic;
    #[cfg(test)]
    mod contract;
    pub(crate) mod internal;
    pub(crate) mod v1;
    pub(crate) mod webhooks;
}
mod by_hand;
mod charges;
mod checkout;
mod external;
mod ledger;
mod method;
mod own_refunds;
mod payment;
mod payments;
mod provider;
mod reactions;
mod refunds;
mod repository;
mod webhooks;

use axum::Router;
use events::Envelope;
use include_dir::{Dir, include_dir};
use model::PaymentStatus;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::{Database, Transaction};
use web::metrics::Gauge;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/payments");
static DATABASE: Database = Database::new("payments", &[events::MIGRATIONS, ("payments", &FILES)]);

struct Payments;

impl web::Service for Payments {
    const NAME: &'static str = "payments";
    const DATABASE: Option<&'static Database> = Some(&DATABASE);

    fn routes() -> Router {
        let api = api::v1::routes().merge(api::classic::routes());
        api.merge(api::webhooks::routes()).merge(api::internal::routes())
    }

    async fn react(transaction: &Transaction, event: &Envelope) -> web::Result<()> {
        reactions::react(transaction, event).await
    }

    async fn gauges() -> web::Result<Vec<Gauge>> {
        let words = PaymentStatus::ALL.iter().map(|status| status.as_str());
        let counts = repository::counts(&DATABASE).await?;
        Ok(vec![Gauge::new("bodega_payments", "Payments by outcome.", "outcome", words, counts)])
    }

    async fn tick() -> web::Result<()> {
        charges::find_out_unknown().await?;
        refunds::find_out_unknown().await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Payments>(request).await
}
