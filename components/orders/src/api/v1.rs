//! `/api/v1/orders`.

use std::{fmt::Display, str::FromStr};

use axum::{Router, routing::MethodRouter};
use garde::Validate;
use model::{Address, Money, OrderId, OrderStatus, ProductId, UserId, event::OrderedItem};
use serde::{Deserialize, Serialize};
use web::{Answer, Caller, Error, Json, Page, PageQuery, Path, Query, Result, Submitted};

use crate::{
    fulfilment,
    order::Claim,
    orders::{self, OrderView},
    placing::{self, Choice, Request},
    refunds::{self, RefundView},
    repository::{Entry, list::Filter},
};

pub(crate) fn routes() -> Router {
    let at = |path: &str, methods: MethodRouter| Router::new().route(&format!("/api/v1/orders{path}"), methods);
    at("", web::get(list).merge(web::post(place)))
        .merge(at("/{id}", web::get(get).merge(web::delete(cancel))))
        .merge(at("/{id}/cancel", web::post(cancel_because)))
        .merge(at("/{id}/events", web::get(history)))
        .merge(at("/{id}/timeline", web::get(history)))
        .merge(at("/{id}/status", web::put(set_status).merge(web::patch(set_status))))
        .merge(at("/{id}/refunds", web::get(refunds).merge(web::post(refund))))
        .merge(at("/user/{id}", web::get(list_of_user)))
        .merge(at("/number/{number}", web::get(get_by_number)))
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    #[garde(skip)]
    product_id: i64,
    #[garde(range(min = 1, max = 10_000))]
    quantity: u32,
}

pub(super) fn ordered(items: &[Item]) -> Vec<OrderedItem> {
    let item = |item: &Item| OrderedItem { product_id: ProductId(item.product_id), quantity: item.quantity };
    items.iter().map(item).collect()
}

#[derive(Deserialize, Validate)]
struct Payment {
    /// The payment provider's token.
    #[garde(length(min = 1, max = 255), ascii)]
    token: String,
}

#[derive(Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
struct Place {
    #[garde(length(min = 1, max = 100), dive)]
    items: Vec<Item>,
    #[garde(length(chars, min = 1, max = 64))]
    discount_code: Option<String>,
    #[garde(dive)]
    shipping_address: Option<Address>,
    #[garde(skip)]
    shipping_address_id: Option<i64>,
    #[garde(dive)]
    billing_address: Option<Address>,
    #[garde(skip)]
    billing_address_id: Option<i64>,
    #[garde(dive)]
    payment: Option<Payment>,
    #[garde(skip)]
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
async fn place(caller: Caller, Submitted { body, once }: Submitted<Place>) -> Result<Answer> {
    let (shipping, billing) = (body.shipping_address, body.billing_address);
    let token = body.payment.map(|payment| payment.token);
    let request = Request {
        items: ordered(&body.items),
        discount_code: body.discount_code,
        shipping_address: choice(shipping, body.shipping_address_id, "shippingAddressId", "shippingAddress")?,
        billing_address: choice(billing, body.billing_address_id, "billingAddressId", "billingAddress")?,
        payment_token: choice(token, body.payment_method_id, "paymentMethodId", "payment")?,
    };
    placing::place(&caller, &once, request).await
}

/// What a list of orders is narrowed to; what is empty is as good as absent.
#[derive(Default, Deserialize, Validate)]
#[serde(rename_all = "camelCase", default)]
struct Narrowed {
    #[garde(skip)]
    status: String,
    #[garde(skip)]
    user_id: String,
    #[garde(skip)]
    number: String,
    #[garde(skip)]
    from: String,
    #[garde(skip)]
    to: String,
    #[garde(skip)]
    min_total: String,
    #[garde(skip)]
    max_total: String,
}

/// A parameter as what it stands for; 422 that names it when it stands for nothing.
fn parsed<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Result<Option<T>> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse::<T>().map(Some).map_err(|error| Error::invalid(field, error.to_string())),
    }
}

impl Narrowed {
    fn filter(&self) -> Result<Filter> {
        Ok(Filter {
            number: Some(self.number.trim()).filter(|number| !number.is_empty()).map(ToOwned::to_owned),
            user_id: parsed("userId", &self.user_id)?.map(UserId),
            status: parsed("status", &self.status)?,
            from: parsed("from", &self.from)?,
            to: parsed("to", &self.to)?,
            min_total: parsed("minTotal", &self.min_total)?,
            max_total: parsed("maxTotal", &self.max_total)?,
        })
    }
}

