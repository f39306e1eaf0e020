//! `/api/v1/carts`: the cart of whoever is signed in, or of whoever has its token.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    Router,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use garde::Validate;
use http::{HeaderMap, StatusCode, header};
use model::{Address, ProductId, UserId};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use web::{
    Answer, Caller, Error, Json, Path, Query, Result, Submitted, client,
    openapi::{IdempotencyKey, IfMatch},
};

use super::visitor::{Asking, token};
use crate::{
    cart::{Cart, MOST_PIECES},
    carts::{self, CartView, Opened, Visitor},
    checkout::Details,
    checkouts, merging,
    offers::Offers,
};

pub(super) fn routes() -> Router {
    let at = |path: &str, methods: MethodRouter| Router::new().route(&format!("/api/v1/carts{path}"), methods);
    at("", web::post(open))
        .merge(at("/me", web::get(show).merge(web::delete(empty))))
        .merge(at("/me/items", web::post(add)))
        .merge(at("/me/items/{productId}", web::patch(set).merge(web::put(set)).merge(web::delete(remove))))
        .merge(at("/me/discount", web::put(set_discount).merge(web::delete(remove_discount))))
        .merge(at("/me/merge", web::post(merge)))
        .merge(at("/me/checkout", web::post(check_out)))
        .merge(at("/{userId}", web::get(of_user)))
}

/// A cart with its `ETag`. That says which version of which cart it is, for `If-Match`, and what prices it was shown at,
/// for `If-None-Match`.
fn shown(view: &CartView, answer: Answer) -> Response {
    let mut hasher = DefaultHasher::new();
    answer.body().hash(&mut hasher);
    let etag = format!("W/\"{}-{:016x}\"", view.tag(), hasher.finish());
    ([(header::ETAG, etag)], answer).into_response()
}

fn fresh(status: StatusCode, view: &CartView) -> Result<Response> {
    Ok(shown(view, Answer::new(status, view)?))
}

/// A cart that has just been changed.
async fn changed(cart: Cart) -> Result<Response> {
    fresh(StatusCode::OK, &carts::view(cart, Offers::default()).await?)
}

/// 201 with a new cart and its token, for somebody who is not signed in; a user's own cart otherwise.
#[utoipa::path(
    post,
    path = "/api/v1/carts",
    operation_id = "openCart",
    params(("X-Cart-Token" = Option<String>, Header, description = "Of an anonymous cart that a user takes in.")),
    responses(
        (status = 201, body = Opened, description = "A new cart with its `token`; a user's own one has none.")
    ),
    security((), ("bearer" = []))
)]
async fn open(caller: Option<Caller>, headers: HeaderMap) -> Result<Response> {
    match caller {
        Some(caller) => {
            let visitor = Visitor::user(&caller, token(&headers));
            fresh(StatusCode::CREATED, &carts::open_own(&visitor).await?)
        }
        None => {
            let opened = carts::open().await?;
            Ok(shown(&opened.cart, Answer::new(StatusCode::CREATED, &opened)?))
        }
    }
}

#[derive(Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct Show {
    /// Whether to say what an order would cost.
    #[garde(skip)]
    estimate: Option<bool>,
    /// Where it would be delivered: one of the user's addresses.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    shipping_address_id: Option<i64>,
}

/// The cart at the prices of this moment.
#[utoipa::path(
    get,
    path = "/api/v1/carts/me",
    operation_id = "getCart",
    params(Show),
    responses(
        (status = 200, body = CartView),
        (status = 409, description = "`not-priceable`: the shop's rules have no price for an estimate.")
    ),
    security(("bearer" = []), ("cartToken" = []))
)]
async fn show(asking: Asking, Query(query): Query<Show>) -> Result<Response> {
    let ship_to = match query.shipping_address_id {
        Some(id) => address(asking.caller()?, "shippingAddress", None, Some(id)).await?,
        None => None,
    };
    let estimate = query.estimate.unwrap_or(false);
    fresh(StatusCode::OK, &carts::show(&asking.visitor, estimate, ship_to.as_ref()).await?)
}

/// A user's cart, for the user and for admins, who are told who that is.
#[utoipa::path(
    get,
    path = "/api/v1/carts/{userId}",
    operation_id = "getCartOfUser",
    params(("userId" = UserId, Path)),
    responses(
        (status = 200, body = CartView)
    ),
    security(("bearer" = []))
)]
async fn of_user(caller: Caller, Path(user_id): Path<i64>) -> Result<Response> {
    fresh(StatusCode::OK, &carts::of_user(&caller, UserId(user_id)).await?)
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewCartItem)]
pub(in crate::api) struct Add {
    /// The product.
    #[garde(skip)]
    #[schema(value_type = ProductId)]
    pub(in crate::api) product_id: i64,
    /// So many more pieces.
    #[garde(range(min = 1, max = MOST_PIECES))]
    #[schema(minimum = 1, maximum = 10_000, example = 2)]
    pub(in crate::api) quantity: u32,
}

