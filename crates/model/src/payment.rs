//! The states of a payment.

crate::vocabulary! {
    /// Where the money of a payment is.
    PaymentStatus {
        /// Not known yet: not sent, sent, or sent and unanswered.
        Pending = "pending",
        /// Held for the shop, and not taken yet.
        Authorized = "authorized",
        /// Taken.
        Succeeded = "succeeded",
        /// Declined, or given up before it was sent.
        Failed = "failed",
        /// Held once, and let go without being taken.
        Voided = "voided",
        /// Taken and given back, all of it.
        Refunded = "refunded",
    }
}

crate::vocabulary! {
    /// What the shop asks of whoever moves the money.
    PaymentOperation {
        /// Take it.
        Charge = "charge",
        /// Hold it.
        Authorize = "authorize",
        /// Take what is held.
        Capture = "capture",
        /// Let go what is held.
        Void = "void",
    }
}
