//! `/api/v1/notifications`.

use axum::Router;
use web::{Caller, Json, Page, PageQuery, Path, Query, Result};

use crate::{mail::Notification, mails};

pub(crate) fn routes() -> Router {
    Router::new().route("/api/v1/notifications", web::get(list)).route("/api/v1/notifications/{id}", web::get(find))
}

/// The mails to the caller; all of them for admins.
async fn list(caller: Caller, Query(page): Query<PageQuery>) -> Result<Json<Page<Notification>>> {
    mails::list(&caller, &page).await.map(Json)
}

/// One of them.
async fn find(caller: Caller, Path(id): Path<i64>) -> Result<Json<Notification>> {
    mails::find(&caller, id).await.map(Json)
}
