//! Why an order has ended, for its customer: words that the templates know. What other services say is for programs and
//! for the shop's people. Pure.

/// Why an order has failed; `None` when that would tell its customer nothing.
pub(super) fn of_failure(reason: &str) -> Option<&'static str> {
    // Of the inventory; the others are those of payment providers.
    if reason.starts_with("product ") && reason.contains(" wanted, ") {
        return Some("out-of-stock");
    }
    Some(match reason.replace('_', "-").as_str() {
        "card-declined" | "declined" | "generic-decline" | "do-not-honor" => "declined",
        "insufficient-funds" => "insufficient-funds",
        "expired-card" => "expired-card",
        "authentication-required" => "authentication-required",
        "incorrect-number"
        | "invalid-number"
        | "incorrect-cvc"
        | "invalid-cvc"
        | "invalid-expiry-month"
        | "invalid-expiry-year" => "wrong-details",
        _ => return None,
    })
}

/// Why an order was cancelled; `None` when somebody has written it.
pub(super) fn of_cancellation(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "by the customer" => "by-customer",
        "by the shop" => "by-shop",
        "not paid in time" => "unpaid",
        _ => return None,
    })
}

#[cfg(test)]
pub(super) const ALL: [&str; 9] = [
    "out-of-stock",
    "declined",
    "insufficient-funds",
    "expired-card",
    "authentication-required",
    "wrong-details",
    "by-customer",
    "by-shop",
    "unpaid",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_customers_may_know_has_a_word() {
        for (reason, word) in [
            ("product 7: 3 wanted, 2 available", "out-of-stock"),
            ("card-declined", "declined"),
            ("card_declined", "declined"),
            ("insufficient-funds", "insufficient-funds"),
            ("expired-card", "expired-card"),
            ("incorrect-cvc", "wrong-details"),
            ("authentication-required", "authentication-required"),
        ] {
            assert_eq!(of_failure(reason), Some(word), "{reason}");
            assert!(ALL.contains(&word));
        }
        for reason in ["", "invalid-token", "fraudulent", "stolen-card", "the order is over", "key-reused"] {
            assert_eq!(of_failure(reason), None, "{reason}");
        }
        let cancelled = ["by the customer", "by the shop", "not paid in time"].map(of_cancellation);
        assert_eq!(cancelled, [Some("by-customer"), Some("by-shop"), Some("unpaid")]);
        assert_eq!(of_cancellation("We have broken it, sorry"), None);
    }
}
