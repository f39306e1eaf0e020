//! `/api/v1/admin`.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::UserId;
use serde::Deserialize;
use utoipa::IntoParams;
use web::{
    Caller, Json, PageQuery, Path, Query, Result,
    audit::{Entry, Search},
};

use crate::{
    audit,
    merge::Merged,
    parked::{self, Parked, Replayed},
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/v1/admin/events/parked", web::get(list_parked))
        .route("/api/v1/admin/events/parked/{service}/replay", web::post(replay_all))
        .route("/api/v1/admin/events/parked/{service}/{id}/replay", web::post(replay))
        .route("/api/v1/admin/audit", web::get(list_audit))
}

#[derive(Default, Deserialize, Validate, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Of {
    /// One service; all when it is empty.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "orders")]
    service: String,
}

/// Parked events, oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/events/parked",
    operation_id = "listParkedEvents",
    params(PageQuery, Of),
    responses((status = 200, body = Merged<Parked>)),
    security(("bearer" = ["admin"]))
)]
async fn list_parked(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(of): Query<Of>,
) -> Result<Json<Merged<Parked>>> {
    Ok(Json(parked::list(&caller, &of.service, &page).await?))
}

/// Has a parked event delivered again. Again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/admin/events/parked/{service}/{id}/replay",
    operation_id = "replayParkedEvent",
    params(("service" = String, Path, example = "orders"), ("id" = i64, Path, minimum = 1)),
    responses((status = 204)),
    security(("bearer" = ["admin"]))
)]
async fn replay(caller: Caller, Path((service, id)): Path<(String, i64)>) -> Result<StatusCode> {
    parked::replay(&caller, &service, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has all that a service has parked delivered again, up to a thousand: says how many there were.
#[utoipa::path(
    post,
    path = "/api/v1/admin/events/parked/{service}/replay",
    operation_id = "replayParkedEvents",
    params(("service" = String, Path, example = "orders")),
    responses((status = 200, body = Replayed)),
    security(("bearer" = ["admin"]))
)]
async fn replay_all(caller: Caller, Path(service): Path<String>) -> Result<Json<Replayed>> {
    Ok(Json(parked::replay_all(&caller, &service).await?))
}

/// What a list of the audit log is narrowed to; what is empty is as good as absent.
#[derive(Default, Deserialize, Validate, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct Narrowed {
    /// Only what was done in this service.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "orders")]
    service: String,
    /// Only what this account did.
    #[garde(skip)]
    #[param(value_type = Option<UserId>)]
    actor: String,
    /// Only this action.
    #[garde(length(max = 200))]
    #[param(value_type = Option<String>, max_length = 200, example = "order.status")]
    action: String,
    /// Only what was done to this.
    #[garde(length(max = 200))]
    #[param(value_type = Option<String>, max_length = 200, example = "order/17")]
    subject: String,
    /// Done then or later: RFC 3339, or a date.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "2026-11-23")]
    from: String,
    /// Done before: RFC 3339, or a date.
    #[garde(skip)]
    #[param(value_type = Option<String>, example = "2026-11-24T08:00:00Z")]
    to: String,
}

/// What admins did, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/audit",
    operation_id = "listAuditLog",
    params(PageQuery, Narrowed),
    responses((status = 200, body = Merged<Entry>)),
    security(("bearer" = ["admin"]))
)]
async fn list_audit(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Merged<Entry>>> {
    let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let search = Search {
        actor: web::parsed("actor", &narrowed.actor)?.map(UserId),
        action: text(&narrowed.action),
        subject: text(&narrowed.subject),
        from: web::parsed("from", &narrowed.from)?,
        to: web::parsed("to", &narrowed.to)?,
        ..Search::default()
    };
    Ok(Json(audit::list(&caller, &narrowed.service, &search, &page).await?))
}
