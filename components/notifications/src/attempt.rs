//! What an attempt to send a mail comes to, and when the next one is made. Pure.

use std::time::Duration;

use http::StatusCode;
use model::Timestamp;

/// So many attempts, then a mail has failed: in about two and a half hours. A mail API remembers an idempotency key for
/// longer than that.
pub(crate) const MOST_ATTEMPTS: i64 = 8;
/// Whoever has begun to send a mail has this long to end it; then somebody else does.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// For one request to the mail API: much shorter than the lease.
pub(crate) const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// What is begun and has not been sent for so long, because others were in front of it, is given back.
pub(crate) const STALE: Duration = Duration::from_secs(5);

const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// In characters.
const LONGEST_REASON: usize = 300;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The mail has left the shop.
    Sent,
    /// It may work later, and not before so long from now, if that was said.
    Later(Reason, Option<Duration>),
    /// It will not work.
    Refused(Reason),
    /// There is nobody to write to any more.
    Nobody,
}

/// Why a mail was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    /// In our words, fit for a log.
    pub(crate) what: String,
    /// In the words of the mail API, which may name people.
    pub(crate) said: Option<String>,
}

impl Reason {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), said: None }
    }

    /// What admins read.
    pub(crate) fn text(&self) -> String {
        let text = match &self.said {
            Some(said) => format!("{}: {said}", self.what),
            None => self.what.clone(),
        };
        one_line(&text).chars().take(LONGEST_REASON).collect()
    }
}

/// A text on one line: whatever would begin another one, cannot be seen, or turns the direction of what follows, is a
/// space.
pub(crate) fn one_line(text: &str) -> String {
    let turns = |character| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |character: char| character.is_whitespace() || character.is_control() || turns(character);
    text.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What the mail API's answer means. `wait` is its `Retry-After`, `message` what it says for people.
pub(crate) fn judge(status: StatusCode, wait: Option<Duration>, message: Option<String>) -> Outcome {
    let reason = Reason { what: format!("the mail API answered {}", status.as_u16()), said: message };
    match status {
        status if status.is_success() => Outcome::Sent,
        // The last one: the same request is being worked on.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT => {
            Outcome::Later(reason, wait)
        }
        status if status.is_server_error() => Outcome::Later(reason, wait),
        _ => Outcome::Refused(reason),
    }
}

/// When the next attempt is made, of which `left` are left; `None` when none is. Not before `wait`, within reason.
pub(crate) fn next(now: Timestamp, left: i64, wait: Option<Duration>) -> Option<Timestamp> {
    if left <= 0 {
        return None;
    }
    let failed_before = u32::try_from((MOST_ATTEMPTS - 1 - left).max(0)).unwrap_or_default();
    let own = FIRST_WAIT.saturating_mul(4_u32.saturating_pow(failed_before)).min(LONGEST_WAIT);
    Some(now.after(own.max(wait.unwrap_or_default().min(LONGEST_WAIT))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let judge = |status: u16| judge(StatusCode::from_u16(status).unwrap(), None, Some("no".into()));
        for status in [200, 201, 202, 204] {
            assert_eq!(judge(status), Outcome::Sent);
        }
        for status in [408, 409, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(judge(status), Outcome::Later(..)), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 413, 422] {
            assert!(matches!(judge(status), Outcome::Refused(_)), "{status}");
        }
    }

    #[test]
    fn waits_grow_and_end_before_the_key_is_forgotten() {
        let wait = |attempts, wait| next(Timestamp(0), MOST_ATTEMPTS - attempts, wait).map(|at| at.0 / 1000);
        let waits: Vec<_> = (1..=MOST_ATTEMPTS).filter_map(|attempt| wait(attempt, None)).collect();
        assert_eq!(waits, [5, 20, 80, 320, 1280, 3600, 3600]);
        assert_eq!(wait(MOST_ATTEMPTS, None), None);
        assert_eq!(wait(1, Some(Duration::from_secs(30))), Some(30), "as the API wants");
        assert_eq!(wait(3, Some(Duration::from_secs(30))), Some(80), "but not sooner than we would");
        assert_eq!(wait(1, Some(Duration::from_secs(1_000_000))), Some(3600), "nor far later");
        assert!(waits.iter().sum::<i64>() < 24 * 60 * 60 / 2);
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let reason =
            Reason { what: "the mail API answered 422".into(), said: Some("no\r\n\u{2028}such\0 address".into()) };
        assert_eq!(reason.text(), "the mail API answered 422: no such address");
        let long = Reason { what: "x".into(), said: Some("ä".repeat(1000)) };
        assert_eq!(long.text().chars().count(), LONGEST_REASON);
    }
}
