//! What services tell each other: the payload of every event, and who hears it.
//!
//! Money in events is in major units with two decimals, as everywhere in JSON.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{Currency, Money, OrderId, PaymentId, ProductId, ProductStatus, RefundId, Role, Timestamp, UserId};

#[cfg(test)]
mod contract;

/// The payload of one type of event.
pub trait Event: Serialize + DeserializeOwned {
    /// The type's name on the wire, such as `ORDER_PLACED`.
    const TYPE: &'static str;
    /// Counts incompatible changes of the payload.
    const VERSION: u32 = 1;
    /// The services that react. Each gets its own copy, at least once, in order per subject.
    const SUBSCRIBERS: &'static [&'static str];

    /// What the event is about, such as `order/17`: events of one subject are delivered in order.
    fn subject(&self) -> String;
}

macro_rules! events {
    ($($(#[doc = $doc:literal])* $name:ident = $wire:literal => [$($subscriber:literal),*], $kind:literal / $key:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty,)+
    })+) => {
        $(
            $(#[doc = $doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
            #[serde(rename_all = "camelCase")]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)+ }

            impl Event for $name {
                const TYPE: &'static str = $wire;
                const SUBSCRIBERS: &'static [&'static str] = &[$($subscriber),*];
                fn subject(&self) -> String { format!(concat!($kind, "/{}"), self.$key) }
            }
        )+

        /// Every type of event with its subscribers.
        pub const ALL: &[(&str, &[&str])] = &[$(($wire, &[$($subscriber),*]),)+];

        /// The shape of every payload, and of what it refers to.
        #[cfg(test)]
        fn shapes() -> Vec<contract::Shape> {
            vec![$(contract::Shape::of::<$name>($kind, concat!($($doc),*)),)+]
        }
    };
}

