//! The rules of payments and refunds. Pure.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use model::{Money, PaymentOperation, PaymentStatus, Timestamp};

/// How long the instance that sends a charge may take before others look up what became of it.
pub(crate) const GRACE: Duration = Duration::from_secs(15);

/// How long a charge that the provider does not know may still be on its way to it: longer than any instance or
/// connection lives.
const ON_ITS_WAY: Duration = Duration::from_secs(60 * 60);

/// Whether a charge that was sent at `sent_at`, and that the provider does not know, may reach it yet.
pub(crate) fn may_still_arrive(sent_at: Timestamp, now: Timestamp) -> bool {
    now.0 < sent_at.after(ON_ITS_WAY).0
}

/// When to ask again about an operation that was asked about `attempts` times: after a second, and then less and less
/// often, up to once an hour. Never gives up: it is somebody's money.
pub(crate) fn ask_again_after(attempts: u32) -> Duration {
    let hour = Duration::from_secs(60 * 60);
    let delays = ExponentialBuilder::new().with_jitter().with_min_delay(Duration::from_secs(1)).with_max_delay(hour);
    delays.without_max_times().build().nth(usize::try_from(attempts.min(20)).unwrap_or(20)).unwrap_or(hour)
}

/// When to give back again the money of an order that is over, of which the provider has declined `declined` refunds one
/// after the other, apart from this one: after minutes, and then after hours. `None` after two days: what has not gone back
/// by then, a person must look at.
pub(crate) fn give_back_again_after(declined: u32) -> Option<Duration> {
    const MINUTE: Duration = Duration::from_secs(60);
    let delays = ExponentialBuilder::new().with_jitter().with_factor(4.0).with_min_delay(MINUTE);
    let delays = delays.with_max_delay(12 * 60 * MINUTE).with_max_times(8);
    delays.build().nth(usize::try_from(declined).ok()?)
}

/// The statuses from which a payment may come to this one. What the provider says comes more than once, and late:
/// whatever does not follow from where the payment is by now is old news. Money that is taken is never old news.
pub(crate) const fn before(status: PaymentStatus) -> &'static [PaymentStatus] {
    use PaymentStatus::{Authorized, Failed, Pending, Refunded, Succeeded, Voided};
    match status {
        // Failed: it was given up, and arrived after all.
        Authorized => &[Pending, Failed],
        Succeeded => &[Pending, Authorized, Failed, Voided],
        Failed | Voided => &[Pending, Authorized],
        Pending | Refunded => &[],
    }
}

/// What a wish to capture or to void a payment comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It must be sent to the provider.
    New,
    /// It has been sent, and has not ended.
    UnderWay,
    /// It was fulfilled before.
    Fulfilled,
    /// The payment is not in a state for it.
    Refused,
}

/// What a wish to `capture` or to `void` comes to for a payment with this status, when `out` is what the provider is
/// being asked about it.
pub(crate) fn wish(operation: PaymentOperation, status: PaymentStatus, out: Option<PaymentOperation>) -> Wish {
    use PaymentOperation::{Capture, Void};
    use PaymentStatus::{Authorized, Refunded, Succeeded, Voided};
    match (operation, status, out) {
        (Capture | Void, Authorized, None) => Wish::New,
        (Capture | Void, Authorized, Some(out)) if out == operation => Wish::UnderWay,
        (Capture, Succeeded | Refunded, _) | (Void, Voided, _) => Wish::Fulfilled,
        _ => Wish::Refused,
    }
}

/// Why no refund can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotRefundable {
    /// No money was taken, or all of it is back.
    NothingLeft,
    /// More than what is left.
    TooMuch(Money),
}

