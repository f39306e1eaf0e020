//! The states of an order.

crate::vocabulary! {
    /// Where an order is in its life. Which step may follow which is `orders`' rule.
    OrderStatus {
        /// Accepted; stock is being reserved.
        Pending = "pending",
        /// Stock is held for it; waiting for money.
        Reserved = "reserved",
        /// Paid; its stock is sold.
        Paid = "paid",
        /// On its way to the customer.
        Shipped = "shipped",
        /// At the customer's.
        Delivered = "delivered",
        /// Sent back by the customer; its pieces are in stock again.
        Returned = "returned",
        /// Ended without stock or without money; nothing is held and nothing is owed.
        Failed = "failed",
        /// Ended by the customer, an admin or the clock; what was taken is given back.
        Cancelled = "cancelled",
    }
}

impl OrderStatus {
    /// True when the saga has ended: only people change the order from here on.
    pub const fn is_final(self) -> bool {
        !matches!(self, OrderStatus::Pending | OrderStatus::Reserved)
    }
}
