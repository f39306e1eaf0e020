//! Accounts: who is who, how they prove it, and the keys by which the other services know them.

mod account;
mod accounts;
mod addresses;
mod api;
mod card;
mod changes;
mod given;
mod keys;
mod passwords;
mod payment_methods;
mod people;
mod proof;
mod recovery;
mod repository;
mod reset;
mod session;
mod sign_in;
mod strength;
mod throttle;
mod written;

use axum::Router;
use include_dir::{Dir, include_dir};
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use store::Database;
use web::{Result, auth::SigningKey};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../migrations/accounts");
static DATABASE: Database = Database::new("accounts", &[events::MIGRATIONS, ("accounts", &FILES)]);

struct Accounts;

impl web::Service for Accounts {
    const NAME: &'static str = "accounts";
    const DATABASE: Option<&'static Database> = Some(&DATABASE);
    const SIGN_IN: &'static [&'static str] = &[
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/forgot-password",
        "/api/v1/auth/reset-password",
        // Those of older shops.
        "/auth/register",
        "/auth/signup",
        "/auth/login",
        "/auth/forgot-password",
        "/auth/reset-password/otp",
        "/register",
        "/login",
        "/api/auth/register",
        "/api/auth/login",
    ];

    fn routes() -> Router {
        api::v1::routes().merge(api::classic::routes()).merge(api::internal::routes())
    }

    async fn start() -> Result<()> {
        accounts::first_admin().await
    }

    async fn tick() -> Result<()> {
        keys::all().await?;
        repository::prune(model::Timestamp::now()).await
    }

    async fn signing_keys() -> Result<Vec<SigningKey>> {
        keys::all().await
    }
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    web::serve::<Accounts>(request).await
}
