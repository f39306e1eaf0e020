//! How older shops call the states of orders and payments. The table in `docs/classic-api.md` is compared with this.

use crate::{OrderStatus, PaymentStatus};

/// A family of older shops, whose clients Bodega answers. The cart shop and the micro family have words of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `/api/items`, `/api/orders` with `state`.
    Items,
    /// `/cart`, `/order`.
    CartShop,
    /// `/api/products`, `/api/orders` with `status`.
    OrderDesk,
    /// `/carts/me`, `/orders/me`.
    Micro,
}

impl OrderStatus {
    /// The family's word for this state.
    pub const fn word_of(self, family: Family) -> &'static str {
        use OrderStatus::{Cancelled, Delivered, Failed, Paid, Pending, Reserved, Returned, Shipped};
        match family {
            Family::Items => match self {
                Pending | Reserved => "PENDING_PAYMENT",
                Paid | Shipped => "PAID",
                Delivered | Returned => "COMPLETED",
                Failed => "PAYMENT_FAILED",
                Cancelled => "CANCELLED",
            },
            Family::OrderDesk => match self {
                Pending | Reserved => "PENDING",
                Paid => "CONFIRMED",
                Shipped => "SHIPPED",
                Delivered | Returned => "DELIVERED",
                Failed => "FAILED",
                Cancelled => "CANCELLED",
            },
            Family::CartShop | Family::Micro => match self {
                Pending | Reserved => "pending",
                Paid => "paid",
                Shipped => "shipped",
                Delivered | Returned => "delivered",
                Failed | Cancelled => "cancelled",
            },
        }
    }
}

impl OrderStatus {
    /// The state that any of the families calls so, in capitals or not: what their clients write into a `status`.
    pub fn of_word(word: &str) -> Option<Self> {
        use OrderStatus::{Cancelled, Delivered, Failed, Paid, Pending};
        let word = word.to_ascii_lowercase();
        word.parse().ok().or(match word.as_str() {
            "pending_payment" => Some(Pending),
            "confirmed" => Some(Paid),
            "completed" => Some(Delivered),
            "payment_failed" => Some(Failed),
            "canceled" => Some(Cancelled),
            _ => None,
        })
    }
}

impl PaymentStatus {
    /// The word of the families that show payments: items and the order desk, which share their paths.
    pub const fn classic_word(self) -> &'static str {
        match self {
            PaymentStatus::Pending | PaymentStatus::Authorized => "PENDING",
            PaymentStatus::Succeeded => "SUCCESS",
            PaymentStatus::Failed | PaymentStatus::Voided => "FAILED",
            PaymentStatus::Refunded => "REFUNDED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/classic-api.md");

    fn row(cells: &[&str]) -> String {
        let cells: Vec<_> = cells.iter().map(|cell| format!("`{cell}`")).collect();
        format!("| {} |", cells.join(" | "))
    }

    #[test]
    fn every_state_of_an_order_has_the_word_of_the_table_in_every_family() {
        for &status in OrderStatus::ALL {
            let families = [Family::Items, Family::CartShop, Family::OrderDesk, Family::Micro];
            let mut cells = vec![status.as_str()];
            cells.extend(families.map(|family| status.word_of(family)));
            let row = row(&cells);
            assert!(DOCUMENT.contains(&row), "docs/classic-api.md lacks {row}");
        }
    }

    #[test]
    fn what_a_family_calls_a_state_is_understood() {
        for &status in OrderStatus::ALL {
            for family in [Family::Items, Family::CartShop, Family::OrderDesk, Family::Micro] {
                let word = status.word_of(family);
                let read = OrderStatus::of_word(word).unwrap();
                assert_eq!(read.word_of(family), word, "{status} is {word} to {family:?}");
            }
        }
        assert_eq!(OrderStatus::of_word("lost"), None);
    }

    #[test]
    fn every_state_of_a_payment_has_the_word_of_the_table() {
        for &status in PaymentStatus::ALL {
            let row = row(&[status.as_str(), status.classic_word()]);
            assert!(DOCUMENT.contains(&row), "docs/classic-api.md lacks {row}");
        }
    }
}
