//! Passwords: Argon2id, in a component of its own, because 100 ms of work hold up whatever shares the instance.
//!
//! It knows nobody and keeps nothing; only `accounts` calls it.

mod api;
mod hashing;

use axum::Router;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::Database;

struct Passwords;

impl web::Service for Passwords {
    const NAME: &'static str = "passwords";
    const DATABASE: Option<&'static Database> = None;

    fn routes() -> Router {
        api::internal::routes()
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Passwords>(request).await
}
