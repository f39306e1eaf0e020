//! What other services of the shop may ask.

use axum::Router;
use garde::Validate;
use http::StatusCode;
use model::{Address, Money, OrderId, UserId};
use serde::Deserialize;
use uuid::Uuid;
use web::{Json, Path, Result};

use super::v1::{Item, ordered};
use crate::{
    order::{Terms, TermsKind},
    orders::{self, OrderView, Summary},
    placing::{self, Expected, Forgotten, Placement, QuoteView},
};

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/internal/orders", web::post(place))
        .route("/internal/orders/{id}", web::get(summary))
        .route("/internal/orders/{id}/cancel", web::post(cancel))
        .route("/internal/placements/{key}/forget", web::post(forget))
        .route("/internal/quotes", web::post(quote))
}

/// Whose order it is, what it costs and where it stands.
async fn summary(Path(id): Path<i64>) -> Result<Json<Summary>> {
    Ok(Json(orders::summary(OrderId(id)).await?))
}

#[derive(Deserialize, Validate)]
struct Cancel {
    #[garde(length(chars, min = 1, max = 200))]
    reason: String,
}

/// Calls an order off, as whoever asks has been asked to by somebody who may.
async fn cancel(Path(id): Path<i64>, Json(body): Json<Cancel>) -> Result<Json<Summary>> {
    Ok(Json(orders::cancel_for(OrderId(id), &body.reason).await?))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Place {
    #[garde(skip)]
    key: Uuid,
    #[garde(skip)]
    user_id: i64,
    #[garde(length(min = 1, max = 100), dive)]
    items: Vec<Item>,
    #[garde(length(chars, min = 1, max = 64))]
    discount_code: Option<String>,
    #[garde(dive)]
    shipping_address: Option<Address>,
    #[garde(dive)]
    billing_address: Option<Address>,
    #[garde(length(min = 1, max = 255), ascii)]
    payment_token: Option<String>,
}

/// Places an order for a customer: 201, the same one for the same key.
async fn place(Json(body): Json<Place>) -> Result<(StatusCode, Json<OrderView>)> {
    let placement = Placement {
        user_id: UserId(body.user_id),
        key: Some(body.key),
        items: ordered(&body.items),
        discount_code: body.discount_code,
        shipping_address: body.shipping_address,
        billing_address: body.billing_address,
        payment_token: body.payment_token,
        expected: Expected::default(),
    };
    Ok((StatusCode::CREATED, Json(placing::place_by_key(placement).await?)))
}

/// Nothing is placed under the key from now on, unless there is an order already.
async fn forget(Path(key): Path<Uuid>) -> Result<Json<Forgotten>> {
    Ok(Json(placing::forget(key).await?))
}

#[derive(Deserialize, Validate)]
struct Discount {
    #[garde(length(chars, min = 1, max = 64))]
    code: String,
    #[garde(skip)]
    kind: TermsKind,
    #[garde(custom(|value: &Money, _: &()| reduction(self.kind, *value)))]
    value: Money,
    #[garde(inner(custom(not_negative)))]
    minimum: Option<Money>,
}

fn reduction(kind: TermsKind, value: Money) -> garde::Result {
    const WHOLE: Money = Money::from_minor(10_000);
    if value <= Money::ZERO {
        Err(garde::Error::new("must be above 0"))
    } else if kind == TermsKind::Percentage && value > WHOLE {
        Err(garde::Error::new("must be at most 100"))
    } else {
        Ok(())
    }
}

fn not_negative(value: &Money, _: &()) -> garde::Result {
    if *value < Money::ZERO { Err(garde::Error::new("must not be negative")) } else { Ok(()) }
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Quote {
    #[garde(length(min = 1, max = 100), dive)]
    items: Vec<Item>,
    #[garde(dive)]
    discount: Option<Discount>,
    #[garde(dive)]
    shipping_address: Option<Address>,
}

/// What an order would cost at this moment.
async fn quote(Json(body): Json<Quote>) -> Result<Json<QuoteView>> {
    let terms = body.discount.map(|Discount { code, kind, value, minimum }| Terms { code, kind, value, minimum });
    let items = ordered(&body.items);
    Ok(Json(placing::quote(&items, terms.as_ref(), body.shipping_address.as_ref()).await?))
}
