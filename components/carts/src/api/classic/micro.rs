//! Micro: `/carts`.

use axum::Router;
use model::{Money, ProductId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Answer, Caller, Json, Path, Result, Submitted, openapi::IdempotencyKey};

use crate::{
    api::v1::carts::Add,
    carts::{self, CartView, Expected, Visitor},
};

pub(super) fn routes() -> Router {
    Router::new()
        .route("/carts/me", web::get(show))
        .route("/carts/me/items", web::post(add))
        .route("/carts/{userId}", web::get(of_user))
}

/// A cart, with the names that these clients have for its id and for what it costs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MicroCart)]
struct MicroCart {
    /// As `id`.
    #[schema(minimum = 1)]
    cart_id: Option<i64>,
    /// As `subtotal`.
    total: Option<Money>,
    #[serde(flatten)]
    cart: CartView,
}

impl From<CartView> for MicroCart {
    fn from(cart: CartView) -> Self {
        Self { cart_id: cart.id, total: cart.subtotal, cart }
    }
}

/// One's own cart at the prices of this moment.
#[utoipa::path(
    get,
    path = "/carts/me",
    operation_id = "classicGetOwnCart",
    responses(
        (status = 200, body = MicroCart)
    ),
    security(("bearer" = []))
)]
async fn show(caller: Caller) -> Result<Json<MicroCart>> {
    carts::show(&Visitor::user(&caller, None), false, None).await.map(MicroCart::from).map(Json)
}

/// So many more of a product: the cart as it is then.
#[utoipa::path(
    post,
    path = "/carts/me/items",
    operation_id = "classicAddCartItem",
    params(IdempotencyKey),
    request_body = Add,
    responses(
        (status = 200, body = MicroCart),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "The cart is being ordered right now.")
    ),
    security(("bearer" = []))
)]
async fn add(caller: Caller, Submitted { body, once }: Submitted<Add>) -> Result<Answer> {
    let (visitor, product_id) = (Visitor::user(&caller, None), ProductId(body.product_id));
    let (answer, cart, offers) =
        carts::add(&visitor, Some(&caller), &once, Expected::Any, product_id, body.quantity).await?;
    answer.with_body(&MicroCart::from(carts::view(cart, offers).await?))
}

/// A user's cart, for the user and for admins, who are told who that is.
#[utoipa::path(
    get,
    path = "/carts/{userId}",
    operation_id = "classicGetCartOfUser",
    params(("userId" = UserId, Path)),
    responses(
        (status = 200, body = MicroCart)
    ),
    security(("bearer" = []))
)]
async fn of_user(caller: Caller, Path(user_id): Path<i64>) -> Result<Json<MicroCart>> {
    carts::of_user(&caller, UserId(user_id)).await.map(MicroCart::from).map(Json)
}