/// So many more of a product: the cart as it is then.
#[utoipa::path(
    post,
    path = "/api/v1/carts/me/items",
    operation_id = "addCartItem",
    params(IdempotencyKey, IfMatch),
    request_body = Add,
    responses(
        (status = 200, body = CartView),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`checkout-under-way`: the cart is being ordered right now.")
    ),
    security(("bearer" = []), ("cartToken" = []))
)]
async fn add(asking: Asking, Submitted { body, once }: Submitted<Add>) -> Result<Response> {
    let Asking { caller, visitor, expected } = asking;
    let once = visitor.claim(once);
    let product_id = ProductId(body.product_id);
    let (answer, cart, offers) =
        carts::add(&visitor, caller.as_ref(), &once, expected, product_id, body.quantity).await?;
    let cart = carts::view(cart, offers).await?;
    let answer = answer.with_body(&cart)?;
    Ok(shown(&cart, answer))
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = CartItemChange)]
struct Set {
    /// So many pieces; 0 removes the product.
    #[garde(range(max = MOST_PIECES))]
    #[schema(maximum = 10_000, example = 3)]
    quantity: u32,
}

/// So many of a product that is in the cart.
#[utoipa::path(
    method(patch, put),
    path = "/api/v1/carts/me/items/{productId}",
    operation_id = "setCartItem",
    params(("productId" = ProductId, Path), IfMatch),
    request_body = Set,
    responses(
        (status = 200, body = CartView),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`checkout-under-way`: the cart is being ordered right now.")
    ),
    security(("bearer" = []), ("cartToken" = []))
)]
async fn set(asking: Asking, Path(product_id): Path<i64>, Json(body): Json<Set>) -> Result<Response> {
    changed(carts::set(&asking.visitor, asking.expected, ProductId(product_id), body.quantity).await?).await
}

/// The cart without a product that was in it.
#[utoipa::path(
    delete,
    path = "/api/v1/carts/me/items/{productId}",
    operation_id = "removeCartItem",
    params(("productId" = ProductId, Path), IfMatch),
    responses(
        (status = 200, body = CartView),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`checkout-under-way`: the cart is being ordered right now.")
    ),
    security(("bearer" = []), ("cartToken" = []))
)]
async fn remove(asking: Asking, Path(product_id): Path<i64>) -> Result<Response> {
    changed(carts::set(&asking.visitor, asking.expected, ProductId(product_id), 0).await?).await
}

/// The cart with nothing in it.
#[utoipa::path(
    delete,
    path = "/api/v1/carts/me",
    operation_id = "emptyCart",
    params(IfMatch),
    responses(
        (status = 200, body = CartView),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`checkout-under-way`: the cart is being ordered right now.")
    ),
    security(("bearer" = []), ("cartToken" = []))
)]
async fn empty(asking: Asking) -> Result<Response> {
    changed(carts::empty(&asking.visitor, asking.expected).await?).await
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = CartDiscountChange)]
struct SetDiscount {
    /// The code, as the customer types it.
    #[garde(length(min = 1, max = 100))]
    #[schema(min_length = 1, max_length = 100, example = "SPRING-10")]
    code: String,
}

/// The code that the cart is to be ordered with; 409 when nobody could use it.
#[utoipa::path(
    put,
    path = "/api/v1/carts/me/discount",
    operation_id = "setCartDiscount",
    params(IfMatch),
    request_body = SetDiscount,
    responses(
        (status = 200, body = CartView),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`discount-unknown`: nobody can use the code now; also `discount-inactive`, `discount-not-started`, `discount-expired`, `discount-exhausted`, `checkout-under-way`.")
    ),
    security(("bearer" = []), ("cartToken" = []))
)]
async fn set_discount(asking: Asking, Json(body): Json<SetDiscount>) -> Result<Response> {
    changed(carts::set_discount(&asking.visitor, asking.expected, Some(&body.code)).await?).await
}

/// The cart without a code.
#[utoipa::path(
    delete,
    path = "/api/v1/carts/me/discount",
    operation_id = "removeCartDiscount",
    params(IfMatch),
    responses(
        (status = 200, body = CartView),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`checkout-under-way`: the cart is being ordered right now.")
    ),
    security(("bearer" = []), ("cartToken" = []))
)]
async fn remove_discount(asking: Asking) -> Result<Response> {
    changed(carts::set_discount(&asking.visitor, asking.expected, None).await?).await
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartMerge)]
struct Merge {
    /// The `token` of the anonymous cart.
    #[garde(length(min = 1, max = 200))]
    #[schema(
        min_length = 1,
        max_length = 200,
        example = "5f0c3b6e2d7a4f19b8e1c2d3a4b5c6d75f0c3b6e2d7a4f19b8e1c2d3a4b5c6d7"
    )]
    cart_token: String,
}

