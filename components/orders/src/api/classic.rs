//! Orders as older shops show them: `/api/orders` of the items and the order desk, `/order`, `/orders` of the cart shop and
//! of micro. One order has one shape for all of them, with the fields of each.

mod address;
mod bare;
#[cfg(test)]
pub(crate) mod contract;
mod desk;

use axum::Router;
use garde::Validate;
use model::{Currency, Family, Money, OrderId, OrderStatus, ProductId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Json, Result, Slice};

use crate::{
    order::Line,
    orders::{self, OrderView},
};

pub(crate) fn routes() -> Router {
    desk::routes().merge(bare::routes())
}

/// An order in the words of older shops.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicOrder, example = json!({
    "id": 17, "orderId": 17, "number": "B-2026-000017", "userId": 3, "customerId": 3, "status": "CONFIRMED", "state": "PAID",
    "items": [{
        "productId": 1, "itemId": 1, "name": "Mug", "itemName": "Mug", "quantity": 2, "price": 19.99, "unitPrice": 19.99,
        "total": 39.98
    }],
    "subtotal": 39.98, "discount": 0, "shipping": 4.9, "tax": 0, "total": 44.88, "totalAmount": 44.88, "refunded": 0,
    "currency": "EUR", "createdAt": "2026-11-23T08:00:00.000Z", "updatedAt": "2026-11-23T08:00:05.000Z"
}))]
struct ClassicOrder {
    id: OrderId,
    order_id: OrderId,
    /// What people read out.
    number: String,
    user_id: UserId,
    customer_id: UserId,
    /// In capitals below `/api`, in small letters elsewhere: docs/classic-api.md has the words.
    #[schema(example = "CONFIRMED")]
    status: &'static str,
    /// The word of the items, below `/api`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "PAID")]
    state: Option<&'static str>,
    /// Why it is in this state, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    items: Vec<ClassicLine>,
    subtotal: Money,
    discount: Money,
    shipping: Money,
    tax: Money,
    total: Money,
    total_amount: Money,
    /// What has gone back to the customer.
    refunded: Money,
    currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<model::Address>, nullable = false)]
    shipping_address: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<model::Address>, nullable = false)]
    billing_address: Option<Box<RawValue>>,
    /// The carrier's number, or the page that shows where the parcel is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tracking: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// One line of an order in the words of older shops.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ClassicLine {
    product_id: ProductId,
    item_id: ProductId,
    #[schema(example = "Mug")]
    name: String,
    #[schema(example = "Mug")]
    item_name: String,
    #[schema(minimum = 1, example = 2)]
    quantity: u32,
    price: Money,
    unit_price: Money,
    total: Money,
}

impl From<Line> for ClassicLine {
    fn from(line: Line) -> Self {
        Self {
            product_id: line.product_id,
            item_id: line.product_id,
            name: line.name.clone(),
            item_name: line.name,
            quantity: line.quantity,
            price: line.unit_price,
            unit_price: line.unit_price,
            total: line.total,
        }
    }
}

/// Whose words an order is shown in: those of the paths below `/api`, or of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    /// The order desk's, and the items' in `state`.
    Desk,
    /// Micro's, which are the cart shop's, too.
    Bare,
}

impl Words {
    fn show(self, order: OrderView) -> Result<ClassicOrder> {
        let (status, state) = match self {
            Words::Desk => (Family::OrderDesk, Some(order.status.word_of(Family::Items))),
            Words::Bare => (Family::Micro, None),
        };
        let lines: Vec<Line> = serde_json::from_str(order.items.get())?;
        Ok(ClassicOrder {
            id: order.id,
            order_id: order.id,
            number: order.number,
            user_id: order.user_id,
            customer_id: order.user_id,
            status: order.status.word_of(status),
            state,
            reason: order.reason,
            items: lines.into_iter().map(ClassicLine::from).collect(),
            subtotal: order.subtotal,
            discount: order.discount,
            shipping: order.shipping,
            tax: order.tax,
            total: order.total,
            total_amount: order.total,
            refunded: order.refunded,
            currency: order.currency,
            shipping_address: order.shipping_address,
            billing_address: order.billing_address,
            tracking: order.tracking,
            created_at: order.created_at,
            updated_at: order.updated_at,
        })
    }

    /// The answer to a placement, which holds the order as the API shows it.
    fn show_answer(self, answer: Answer) -> Result<Answer> {
        let order = self.show(serde_json::from_str(answer.body())?)?;
        answer.with_body(&order)
    }

    /// A user's orders, or everybody's: a part of the list as a bare array.
    async fn list(self, caller: &Caller, user_id: Option<UserId>, slice: &Slice) -> Result<Json<Vec<ClassicOrder>>> {
        let orders = orders::slice(caller, user_id, slice).await?;
        Ok(Json(orders.into_iter().map(|order| self.show(order)).collect::<Result<_>>()?))
    }
}

/// The state that an order is to be brought to.
#[derive(Deserialize, Validate, ToSchema)]
#[schema(as = ClassicOrderStatusChange, example = json!({"status": "shipped"}))]
struct SetStatus {
    /// The word of any family, in capitals or not.
    #[garde(length(bytes, max = 32))]
    #[schema(max_length = 32)]
    status: String,
}

impl SetStatus {
    fn status(&self) -> Result<OrderStatus> {
        OrderStatus::of_word(&self.status)
            .ok_or_else(|| Error::invalid("status", "must be pending, paid, shipped, delivered or cancelled"))
    }
}

/// What a request has done, as a sentence.
#[derive(Serialize, ToSchema)]
#[schema(as = ClassicOrderMessage)]
struct Done {
    #[schema(example = "Order status updated successfully")]
    message: &'static str,
}