/// How much to give back: `asked`, or all that is left. `promised` is what earlier refunds gave back or are about to.
pub(crate) fn refundable(
    status: PaymentStatus,
    amount: Money,
    promised: Money,
    asked: Option<Money>,
) -> Result<Money, NotRefundable> {
    let left = amount.minus(promised).filter(|left| *left > Money::ZERO).ok_or(NotRefundable::NothingLeft)?;
    if status != PaymentStatus::Succeeded {
        return Err(NotRefundable::NothingLeft);
    }
    match asked {
        None => Ok(left),
        Some(asked) if asked <= left => Ok(asked),
        Some(_) => Err(NotRefundable::TooMuch(left)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn asking_again_slows_down_and_never_ends() {
        assert!(ask_again_after(0) >= Duration::from_secs(1));
        assert!(ask_again_after(5) > ask_again_after(0));
        assert!(ask_again_after(u32::MAX) <= Duration::from_secs(2 * 60 * 60));
    }

    #[test]
    fn giving_back_again_slows_down_and_ends() {
        let waits: Vec<_> = (0..20).map_while(give_back_again_after).collect();
        assert_eq!(waits.len(), 8);
        assert!(waits[0] >= Duration::from_secs(60) && waits[0] <= Duration::from_secs(120), "{waits:?}");
        assert!(waits[7] >= Duration::from_secs(12 * 60 * 60), "{waits:?}");
        let all: Duration = waits.iter().sum();
        assert!(all > Duration::from_secs(24 * 60 * 60) && all < Duration::from_secs(4 * 24 * 60 * 60), "{all:?}");
        assert_eq!(give_back_again_after(u32::MAX), None);
    }

    #[test]
    fn a_charge_is_not_on_its_way_for_ever() {
        let sent_at = Timestamp(1_000_000);
        assert!(may_still_arrive(sent_at, sent_at));
        assert!(may_still_arrive(sent_at, sent_at.after(ON_ITS_WAY / 2)));
        assert!(!may_still_arrive(sent_at, sent_at.after(ON_ITS_WAY)));
    }

    #[test]
    fn only_money_that_was_taken_can_be_given_back() {
        let ten = Money::from_minor(1000);
        for status in PaymentStatus::ALL.iter().filter(|status| **status != PaymentStatus::Succeeded) {
            assert_eq!(refundable(*status, ten, Money::ZERO, None), Err(NotRefundable::NothingLeft), "{status}");
        }
    }

    #[test]
    fn money_that_was_taken_is_known_for_ever_and_nothing_is_pending_twice() {
        for status in PaymentStatus::ALL {
            let before = before(*status);
            assert!(!before.contains(&PaymentStatus::Succeeded), "{status}");
            assert!(!before.contains(&PaymentStatus::Refunded), "{status}");
            assert!(!before.contains(status), "{status}: announced twice");
        }
        assert!(before(PaymentStatus::Pending).is_empty());
    }

    #[test]
    fn only_what_is_held_is_captured_or_voided_and_only_one_of_them() {
        use PaymentOperation::{Capture, Void};
        for operation in [Capture, Void] {
            for status in PaymentStatus::ALL {
                let held = *status == PaymentStatus::Authorized;
                assert_eq!(wish(operation, *status, None) == Wish::New, held, "{operation} {status}");
            }
            assert_eq!(wish(operation, PaymentStatus::Authorized, Some(operation)), Wish::UnderWay);
        }
        assert_eq!(wish(Capture, PaymentStatus::Authorized, Some(Void)), Wish::Refused);
        assert_eq!(wish(Void, PaymentStatus::Authorized, Some(Capture)), Wish::Refused);
        assert_eq!(wish(Capture, PaymentStatus::Succeeded, None), Wish::Fulfilled);
        assert_eq!(wish(Void, PaymentStatus::Voided, None), Wish::Fulfilled);
        assert_eq!(wish(Void, PaymentStatus::Succeeded, None), Wish::Refused);
        assert_eq!(wish(Capture, PaymentStatus::Voided, None), Wish::Refused);
    }

    proptest! {
        /// Whatever is asked for, one after the other, no more than the payment is ever given back.
        #[test]
        fn refunds_never_exceed_the_payment(amount in 1i64..10_000, asks in prop::collection::vec(prop::option::of(1i64..10_000), 1..10)) {
            let amount = Money::from_minor(amount);
            let mut promised = Money::ZERO;
            for ask in asks {
                if let Ok(granted) = refundable(PaymentStatus::Succeeded, amount, promised, ask.map(Money::from_minor)) {
                    prop_assert!(granted > Money::ZERO);
                    promised = promised.plus(granted).unwrap();
                }
                prop_assert!(promised <= amount);
            }
        }
    }
}
