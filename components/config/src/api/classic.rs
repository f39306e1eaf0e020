//! `/api/config`: for admins and programs of the shop.

use axum::{Router, response::IntoResponse};
use http::header;
use model::Role;
use serde::Serialize;
use utoipa::ToSchema;
use web::{Caller, Error, Json, Path, Result};

use crate::configs::{self, Configuration};

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

#[derive(Serialize, ToSchema)]
#[schema(as = ConfiguredServices)]
struct Services {
    #[schema(example = json!(["carts", "orders"]))]
    services: Vec<String>,
}

/// The services that have a configuration.
#[utoipa::path(
    get,
    path = "/api/config/services",
    operation_id = "listConfiguredServices",
    responses((status = 200, body = Services)),
    security(("bearer" = ["admin", "service"]))
)]
async fn services(caller: Caller) -> Result<Json<Services>> {
    must_configure(&caller)?;
    Ok(Json(Services { services: configs::services()? }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConfigurationProfiles)]
struct Profiles {
    #[schema(example = "orders")]
    service: String,
    #[schema(example = json!(["default", "production"]))]
    profiles: Vec<String>,
}

/// The profiles that a service can be asked for in.
#[utoipa::path(
    get,
    path = "/api/config/{service}/profiles",
    operation_id = "listConfigurationProfiles",
    params(("service" = String, Path, example = "orders")),
    responses((status = 200, body = Profiles)),
    security(("bearer" = ["admin", "service"]))
)]
async fn profiles(caller: Caller, Path(service): Path<String>) -> Result<Json<Profiles>> {
    must_configure(&caller)?;
    let profiles = configs::profiles(&service)?;
    Ok(Json(Profiles { service, profiles }))
}

/// What a service is configured with in a profile.
///
/// The `ETag` is strong: it is the version, made of the content. A file that is wrong, or says a secret, is not served.
#[utoipa::path(
    get,
    path = "/api/config/{service}/{profile}",
    operation_id = "getConfiguration",
    params(("service" = String, Path, example = "orders"), ("profile" = String, Path, example = "default")),
    responses((status = 200, body = Configuration), (status = 500, description = "`misconfigured`: a file is wrong.")),
    security(("bearer" = ["admin", "service"]))
)]
async fn get(caller: Caller, Path((service, profile)): Path<(String, String)>) -> Result<impl IntoResponse> {
    must_configure(&caller)?;
    let config = configs::get(&service, &profile)?;
    Ok(([(header::ETAG, format!("\"{}\"", config.version))], Json(config)))
}
