//! A circuit breaker: when Stripe fails again and again, it is left alone for a while, and the shop does not wait for
//! it. Pure; times are Unix milliseconds.
//!
//! Its state is in the books, because an instance lives for 128 requests and has many siblings: each would have to find
//! out for itself. That is also why it is our own: the crates there are keep theirs in memory. Two instances that count
//! a failure at the same moment may count it as one, and two may try at the same moment when it is half open; both
//! cost a request and nothing else.

use serde::{Deserialize, Serialize};

/// So many failures, one after the other, open it.
const THRESHOLD: u32 = 5;
/// How long it stays open.
const OPEN: i64 = 10_000;
/// How long the one request of a half-open breaker is waited for before another one may go.
const TRIAL: i64 = 15_000;

/// What is known of Stripe's health. The default is closed, with no failures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Breaker {
    failures: u32,
    opened_at: Option<i64>,
    trial_at: Option<i64>,
}

/// Whether requests may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// All of them.
    Closed,
    /// None.
    Open,
    /// One, on which it depends how it goes on.
    HalfOpen,
}

impl Breaker {
    pub(crate) fn state(&self, now: i64) -> State {
        match self.opened_at {
            None => State::Closed,
            Some(opened_at) if now.saturating_sub(opened_at) < OPEN => State::Open,
            Some(_) => State::HalfOpen,
        }
    }

    /// Whether a request may go out now; the one of a half-open breaker is noted.
    pub(crate) fn permit(&mut self, now: i64) -> bool {
        match self.state(now) {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen if self.trial_at.is_some_and(|trial_at| now.saturating_sub(trial_at) < TRIAL) => false,
            State::HalfOpen => {
                self.trial_at = Some(now);
                true
            }
        }
    }

    /// A request was answered.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A request failed: no answer, or an answer that says that nothing works.
    pub(crate) fn failed(&mut self, now: i64) {
        self.failures = self.failures.saturating_add(1);
        if self.opened_at.is_some() || self.failures >= THRESHOLD {
            self.opened_at = Some(now);
            self.trial_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        (0..THRESHOLD).for_each(|_| breaker.failed(0));
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_forgets_them() {
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            (1..THRESHOLD).for_each(|_| breaker.failed(0));
            assert_eq!(breaker.state(0), State::Closed);
            breaker.succeeded();
        }
        let mut breaker = opened();
        assert_eq!(breaker.state(0), State::Open);
        assert!(!breaker.permit(OPEN - 1));
    }

    #[test]
    fn half_open_lets_one_through_on_which_it_depends() {
        let mut breaker = opened();
        assert_eq!(breaker.state(OPEN), State::HalfOpen);
        assert!(breaker.permit(OPEN));
        assert!(!breaker.permit(OPEN + 1), "one at a time");
        breaker.failed(OPEN + 2);
        assert_eq!(breaker.state(2 * OPEN), State::Open, "as long again");
        assert!(breaker.permit(OPEN + 2 + OPEN));
        breaker.succeeded();
        assert_eq!(breaker, Breaker::default());
    }

    #[test]
    fn a_trial_that_never_ends_does_not_block_it_for_ever() {
        let mut breaker = opened();
        assert!(breaker.permit(OPEN));
        assert!(!breaker.permit(OPEN + TRIAL - 1));
        assert!(breaker.permit(OPEN + TRIAL));
    }

    proptest! {
        /// Whatever happens: after some time a request may go out, and an answer closes it.
        #[test]
        fn it_never_stays_open(steps in prop::collection::vec((0i64..20_000, 0u8..3), 0..50)) {
            let (mut breaker, mut now) = (Breaker::default(), 0);
            for (pause, step) in steps {
                now += pause;
                match step {
                    0 => breaker.failed(now),
                    1 => breaker.succeeded(),
                    _ => { breaker.permit(now); }
                }
            }
            prop_assert!(breaker.permit(now + OPEN.max(TRIAL)));
            breaker.succeeded();
            prop_assert_eq!(breaker.state(now), State::Closed);
        }
    }
}
