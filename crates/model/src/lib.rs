//! The shop's vocabulary: what every service means by money, an id, a role, a state, an event.
//!
//! Pure data: no I/O, no clock, no randomness.

mod address;
mod classic;
pub mod event;
mod id;
mod money;
mod notification;
mod order;
mod payment;
mod product;
mod role;
mod time;
pub mod topic;

pub use address::Address;
pub use classic::Family;
pub use id::{CategoryId, OrderId, PaymentId, ProductId, RefundId, UserId};
pub use money::{Currency, InvalidCurrency, InvalidMoney, Money};
pub use notification::{NotificationKind, NotificationStatus};
pub use order::OrderStatus;
pub use payment::{PaymentOperation, PaymentStatus};
pub use product::ProductStatus;
pub use role::Role;
pub use time::{InvalidTimestamp, Timestamp};

/// An unknown word where one of a fixed vocabulary is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of: {allowed}")]
pub struct UnknownWord {
    /// What was given.
    pub word: String,
    /// The words that would have been right, separated by commas.
    pub allowed: String,
}

/// Declares an enum whose variants have one word each, the same in JSON, in SQL and in events.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(into = "&'static str", try_from = "std::borrow::Cow<'_, str>")]
        pub enum $name { $($(#[$variant_doc])* #[schema(rename = $word)] $variant,)+ }

        impl $name {
            /// Every value, in the order of its life.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word for this value in JSON, SQL and events.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;
            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok($name::$variant),)+
                    _ => Err($crate::UnknownWord {
                        word: word.chars().take(40).collect(),
                        allowed: [$($word),+].join(", "),
                    }),
                }
            }
        }

        impl TryFrom<std::borrow::Cow<'_, str>> for $name {
            type Error = $crate::UnknownWord;
            fn try_from(word: std::borrow::Cow<'_, str>) -> Result<Self, Self::Error> { word.parse() }
        }

        impl From<$name> for &'static str {
            fn from(value: $name) -> Self { value.as_str() }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }
    };
}
pub(crate) use vocabulary;
