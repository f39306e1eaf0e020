//! `GET /`: what this is, and where to go from here.

use serde::Serialize;
use utoipa::ToSchema;
use web::Json;

#[derive(Serialize, ToSchema)]
struct Links {
    /// For people.
    documentation: &'static str,
    /// The same for programs.
    openapi: &'static str,
    /// How the shop is.
    health: &'static str,
    /// For Prometheus.
    metrics: &'static str,
    /// What all paths of the services begin with.
    api: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Index {
    /// `bodega`.
    name: &'static str,
    /// What it is.
    description: &'static str,
    /// The version of the shop.
    version: &'static str,
    /// Paths.
    links: Links,
}

/// What this is and where the rest is: for people who try the address, and for programs.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "getIndex",
    responses((
        status = 200,
        body = Index,
        description = "What this is.",
        example = json!({
            "name": "bodega",
            "description": "An e-commerce backend",
            "version": "0.1.0",
            "links": {
                "documentation": "/docs",
                "openapi": "/openapi.json",
                "health": "/health",
                "metrics": "/metrics",
                "api": "/api/v1"
            }
        })
    ))
)]
pub(crate) async fn index() -> Json<Index> {
    Json(Index {
        name: "bodega",
        description: "An e-commerce backend",
        version: env!("CARGO_PKG_VERSION"),
        links: Links {
            documentation: "/docs",
            openapi: "/openapi.json",
            health: "/health",
            metrics: "/metrics",
            api: "/api/v1",
        },
    })
}
