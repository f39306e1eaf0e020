//! `/api/v1/notifications`.

use axum::Router;
use web::{Caller, Json, Page, PageQuery, Path, Query, Result};

use crate::{mail::Notification, mails};

pub(crate) fn routes() -> Router {
    Router::new().route("/api/v1/notifications", web::get(list)).route("/api/v1/notifications/{id}", web::get(find))
}

/// The mails to the caller, the newest first; all of them for admins.
#[utoipa::path(
    get,
    path = "/api/v1/notifications",
    operation_id = "listNotifications",
    params(PageQuery),
    responses((status = 200, body = Page<Notification>)),
    security(("bearer" = []))
)]
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<Notification>>> {
    mails::list(&caller, &page).await.map(Json)
}

/// One mail, for its recipient and for admins; 404 for everybody else.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/{id}",
    operation_id = "getNotification",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, body = Notification)),
    security(("bearer" = []))
)]
async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<Notification>> {
    mails::find(&caller, id).await.map(Json)
}
