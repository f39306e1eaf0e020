//! What the shop writes to people, and what has become of it.

crate::vocabulary! {
    /// What a mail is about.
    NotificationKind {
        /// The order has arrived.
        OrderPlaced = "order-placed",
        /// The order is paid.
        OrderPaid = "order-paid",
        /// The order is on its way.
        OrderShipped = "order-shipped",
        /// The order was called off.
        OrderCancelled = "order-cancelled",
        /// The order ended without stock or without money.
        OrderFailed = "order-failed",
        /// Money has gone back.
        OrderRefunded = "order-refunded",
        /// It is time to reorder a product.
        LowStock = "low-stock",
        /// The code for a forgotten password.
        PasswordReset = "password-reset",
        /// An admin tries how mails arrive.
        Test = "test",
    }
}

crate::vocabulary! {
    /// What has become of a mail.
    NotificationStatus {
        /// It waits, for its first attempt or for the next one.
        Pending = "pending",
        /// It has left the shop.
        Sent = "sent",
        /// It was refused, or tried too often.
        Failed = "failed",
    }
}
