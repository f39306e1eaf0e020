//! What other services hand over.

use axum::Router;
use http::StatusCode;
use web::{Json, Result};

use crate::{
    mail::Mail,
    mails::{self, Taken},
};

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/mails", web::post(take))
}

/// Takes a mail. The same again is answered again.
async fn take(Json(mail): Json<Mail>) -> Result<(StatusCode, Json<Taken>)> {
    Ok((StatusCode::CREATED, Json(mails::take(&mail).await?)))
}