/// The user's cart with what was in an anonymous one, which is gone; again, the cart as it is by then.
#[utoipa::path(
    post,
    path = "/api/v1/carts/me/merge",
    operation_id = "mergeCart",
    request_body = Merge,
    responses(
        (status = 404, description = "No cart has the token, or it went into somebody else's."),
        (status = 200, body = CartView),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`checkout-under-way`: the cart is being ordered right now.")
    ),
    security(("bearer" = []))
)]
async fn merge(caller: Caller, Json(body): Json<Merge>) -> Result<Response> {
    fresh(StatusCode::OK, &merging::merge(&caller, &body.cart_token).await?)
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CheckoutPayment, example = json!({"token": "tok_visa"}))]
struct Payment {
    /// The payment provider's token.
    #[garde(length(min = 1, max = 255), ascii)]
    #[schema(min_length = 1, max_length = 255, pattern = "^[\\x00-\\x7f]*$")]
    token: Option<String>,
    /// One of the user's own payment methods.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    method_id: Option<i64>,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Checkout, example = json!({"payment": {"token": "tok_visa"}, "shippingAddress": {"name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US"}}))]
struct CheckOut {
    /// How it is paid; later, when not given.
    #[garde(dive)]
    payment: Option<Payment>,
    /// Where it goes.
    #[garde(dive)]
    shipping_address: Option<Address>,
    /// Instead: one of the user's addresses.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    shipping_address_id: Option<i64>,
    /// Who pays.
    #[garde(dive)]
    billing_address: Option<Address>,
    /// Instead: one of the user's addresses.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    billing_address_id: Option<i64>,
}

/// Orders what is in the cart: 201 with the order. Only users can.
#[utoipa::path(
    post,
    path = "/api/v1/carts/me/checkout",
    operation_id = "checkOut",
    params(("X-Cart-Token" = Option<String>, Header, description = "Of an anonymous cart that is taken in first."), IdempotencyKey, IfMatch),
    request_body(content = Option<CheckOut>, description = "What the order needs beside the cart; nothing, when it is left out."),
    responses(
        (status = 201, body = ref("#/components/schemas/Order"), content_type = "application/json", description = "The order."),
        (status = 403, description = "The account is suspended."),
        (status = 409, description = "`cart-empty`: there is nothing in the cart; or the order is refused, as `POST /orders` does, or `checkout-under-way` with other details.")
    ),
    security(("bearer" = []))
)]
async fn check_out(asking: Asking, request: Request) -> Result<Answer> {
    let caller = asking.caller()?;
    let Submitted { body, once } = Submitted::<CheckOut>::from_request(web::or_empty(request), &()).await?;
    let details = async || details(caller, body).await;
    checkouts::check_out(caller, &asking.visitor, &once, asking.expected, details).await
}

/// What the body says, with what it names by id.
async fn details(caller: &Caller, body: CheckOut) -> Result<Details> {
    let CheckOut { payment, shipping_address, shipping_address_id, billing_address, billing_address_id } = body;
    Ok(Details {
        shipping_address: address(caller, "shippingAddress", shipping_address, shipping_address_id).await?,
        billing_address: address(caller, "billingAddress", billing_address, billing_address_id).await?,
        payment_token: match payment {
            Some(Payment { token: Some(token), method_id: None }) => Some(token),
            Some(Payment { token: None, method_id: Some(id) }) => Some(method(caller, id).await?),
            Some(_) => return Err(Error::invalid("payment.token", "give a token, or a methodId")),
            None => None,
        },
    })
}

async fn address(caller: &Caller, field: &str, given: Option<Address>, id: Option<i64>) -> Result<Option<Address>> {
    match (given, id) {
        (given, None) => Ok(given),
        (None, Some(id)) => {
            let path = format!("/internal/users/{}/addresses/{id}", caller.user_id);
            let found: Option<Address> = client::get("accounts", &path).await?;
            found.map(Some).ok_or_else(|| Error::invalid(format!("{field}Id"), "there is no such address"))
        }
        (Some(_), Some(_)) => Err(Error::invalid(format!("{field}Id"), format!("is one too many beside {field}"))),
    }
}

async fn method(caller: &Caller, id: i64) -> Result<String> {
    #[derive(Deserialize)]
    struct Method {
        token: String,
    }
    let path = format!("/internal/users/{}/payment-methods/{id}", caller.user_id);
    let found: Option<Method> = client::get("accounts", &path).await?;
    found
        .map(|method| method.token)
        .ok_or_else(|| Error::invalid("payment.methodId", "there is no such payment method"))
}
