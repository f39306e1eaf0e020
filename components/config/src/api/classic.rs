//! `/api/config`: for admins and programs of the shop.

use axum::{Router, response::IntoResponse};
use http::header;
use model::Role;
use serde::Serialize;
use web::{Caller, Error, Json, Path, Result};

use crate::configs;

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/config/services", web::get(services))
        .route("/api/config/{service}/profiles", web::get(profiles))
        .route("/api/config/{service}/{profile}", web::get(get))
}

fn must_configure(caller: &Caller) -> Result<()> {
    match caller.role {
        Role::Admin | Role::Service => Ok(()),
        _ => Err(Error::Forbidden("only admins and programs of the shop may do this")),
    }
}

#[derive(Serialize)]
struct Services {
    services: Vec<String>,
}

/// The services that have a configuration.
async fn services(caller: Caller) -> Result<Json<Services>> {
    must_configure(&caller)?;
    Ok(Json(Services { services: configs::services()? }))
}

#[derive(Serialize)]
struct Profiles {
    service: String,
    profiles: Vec<String>,
}

/// The profiles that a service can be asked for in.
async fn profiles(caller: Caller, Path(service): Path<String>) -> Result<Json<Profiles>> {
    must_configure(&caller)?;
    let profiles = configs::profiles(&service)?;
    Ok(Json(Profiles { service, profiles }))
}

/// What a service is configured with in a profile. The `ETag` is strong: it is the version, made of the content.
async fn get(caller: Caller, Path((service, profile)): Path<(String, String)>) -> Result<impl IntoResponse> {
    must_configure(&caller)?;
    let config = configs::get(&service, &profile)?;
    Ok(([(header::ETAG, format!("\"{}\"", config.version))], Json(config)))
}
