//! `/api/v1/admin`.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::UserId;
use serde::Deserialize;
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

#[derive(Default, Deserialize, Validate)]
#[serde(default)]
struct Of {
    /// One service; all when it is empty.
    #[garde(skip)]
    service: String,
}

/// Parked events, oldest first.
async fn list_parked(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(of): Query<Of>,
) -> Result<Json<Merged<Parked>>> {
    Ok(Json(parked::list(&caller, &of.service, &page).await?))
}

/// 204: the event is delivered again. Again changes nothing.
async fn replay(caller: Caller, Path((service, id)): Path<(String, i64)>) -> Result<StatusCode> {
    parked::replay(&caller, &service, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delivers all that a service has parked again, up to a thousand: how many there were.
async fn replay_all(caller: Caller, Path(service): Path<String>) -> Result<Json<Replayed>> {
    Ok(Json(parked::replay_all(&caller, &service).await?))
}

/// What a list of the audit log is narrowed to; what is empty is as good as absent.
#[derive(Default, Deserialize, Validate)]
#[serde(default)]
struct Narrowed {
    #[garde(skip)]
    service: String,
    #[garde(skip)]
    actor: String,
    #[garde(length(max = 200))]
    action: String,
    #[garde(length(max = 200))]
    subject: String,
    #[garde(skip)]
    from: String,
    #[garde(skip)]
    to: String,
}

/// What admins did, newest first.
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
