//! Hello, world: the floor that everything is measured against.

use std::cell::OnceCell;

use axum::Router;
use axum::routing::get;
use spin_sdk::http::{IntoResponse, Request};
use spin_sdk::http_service;
use tower_service::Service;

thread_local! {
    static ROUTER: OnceCell<Router> = const { OnceCell::new() };
}

fn router() -> Router {
    let build = || Router::new().route("/hello", get(|| async { "hello" }));
    ROUTER.with(|router| router.get_or_init(build).clone())
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    router().call(request).await
}
