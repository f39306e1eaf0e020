//! Broker: events leave the shop to Redis and MQTT, and those of others arrive, signed. It keeps nothing, and is the only one
//! that knows where the brokers are.

mod api {
    #[cfg(test)]
    mod contract;
    pub(crate) mod internal;
    pub(crate) mod v1;
}
mod ingest;
mod message;
mod mqtt;
mod publishing;
mod redis;

use axum::Router;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::Database;

struct Broker;

impl web::Service for Broker {
    const NAME: &'static str = "broker";
    const DATABASE: Option<&'static Database> = None;
    /// Whoever has signed a message may send as many as there are: they all come from one bridge.
    const PROBES: &'static [&'static str] = &["/api/v1/events"];

    fn routes() -> Router {
        api::v1::routes().merge(api::internal::routes())
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Broker>(request).await
}