/// Everybody's orders for admins, the caller's own for others; newest first.
async fn list(
    caller: Caller,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Page<OrderView>>> {
    Ok(Json(orders::list(&caller, narrowed.filter()?, &page).await?))
}

/// A user's orders, for that user and for admins; 404 for everybody else.
async fn list_of_user(
    caller: Caller,
    Path(id): Path<i64>,
    Query(page): Query<PageQuery>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Json<Page<OrderView>>> {
    Ok(Json(orders::list_of_user(&caller, UserId(id), narrowed.filter()?, &page).await?))
}

/// The order with this number.
async fn get_by_number(caller: Caller, Path(number): Path<String>) -> Result<Json<OrderView>> {
    Ok(Json(orders::get_by_number(&caller, &number).await?))
}

/// One order, for its owner and for admins; 404 for everybody else.
async fn get(caller: Caller, Path(id): Path<i64>) -> Result<Json<OrderView>> {
    Ok(Json(orders::get(&caller, OrderId(id)).await?))
}

#[derive(Serialize)]
struct History {
    items: Vec<Entry>,
}

/// What happened to an order, oldest first.
async fn history(caller: Caller, Path(id): Path<i64>) -> Result<Json<History>> {
    Ok(Json(History { items: orders::history(&caller, OrderId(id)).await? }))
}

#[derive(Deserialize, Validate)]
struct Cancel {
    #[garde(length(chars, min = 1, max = 200))]
    reason: Option<String>,
}

/// Calls an order off; 409 when it has failed. Again changes nothing.
async fn cancel_because(caller: Caller, Path(id): Path<i64>, body: Option<Json<Cancel>>) -> Result<Json<OrderView>> {
    let reason = body.and_then(|Json(cancel)| cancel.reason);
    Ok(Json(orders::cancel(&caller, OrderId(id), reason.as_deref()).await?))
}

/// The same, without a reason.
async fn cancel(caller: Caller, Path(id): Path<i64>) -> Result<Json<OrderView>> {
    Ok(Json(orders::cancel(&caller, OrderId(id), None).await?))
}

#[derive(Deserialize, Validate)]
struct SetStatus {
    #[garde(skip)]
    status: OrderStatus,
    #[garde(length(chars, min = 1, max = 200))]
    reason: Option<String>,
    /// The carrier's number, or the page that shows where the parcel is.
    #[garde(length(chars, min = 1, max = 200))]
    tracking: Option<String>,
}

/// Brings an order to a state: 409 when its present state does not allow that. Again changes nothing.
async fn set_status(caller: Caller, Path(id): Path<i64>, Json(body): Json<SetStatus>) -> Result<Json<OrderView>> {
    let (reason, tracking) = (body.reason.as_deref(), body.tracking.as_deref());
    Ok(Json(fulfilment::set_status(&caller, OrderId(id), body.status, reason, tracking).await?))
}

#[derive(Deserialize, Validate)]
struct Refund {
    /// Money, or the pieces that it is for. Without either, all that is left.
    #[garde(inner(custom(positive)))]
    amount: Option<Money>,
    #[garde(length(min = 1, max = 100), dive)]
    items: Option<Vec<Item>>,
    #[garde(length(chars, min = 1, max = 200))]
    reason: Option<String>,
    #[serde(default)]
    #[garde(custom(|restock: &bool, _: &()| of_pieces(*restock, self.items.is_some())))]
    restock: bool,
}

fn positive(amount: &Money, _: &()) -> garde::Result {
    if *amount > Money::ZERO { Ok(()) } else { Err(garde::Error::new("must be above 0")) }
}

fn of_pieces(restock: bool, items: bool) -> garde::Result {
    if restock && !items { Err(garde::Error::new("needs items: which pieces go back into stock")) } else { Ok(()) }
}

/// Gives money back: 201 `pending`; payments say how it ends.
async fn refund(caller: Caller, Path(id): Path<i64>, Submitted { body, once }: Submitted<Refund>) -> Result<Answer> {
    let items = ordered(body.items.as_deref().unwrap_or_default());
    let claim = Claim { items: &items, amount: body.amount, restock: body.restock };
    refunds::refund(&caller, &once, OrderId(id), claim, body.reason.as_deref()).await
}

#[derive(Serialize)]
struct Refunds {
    items: Vec<RefundView>,
}

/// The refunds of an order, oldest first.
async fn refunds(caller: Caller, Path(id): Path<i64>) -> Result<Json<Refunds>> {
    Ok(Json(Refunds { items: refunds::list(&caller, OrderId(id)).await? }))
}
