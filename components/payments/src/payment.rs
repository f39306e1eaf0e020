//! The rules of payments and refunds. Pure.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use model::{Money, PaymentStatus, Timestamp};

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
    fn a_charge_is_not_on_its_way_for_ever() {
        let sent_at = Timestamp(1_000_000);
        assert!(may_still_arrive(sent_at, sent_at));
        assert!(may_still_arrive(sent_at, sent_at.after(ON_ITS_WAY / 2)));
        assert!(!may_still_arrive(sent_at, sent_at.after(ON_ITS_WAY)));
    }

    #[test]
    fn only_money_that_was_taken_can_be_given_back() {
        let ten = Money::from_minor(1000);
        for status in [PaymentStatus::Pending, PaymentStatus::Failed, PaymentStatus::Refunded] {
            assert_eq!(refundable(status, ten, Money::ZERO, None), Err(NotRefundable::NothingLeft), "{status}");
        }
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