events! {
    /// Somebody has an account.
    UserCreated = "USER_CREATED" => ["carts", "notifications", "orders"], "user" / id {
        /// The account.
        id: UserId,
        /// How it wants to be called.
        name: String,
        /// Its address.
        email: String,
        /// The language in which it wants to be written to (BCP 47), if it has said so.
        locale: Option<String>,
        /// What it may do.
        role: Role,
        /// `active` or `suspended`.
        account_status: String,
        /// Whether its orders are charged as soon as they are placed: as clients of the order desk expect.
        #[serde(default)]
        charge_at_once: bool,
    }

    /// What an account says of itself, or what it may do, has changed: as it is now.
    UserUpdated = "USER_UPDATED" => ["carts", "notifications", "orders"], "user" / id {
        /// The account.
        id: UserId,
        /// How it wants to be called.
        name: String,
        /// Its address.
        email: String,
        /// The language in which it wants to be written to (BCP 47), if it has said so.
        locale: Option<String>,
        /// What it may do.
        role: Role,
        /// `active` or `suspended`.
        account_status: String,
        /// Whether its orders are charged as soon as they are placed: as clients of the order desk expect.
        #[serde(default)]
        charge_at_once: bool,
    }

    /// An account is gone, and with it whatever says who it was.
    UserDeleted = "USER_DELETED" => ["carts", "notifications", "orders"], "user" / id {
        /// The account.
        id: UserId,
    }

    /// The catalog has a new product.
    ProductCreated = "PRODUCT_CREATED" => ["inventory"], "product" / product_id {
        /// The product.
        product_id: ProductId,
        /// The account whose product it is, for ever.
        supplier_id: UserId,
        /// Its name.
        name: String,
        /// The stock keeping unit, when the seller gave one.
        sku: Option<String>,
        /// The price of one.
        price: Money,
        /// The currency of the price.
        currency: Currency,
        /// Pieces on hand at the start.
        stock: u32,
        /// Whether it is for sale.
        status: ProductStatus,
    }

    /// The catalog changed what it says of a product.
    ProductUpdated = "PRODUCT_UPDATED" => ["inventory"], "product" / product_id {
        /// The product.
        product_id: ProductId,
        /// Its name.
        name: String,
        /// The price of one.
        price: Money,
        /// The currency of the price.
        currency: Currency,
        /// Set when the seller also said how many pieces there are: so many more than the catalog knew of at that moment.
        stock_change: Option<i64>,
        /// Whether it is for sale.
        status: ProductStatus,
    }

    /// The product is no longer sold.
    ProductDeleted = "PRODUCT_DELETED" => ["inventory"], "product" / product_id {
        /// The product.
        product_id: ProductId,
    }

    /// The number of pieces that can be ordered has changed.
    StockChanged = "STOCK_CHANGED" => ["catalog"], "product" / product_id {
        /// The product.
        product_id: ProductId,
        /// Pieces that can be ordered now.
        available: i64,
        /// Rises with every change: a lower one is old news.
        version: i64,
    }

    /// No more pieces can be ordered than the seller wants to be warned of, and before there were more. Once for each
    /// time that happens.
    StockLow = "STOCK_LOW" => ["notifications"], "product" / product_id {
        /// The product.
        product_id: ProductId,
        /// Whose product it is, when inventory knows.
        supplier_id: Option<UserId>,
        /// Pieces that can be ordered now.
        available: i64,
        /// The seller's threshold.
        threshold: i64,
    }

    /// A customer wants to buy.
    OrderPlaced = "ORDER_PLACED" => ["inventory", "notifications"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What people read out.
        number: String,
        /// Who placed it.
        user_id: UserId,
        /// What it asks for.
        items: Vec<SoldItem>,
        /// What the items cost.
        subtotal: Money,
        /// What a code takes off.
        discount: Money,
        /// What bringing it costs.
        shipping: Money,
        /// What comes on top.
        tax: Money,
        /// What it costs.
        total: Money,
        /// The currency of all of these.
        currency: Currency,
    }

    /// The customer wants something else, or has it brought elsewhere: what is held for it now must be what it asks for now.
    OrderChanged = "ORDER_CHANGED" => ["inventory"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What people read out.
        number: String,
        /// Who placed it.
        user_id: UserId,
        /// What it asks for now.
        items: Vec<SoldItem>,
        /// What it costs now.
        total: Money,
        /// The currency of all of these.
        currency: Currency,
    }

    /// Every piece of the order is held for it.
    InventoryReserved = "INVENTORY_RESERVED" => ["orders"], "order" / order_id {
        /// The order.
        order_id: OrderId,
    }

    /// The order asks for more than there is; nothing is held.
    InventoryRejected = "INVENTORY_REJECTED" => ["orders"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What is missing, for people.
        reason: String,
    }

    /// The order holds its stock and may be paid.
    OrderReserved = "ORDER_RESERVED" => ["payments"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// Who placed it.
        user_id: UserId,
        /// What is to be paid.
        total: Money,
        /// The currency of the total.
        currency: Currency,
        /// How often the order was changed before: what it cost then is old news.
        revision: i64,
        /// Set when the customer asked to be charged at once: the provider's token.
        payment_token: Option<String>,
    }

    /// The money for the order is held: it can be taken, or let go.
    PaymentAuthorized = "PAYMENT_AUTHORIZED" => ["orders"], "order" / order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The order it is to pay.
        order_id: OrderId,
        /// What is held.
        amount: Money,
        /// Its currency.
        currency: Currency,
    }

    /// The money for the order is taken.
    PaymentSucceeded = "PAYMENT_SUCCEEDED" => ["orders"], "order" / order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The order it pays.
        order_id: OrderId,
        /// What was taken.
        amount: Money,
        /// Its currency.
        currency: Currency,
    }

    /// No money was taken, and none will be.
    PaymentFailed = "PAYMENT_FAILED" => ["orders"], "order" / order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The order it would have paid.
        order_id: OrderId,
        /// The provider's word, such as `card_declined`.
        reason: String,
    }

    /// Money went back to the customer.
    PaymentRefunded = "PAYMENT_REFUNDED" => ["orders"], "order" / order_id {
        /// The payment.
        payment_id: PaymentId,
        /// The refund.
        refund_id: RefundId,
        /// The order that was paid.
        order_id: OrderId,
        /// What this refund gave back.
        amount: Money,
        /// Its currency.
        currency: Currency,
        /// True when nothing of the payment is left.
        full: bool,
        /// The request of orders that it answers; none when it was made in another way.
        #[schema(value_type = Option<String>, format = "uuid")]
        request_id: Option<Uuid>,
    }

    /// Money that was to go back has not, or has gone and come back again: then the refund was announced before.
    RefundFailed = "REFUND_FAILED" => ["orders"], "order" / order_id {
        /// The order that was paid.
        order_id: OrderId,
        /// The refund; none when nothing could be given back in the first place.
        refund_id: Option<RefundId>,
        /// The request of orders that it answers; none when it was made in another way.
        #[schema(value_type = Option<String>, format = "uuid")]
        request_id: Option<Uuid>,
        /// What the customer has not got.
        amount: Money,
        /// The provider's word, or ours, for people.
        reason: String,
    }

    /// The order is paid: its stock is sold.
    OrderPaid = "ORDER_PAID" => ["inventory", "notifications"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What people read out.
        number: String,
        /// Who placed it.
        user_id: UserId,
        /// The payment.
        payment_id: PaymentId,
        /// What was paid.
        total: Money,
        /// Its currency.
        currency: Currency,
    }

    /// The order ended without stock or without money.
    OrderFailed = "ORDER_FAILED" => ["carts", "inventory", "notifications", "payments"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What people read out.
        number: String,
        /// Who placed it.
        user_id: UserId,
        /// Why, for people.
        reason: String,
        /// The placement that it came of, when another service had it placed.
        #[schema(value_type = Option<String>, format = "uuid")]
        key: Option<Uuid>,
    }

    /// The order was called off: stock comes back, money goes back.
    OrderCancelled = "ORDER_CANCELLED" => ["inventory", "notifications", "payments"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What people read out.
        number: String,
        /// Who placed it.
        user_id: UserId,
        /// Why, for people.
        reason: String,
        /// When.
        cancelled_at: Timestamp,
        /// Whether it was paid: then the money goes back.
        paid: bool,
    }

    /// The order is on its way to the customer.
    OrderShipped = "ORDER_SHIPPED" => ["notifications"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What people read out.
        number: String,
        /// Who placed it.
        user_id: UserId,
        /// What it asked for.
        items: Vec<SoldItem>,
        /// The carrier's number or page, when the shop has one.
        tracking: Option<String>,
    }

    /// The order has arrived.
    OrderDelivered = "ORDER_DELIVERED" => [], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// Who placed it.
        user_id: UserId,
    }

    /// The customer has sent the order back: what is sold of it is in stock again.
    OrderReturned = "ORDER_RETURNED" => ["inventory"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// Who placed it.
        user_id: UserId,
        /// What it asked for. Pieces that have come back before do not come back again.
        items: Vec<OrderedItem>,
    }

    /// Some pieces of a paid order have come back.
    ItemsRestocked = "ITEMS_RESTOCKED" => ["inventory"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// Which, at most what it still has.
        items: Vec<OrderedItem>,
        /// Why, for people.
        reason: String,
    }

    /// Some money of a paid order is to go back.
    RefundRequested = "REFUND_REQUESTED" => ["payments"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// Names this refund for ever: the answer repeats it.
        #[schema(value_type = String, format = "uuid")]
        request_id: Uuid,
        /// How much.
        amount: Money,
        /// Why, for people.
        reason: String,
    }

    /// Money of the order has gone back to the customer.
    OrderRefunded = "ORDER_REFUNDED" => ["notifications"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// What people read out.
        number: String,
        /// Who placed it.
        user_id: UserId,
        /// What has gone back now.
        amount: Money,
        /// What has gone back so far, this included.
        refunded: Money,
        /// What was paid.
        total: Money,
        /// The currency of all of these.
        currency: Currency,
    }

    /// A discount code was used by this order.
    DiscountUsed = "DISCOUNT_USED" => ["carts"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// The placement under which the code was redeemed.
        #[schema(value_type = String, format = "uuid")]
        key: Uuid,
    }

    /// The order ended before it was paid: the code is free for another.
    DiscountReleased = "DISCOUNT_RELEASED" => ["carts"], "order" / order_id {
        /// The order.
        order_id: OrderId,
        /// The placement under which the code was redeemed.
        #[schema(value_type = String, format = "uuid")]
        key: Uuid,
    }
}

/// One line of an order as it was sold: what, how many, and at which price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SoldItem {
    /// The product.
    pub product_id: ProductId,
    /// What it was called.
    pub name: String,
    /// The price of one.
    pub unit_price: Money,
    /// How many, at least 1.
    pub quantity: u32,
    /// The price of all of them, before any discount.
    pub total: Money,
}

impl SoldItem {
    /// Without the prices.
    pub fn ordered(&self) -> OrderedItem {
        OrderedItem { product_id: self.product_id, quantity: self.quantity }
    }
}

/// One line of an order: what and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderedItem {
    /// The product.
    pub product_id: ProductId,
    /// How many, at least 1.
    #[schema(minimum = 1)]
    pub quantity: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_camel_case_and_name_their_subject() {
        let event = PaymentFailed { payment_id: PaymentId(3), order_id: OrderId(17), reason: "card_declined".into() };
        assert_eq!(event.subject(), "order/17");
        assert_eq!(serde_json::to_string(&event).unwrap(), r#"{"paymentId":3,"orderId":17,"reason":"card_declined"}"#);
    }

    #[test]
    fn every_type_has_one_name() {
        let mut names: Vec<_> = ALL.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
