//! The rules of a checkout: what is frozen, when it is tried again, when it is given up. Pure.
//!
//! A checkout freezes what is in a cart and has a key. Whoever finishes it, this request, its repetition or housekeeping
//! after a crash, asks orders for an order under that key, so there is one. Until it has ended the cart does not change.
//! A checkout of a part of a cart holds what was taken out of it, and freezes nothing.

use std::time::Duration;

use model::{Address, OrderId, UserId};
use serde::{Deserialize, Serialize};

use crate::cart::Lines;

/// How long others leave a checkout to the request that began it.
pub(crate) const GRACE: Duration = Duration::from_secs(15);
/// Housekeeping tries so often; if orders still does not know what to say, the checkout is given up.
pub(crate) const MOST_ATTEMPTS: u32 = 12;
/// How long a checkout that has ended can still be answered for, after the time in which its order may fail: longer than
/// an idempotency key is remembered.
pub(crate) const MEMORY: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// When housekeeping tries again after so many attempts: 15 s, doubled up to five minutes.
pub(crate) fn try_again_after(attempts: u32) -> Duration {
    GRACE.saturating_mul(1 << attempts.min(8)).min(Duration::from_secs(300))
}

/// What a customer says at the checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shipping_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) billing_address: Option<Address>,
    /// The payment provider's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payment_token: Option<String>,
}

/// Where a checkout is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nobody knows yet whether there is an order.
    Open,
    /// The cart has become an order.
    Placed,
    /// The cart had become an order, but that has failed: what was in it is, or will be, in the customer's cart again.
    Failed,
    /// There is no order and there will be none under this key; what was in it is the customer's again.
    Refused,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::Placed => "placed",
            Status::Failed => "failed",
            Status::Refused => "refused",
        }
    }
}

impl std::str::FromStr for Status {
    type Err = String;
    fn from_str(word: &str) -> Result<Self, String> {
        [Status::Open, Status::Placed, Status::Failed, Status::Refused]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| format!("`{word}` is not a status"))
    }
}

/// A checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkout {
    pub(crate) key: String,
    /// The cart that is frozen. `None` for a part of a cart, which is taken out of it.
    pub(crate) cart_id: Option<i64>,
    pub(crate) user_id: UserId,
    pub(crate) lines: Lines,
    pub(crate) discount_code: Option<String>,
    /// `None` once it has ended.
    pub(crate) details: Option<Details>,
    pub(crate) status: Status,
    pub(crate) attempts: u32,
    /// As JSON: the order as it was placed, or the refusal.
    pub(crate) answer: Option<String>,
}

/// What orders have under the key of a placement.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) order_id: OrderId,
    pub(crate) fate: Fate,
}

/// What an order has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    /// It may still be paid.
    Open,
    /// It was, whatever came of it then.
    Paid,
    /// It is over, and was not.
    Unpaid,
}

/// Lines of a failed order, or of a refused part, that are to come into a cart again.
#[derive(Debug)]
pub(crate) struct Owed {
    /// Of the checkout.
    pub(crate) key: String,
    pub(crate) lines: Lines,
    pub(crate) discount_code: Option<String>,
}

/// A checkout that has just ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) checkout: Checkout,
    /// Whether its user is owed anything, by this checkout or by others.
    pub(crate) owed: bool,
    /// Whether its user is gone.
    pub(crate) gone: bool,
}

/// How a checkout ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// In an order, which is shown as this JSON.
    Placed(OrderId, String),
    /// Without one, with this refusal as JSON. `None` when nobody could say why.
    Refused(Option<String>),
}

/// What orders are asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Placement<'a> {
    key: &'a str,
    user_id: UserId,
    items: &'a Lines,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount_code: Option<&'a str>,
    #[serde(flatten)]
    details: Option<&'a Details>,
}

impl Checkout {
    /// One that begins: of a part of a cart, without a code.
    pub(crate) fn open(key: String, user_id: UserId, lines: Lines, details: Details) -> Self {
        Self {
            key,
            cart_id: None,
            user_id,
            lines,
            discount_code: None,
            details: Some(details),
            status: Status::Open,
            attempts: 0,
            answer: None,
        }
    }

    /// The order that the cart is to become.
    pub(crate) fn placement(&self) -> Placement<'_> {
        Placement {
            key: &self.key,
            user_id: self.user_id,
            items: &self.lines,
            discount_code: self.discount_code.as_deref(),
            details: self.details.as_ref(),
        }
    }

    /// As it is once it has ended like this.
    pub(crate) fn ended(&self, ending: &Ending) -> Self {
        let (status, answer) = match ending {
            Ending::Placed(_, order) => (Status::Placed, Some(order.clone())),
            Ending::Refused(refusal) => (Status::Refused, refusal.clone()),
        };
        Self { details: None, status, answer, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn open() -> Checkout {
        let mut lines = Lines::default();
        lines.add(model::ProductId(3), 2).unwrap();
        Checkout::open("k".into(), UserId(7), lines, Details::default())
    }

    #[test]
    fn orders_get_what_was_frozen() {
        let mut checkout = open();
        let bare = json!({ "key": "k", "userId": 7, "items": [{ "productId": 3, "quantity": 2 }] });
        assert_eq!(serde_json::to_value(checkout.placement()).unwrap(), bare);
        checkout.discount_code = Some("TEN".into());
        checkout.details = Some(Details { payment_token: Some("tok_visa".into()), ..Details::default() });
        let full = serde_json::to_value(checkout.placement()).unwrap();
        assert_eq!((&full["discountCode"], &full["paymentToken"]), (&json!("TEN"), &json!("tok_visa")));
    }

    #[test]
    fn a_checkout_ends_as_orders_say() {
        let open = open();
        let placed = open.ended(&Ending::Placed(OrderId(5), "{}".into()));
        assert_eq!((placed.status, placed.answer.as_deref(), placed.details), (Status::Placed, Some("{}"), None));
        let refused = open.ended(&Ending::Refused(None));
        assert_eq!((refused.status, refused.answer, refused.key), (Status::Refused, None, open.key));
    }

    #[test]
    fn attempts_become_rarer() {
        let waits: Vec<_> = (0..7).map(|attempts| try_again_after(attempts).as_secs()).collect();
        assert_eq!(waits, [15, 30, 60, 120, 240, 300, 300]);
        assert_eq!(try_again_after(u32::MAX), Duration::from_secs(300));
    }
}
