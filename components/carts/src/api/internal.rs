//! What other services of the shop may ask.

use axum::Router;
use web::{Json, Result};

use crate::{
    discount::{Redeem, Terms},
    discounts,
};

pub(crate) fn routes() -> Router {
    Router::new().route("/internal/discounts/redeem", web::post(redeem))
}

/// `POST /internal/discounts/redeem`: counts a use of a code, once for each key; 409 when it cannot be used.
async fn redeem(Json(asked): Json<Redeem>) -> Result<Json<Terms>> {
    discounts::redeem(&asked).await.map(Json)
}
