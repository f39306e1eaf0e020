//! How long those wait who fail to prove who they are. Pure.
//!
//! The wait grows with every failure, so guessing gets nowhere, and it has a cap: nobody can keep the owner of an
//! account out by failing in his place, but for a minute at a time. An attempt that comes too early is refused unseen
//! and counts for nothing, so that trying on and on does not prolong the wait.

use std::time::Duration;

use model::Timestamp;
use web::Error;

/// So many failures are slips of the keyboard.
const FREE: u32 = 4;
/// The wait after the first one more.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After so long without a failure they are forgotten.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// The failures at one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    /// When the next attempt may come.
    pub(crate) open_at: Timestamp,
    pub(crate) forget_at: Timestamp,
}

impl Failures {
    /// Those of an address without any.
    pub(crate) const NONE: Failures = Failures { count: 0, open_at: Timestamp(0), forget_at: Timestamp(0) };

    /// 429 with the seconds to wait, when it is too early for an attempt.
    pub(crate) fn must_be_open(&self, now: Timestamp) -> Result<(), Error> {
        match u64::try_from(self.open_at.0 - now.0) {
            Ok(wait) if wait > 0 => Err(Error::TooManyRequests(wait.div_ceil(1000))),
            _ => Ok(()),
        }
    }

    /// The same and one more.
    pub(crate) fn and_one_more(self, now: Timestamp) -> Self {
        let before = if self.forget_at <= now { 0 } else { self.count };
        let count = before.saturating_add(1);
        Self { count, open_at: now.after(wait(count)), forget_at: now.after(MEMORY) }
    }
}

fn wait(count: u32) -> Duration {
    match count.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(further) => FIRST_WAIT.saturating_mul(2_u32.saturating_pow(further)).min(LONGEST_WAIT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    #[test]
    fn slips_cost_nothing_and_then_the_wait_doubles_up_to_a_cap() {
        let mut failures = Failures::NONE;
        let mut waits = Vec::new();
        for _ in 0..12 {
            failures = failures.and_one_more(NOW);
            waits.push((failures.open_at.0 - NOW.0) / 1000);
        }
        assert_eq!(waits, [0, 0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60]);
        let endless = Failures { count: u32::MAX, ..failures }.and_one_more(NOW);
        assert_eq!(endless.open_at, NOW.after(LONGEST_WAIT));
    }

    #[test]
    fn it_is_open_again_when_the_wait_is_over() {
        let failures =
            Failures { count: 9, open_at: NOW.after(Duration::from_millis(1500)), forget_at: NOW.after(MEMORY) };
        assert_eq!(failures.must_be_open(NOW), Err(Error::TooManyRequests(2)));
        assert_eq!(failures.must_be_open(Timestamp(failures.open_at.0 - 1)), Err(Error::TooManyRequests(1)));
        assert_eq!(failures.must_be_open(failures.open_at), Ok(()));
        assert_eq!(Failures::NONE.must_be_open(NOW), Ok(()));
    }

    #[test]
    fn after_a_quiet_day_all_is_forgotten() {
        let old = Failures { count: 9, open_at: NOW, forget_at: NOW };
        assert_eq!(old.and_one_more(NOW).count, 1);
        assert_eq!(old.and_one_more(Timestamp(NOW.0 - 1)).count, 10);
    }
}
