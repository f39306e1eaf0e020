//! The states of a payment.

crate::vocabulary! {
    /// Where the money of a payment is.
    PaymentStatus {
        /// Not known yet: not sent, sent, or sent and unanswered.
        Pending = "pending",
        /// Taken.
        Succeeded = "succeeded",
        /// Declined, or given up before it was sent.
        Failed = "failed",
        /// Taken and given back, all of it.
        Refunded = "refunded",
    }
}
