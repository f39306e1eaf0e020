//! Orders are placed.

use axum::Router;
use garde::Validate;
use model::Address;
use serde::Deserialize;
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Result, Submitted, openapi::IdempotencyKey};

use super::{Item, ordered};
use crate::{
    orders::OrderView,
    placing::{self, Choice, Expected, Means, Request},
};

pub(super) fn routes() -> Router {
    Router::new().route("/api/v1/orders", web::post(place))
}

#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = OrderPayment)]
struct Payment {
    /// The payment provider's token.
    #[garde(length(min = 1, max = 255), ascii)]
    #[schema(min_length = 1, max_length = 255, example = "tok_visa")]
    token: String,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NewOrder, example = json!({
    "items": [{"productId": 1, "quantity": 2}],
    "shippingAddress":
        {"name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "postalCode": "62701", "country": "US"},
    "payment": {"token": "tok_visa"}
}))]
struct Place {
    /// What is ordered.
    #[garde(length(min = 1, max = 100), dive)]
    #[schema(min_items = 1, max_items = 100)]
    items: Vec<Item>,
    /// A discount code, however it is written.
    #[garde(length(chars, min = 1, max = 64))]
    #[schema(min_length = 1, max_length = 64)]
    discount_code: Option<String>,
    #[garde(dive)]
    shipping_address: Option<Address>,
    /// Instead of `shippingAddress`: one that the account keeps.
    #[garde(skip)]
    #[schema(minimum = 1)]
    shipping_address_id: Option<i64>,
    #[garde(dive)]
    billing_address: Option<Address>,
    /// Instead of `billingAddress`: one that the account keeps.
    #[garde(skip)]
    #[schema(minimum = 1)]
    billing_address_id: Option<i64>,
    #[garde(dive)]
    payment: Option<Payment>,
    /// Instead of `payment`: one of the account's payment methods.
    #[garde(skip)]
    #[schema(minimum = 1)]
    payment_method_id: Option<i64>,
}

/// The one of two that is given; 422 when both are.
fn choice<T>(given: Option<T>, kept: Option<i64>, field: &'static str, other: &str) -> Result<Option<Choice<T>>> {
    match (given, kept) {
        (Some(_), Some(_)) => Err(Error::invalid(field, format!("cannot stand beside {other}"))),
        (Some(given), None) => Ok(Some(Choice::Given(given))),
        (None, kept) => Ok(kept.map(Choice::Kept)),
    }
}

/// Places an order: 201, `pending`. With a payment or a payment method it is charged once its stock is reserved.
#[utoipa::path(
    post,
    path = "/api/v1/orders",
    operation_id = "placeOrder",
    params(IdempotencyKey),
    request_body = Place,
    responses(
        (status = 201, body = OrderView),
        (status = 409, description = "`discount-expired`: or another reason why the code cannot be used. `not-priceable`: the shop's rules have no price.")
    ),
    security(("bearer" = []))
)]
async fn place(caller: Caller, Submitted { body, once }: Submitted<Place>) -> Result<Answer> {
    let (shipping, billing) = (body.shipping_address, body.billing_address);
    let token = body.payment.map(|payment| payment.token);
    let request = Request {
        items: ordered(&body.items),
        discount_code: body.discount_code,
        shipping_address: choice(shipping, body.shipping_address_id, "shippingAddressId", "shippingAddress")?,
        billing_address: choice(billing, body.billing_address_id, "billingAddressId", "billingAddress")?,
        means: choice(token, body.payment_method_id, "paymentMethodId", "payment")?.map(Means::Token),
        expected: Expected::default(),
    };
    placing::place(&caller, &once, request).await
}
