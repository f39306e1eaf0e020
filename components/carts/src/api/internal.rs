//! What other services of the shop may ask.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::{ProductId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use web::{Json, Path, Result};

use crate::{
    cart::MOST_PIECES,
    discount::{Redeem, Terms},
    discounts,
    parts::{self, Part},
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/internal/discounts/redeem", web::post(redeem))
        .route("/internal/users/{userId}/checkouts", web::post(check_out))
}

/// `POST /internal/discounts/redeem`: counts a use of a code, once for each key; 409 when it cannot be used.
async fn redeem(Json(asked): Json<Redeem>) -> Result<Json<Terms>> {
    discounts::redeem(&asked).await.map(Json)
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct CheckOut {
    /// Names the order: the same for the same request.
    #[garde(skip)]
    key: Uuid,
    #[garde(skip)]
    product_id: i64,
    /// All of it, when left out.
    #[garde(range(min = 1, max = MOST_PIECES))]
    quantity: Option<u32>,
}

/// `POST /internal/users/{userId}/checkouts`: orders a product that is in the user's cart, and nothing else of it: 201 with
/// the order, the same one for the same key; 422 when the product is not there.
async fn check_out(Path(user_id): Path<i64>, Json(body): Json<CheckOut>) -> Result<(StatusCode, Json<Box<RawValue>>)> {
    let CheckOut { key, product_id, quantity } = body;
    let part = Part { key, user_id: UserId(user_id), product_id: ProductId(product_id), quantity };
    Ok((StatusCode::CREATED, Json(parts::check_out(&part).await?)))
}
