//! Ids are positive integers that fit 53 bits, so that JavaScript reads them exactly.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
        pub struct $name(pub i64);

        impl $name {
            /// Whether anything can have it.
            pub const fn is_possible(self) -> bool { self.0 >= 1 && self.0 <= 9_007_199_254_740_991 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
    )+};
}

id! {
    /// An account.
    UserId,
    /// A product of the catalog.
    ProductId,
    /// A category of products.
    CategoryId,
    /// An order.
    OrderId,
    /// A payment for an order.
    PaymentId,
    /// A refund of a payment.
    RefundId,
}
