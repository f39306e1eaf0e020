//! `/api/v1/notifications`.

use axum::{
    Router,
    extract::{FromRequest, Request},
};
use garde::Validate;
use model::{NotificationKind as Kind, NotificationStatus as Status, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use web::{
    Answer, Caller, Error, Json, Page, PageQuery, Path, Query, Result, Submitted, openapi::IdempotencyKey, or_empty,
};

use crate::{
    mail::{self, Notification, Trial},
    mails,
    repository::Filter,
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/api/v1/notifications", web::get(list))
        .route("/api/v1/notifications/test", web::post(test))
        .route("/api/v1/notifications/{id}", web::get(find))
        .route("/api/v1/notifications/{id}/resend", web::post(resend))
}

#[derive(Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct Narrowed {
    /// Only mails in this state.
    #[garde(skip)]
    status: Option<Status>,
    /// Only mails of this kind.
    #[garde(skip)]
    kind: Option<Kind>,
    /// Only mails to this user.
    #[garde(skip)]
    #[param(value_type = Option<UserId>)]
    user_id: Option<i64>,
}

/// The mails to the caller, the newest first; all of them for admins.
#[utoipa::path(
    get,
    path = "/api/v1/notifications",
    operation_id = "listNotifications",
    params(PageQuery, Narrowed),
    responses(
        (status = 200, body = Page<Notification>),
        (status = 403, description = "Only admins see the mails of others.")
    ),
    security(("bearer" = []))
)]
async fn list(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Page<Notification>>> {
    let Narrowed { status, kind, user_id } = narrowed;
    mails::list(&caller, Filter { user_id: user_id.map(UserId), status, kind }, &page).await.map(Json)
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

#[derive(Deserialize, Validate)]
struct Nothing {}

/// Sends a mail once more.
#[utoipa::path(
    post,
    path = "/api/v1/notifications/{id}/resend",
    operation_id = "resendNotification",
    params(("id" = i64, Path, minimum = 1), IdempotencyKey),
    responses(
        (status = 202, body = Notification),
        (status = 400),
        (status = 409, description = "`still-pending`: it is being sent already. `expired`: what it says is of no use any more."),
        (status = 413),
        (status = 415),
        (status = 422)
    ),
    security(("bearer" = ["admin"]))
)]
async fn resend(caller: Caller, Path(id): Path<i64>, request: Request) -> Result<Answer> {
    let Submitted { body: Nothing {}, once } = Submitted::from_request(or_empty(request), &()).await?;
    mails::resend(&caller, &once, id).await
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = TestMail)]
struct Test {
    /// The caller's own address when it is not given.
    #[garde(inner(custom(is_address)))]
    #[serde(alias = "email")]
    to: Option<String>,
    #[garde(skip)]
    kind: Option<Kind>,
    #[garde(skip)]
    locale: Option<String>,
}

fn is_address(text: &str, _: &()) -> garde::Result {
    let valid = mail::is_address(text.trim());
    if valid { Ok(()) } else { Err(garde::Error::new("must be an email address, such as ann@example.com")) }
}

/// Sends a mail to try how it arrives, with made-up content.
#[utoipa::path(
    post,
    path = "/api/v1/notifications/test",
    operation_id = "sendTestNotification",
    params(IdempotencyKey),
    request_body = Test,
    responses((status = 202, body = Notification)),
    security(("bearer" = ["admin"]))
)]
async fn test(caller: Caller, request: Request) -> Result<Answer> {
    caller.must_administer()?;
    let Submitted { body: Test { to, kind, locale }, once } = Submitted::from_request(or_empty(request), &()).await?;
    let locale = locale.map(|locale| locale.parse()).transpose();
    let locale = locale.map_err(|refusal: String| Error::invalid("locale", refusal))?;
    mails::test(&caller, &once, to.as_deref().map(str::trim), &Trial { sample: kind, locale }).await
}
