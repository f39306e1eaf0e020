//! What an attempt to send a mail comes to, when the next one is made, and how fast. Pure.

use std::time::Duration;

use http::StatusCode;
use model::{NotificationKind as Kind, Timestamp};

/// So many attempts that count, then a mail has failed.
pub(crate) const MOST_ATTEMPTS: i64 = 8;
/// From its first attempt a mail has so long to be sent. A mail API remembers an idempotency key for a day: after that it
/// would take the mail for another one.
pub(crate) const MEMORY: Duration = Duration::from_secs(23 * HOUR.as_secs());
/// Whoever has begun to send a mail has this long to end it; then somebody else does.
pub(crate) const LEASE: Duration = Duration::from_secs(60);
/// For one request to the mail API: much shorter than the lease.
pub(crate) const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// What is begun and has not been sent for so long, because others were in front of it, is given back.
pub(crate) const STALE: Duration = Duration::from_secs(5);

const HOUR: Duration = Duration::from_secs(60 * 60);
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = HOUR;
/// Until what is wrong with the shop may have been put right.
const REPAIR: Duration = Duration::from_secs(5 * 60);
/// How long nothing is sent when the mail API has had too many at once, and says no more than that.
const PAUSE: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// So long after a pause mails are sent with care.
const CARE: Duration = Duration::from_secs(60);
/// In characters.
const LONGEST_REASON: usize = 300;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The mail has left the shop.
    Sent,
    /// The mail API has taken another letter under this key: the mail has left the shop, some time ago.
    SentBefore(Reason),
    /// It may work later, and not before so long from now, if that was said.
    Later(Reason, Option<Duration>),
    /// The mail API has had too many mails. It wants none for so long, if that was said.
    TooFast(Reason, Option<Duration>),
    /// No mail can be sent before somebody has put right what is wrong with the shop.
    Barred(Reason),
    /// Nothing was tried. It is due then.
    Untried(Timestamp),
    /// It will not work.
    Refused(Reason),
    /// There is nobody to write to any more.
    Nobody,
}

impl Outcome {
    /// What was in the way.
    pub(crate) fn reason(&self) -> Option<&Reason> {
        match self {
            Outcome::SentBefore(reason)
            | Outcome::Later(reason, _)
            | Outcome::TooFast(reason, _)
            | Outcome::Barred(reason)
            | Outcome::Refused(reason) => Some(reason),
            Outcome::Sent | Outcome::Untried(_) | Outcome::Nobody => None,
        }
    }

    /// Whether the mail has left the shop.
    pub(crate) const fn is_sent(&self) -> bool {
        matches!(self, Outcome::Sent | Outcome::SentBefore(_))
    }
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

/// What a mail API says of a refusal, in the words of Resend.
#[derive(Debug, Default, Clone)]
pub(crate) struct Said {
    /// For programs.
    pub(crate) name: Option<String>,
    /// For people.
    pub(crate) message: Option<String>,
}

/// What the mail API's answer means. `wait` is its `Retry-After`.
pub(crate) fn judge(status: StatusCode, wait: Option<Duration>, said: Said) -> Outcome {
    let reason = Reason { what: format!("the mail API answered {}", status.as_u16()), said: said.message };
    match status {
        status if status.is_success() => Outcome::Sent,
        StatusCode::CONFLICT if said.name.as_deref() == Some("invalid_idempotent_request") => {
            Outcome::SentBefore(reason)
        }
        // The last one: the same request is being worked on.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::CONFLICT => Outcome::Later(reason, wait),
        StatusCode::TOO_MANY_REQUESTS => Outcome::TooFast(reason, wait),
        // The token is wrong, or the sender may not be written from.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Barred(reason),
        status if status.is_server_error() => Outcome::Later(reason, wait),
        _ => Outcome::Refused(reason),
    }
}

/// How far a mail has come under its present key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The number of the attempt that was begun last.
    pub(crate) attempts: i64,
    /// The number of the last one that may be made.
    pub(crate) give_up_after: i64,
    /// When the first one under this key was begun.
    pub(crate) key_since: Timestamp,
}

impl Progress {
    /// Why the attempt that was begun must not be made, if so.
    pub(crate) fn is_over(&self, now: Timestamp) -> Option<Reason> {
        if self.attempts > self.give_up_after {
            Some(Reason::new("nobody knows how its last attempt has ended"))
        } else if now >= self.key_since.after(MEMORY) {
            Some(Reason::new("it could not be sent within 23 hours"))
        } else {
            None
        }
    }
}

/// What becomes of a mail after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Sent,
    Failed,
    Deleted,
    /// Another attempt, then.
    Again(Timestamp),
    /// The same, as if this one had not been made.
    Back(Timestamp),
}

/// What becomes of a mail whose attempt has ended `now`. `jitter` is any number: of mails that have failed together, each
/// waits another while.
pub(crate) fn next(outcome: &Outcome, progress: Progress, now: Timestamp, jitter: u8) -> Next {
    let end = progress.key_since.after(MEMORY);
    let at = |wait: Duration| Some(now.after(spread(wait, jitter))).filter(|at| *at < end);
    match outcome {
        Outcome::Sent | Outcome::SentBefore(_) => Next::Sent,
        Outcome::Later(_, wait) => {
            let left = progress.give_up_after - progress.attempts;
            let wait = own_wait(left).max(wait.unwrap_or_default().min(LONGEST_WAIT));
            at(wait).filter(|_| left > 0).map_or(Next::Failed, Next::Again)
        }
        Outcome::TooFast(_, wait) => at(pause(*wait)).map_or(Next::Failed, Next::Back),
        Outcome::Barred(_) => at(REPAIR).map_or(Next::Failed, Next::Back),
        Outcome::Untried(due_at) => Next::Back(*due_at),
        Outcome::Refused(_) => Next::Failed,
        Outcome::Nobody => Next::Deleted,
    }
}

/// The wait before the next attempt when so many are left: each is four times the one before it.
fn own_wait(left: i64) -> Duration {
    let failed_before = u32::try_from((MOST_ATTEMPTS - 1 - left).max(0)).unwrap_or_default();
    FIRST_WAIT.saturating_mul(4_u32.saturating_pow(failed_before)).min(LONGEST_WAIT)
}

/// Up to a quarter more.
fn spread(wait: Duration, jitter: u8) -> Duration {
    wait + wait / 4 * u32::from(jitter) / u32::from(u8::MAX)
}

/// For how long no mail is sent when the mail API wants that.
pub(crate) fn pause(wait: Option<Duration>) -> Duration {
    wait.unwrap_or(PAUSE).clamp(SHORTEST_PAUSE, LONGEST_WAIT)
}

/// How fast an instance sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nothing for so long.
    Paused(Duration),
    /// So many at the same time, and such a rest after them.
    Going(usize, Duration),
}

/// How fast to send when the mail API wanted no mails until `paused_until`. Soon after that: two in a second, which is what
/// Resend takes by default.
pub(crate) fn pace(now: Timestamp, paused_until: Timestamp) -> Pace {
    if now < paused_until {
        let millis = u64::try_from(paused_until.0 - now.0).unwrap_or_default();
        Pace::Paused(Duration::from_millis(millis))
    } else if now < paused_until.after(CARE) {
        Pace::Going(2, Duration::from_secs(1))
    } else {
        Pace::Going(8, Duration::ZERO)
    }
}

/// Whether a mail that was made at `made_at` is one too many for its reader. `earlier` is when the mail to them was made
/// that this one has too many behind it. Only of mails that anybody brings about who has an account with that address.
pub(crate) fn is_too_many(kind: Kind, made_at: Timestamp, earlier: Option<Timestamp>) -> bool {
    let anybodys = match kind {
        Kind::OrderPlaced
        | Kind::OrderPaid
        | Kind::OrderShipped
        | Kind::OrderCancelled
        | Kind::OrderFailed
        | Kind::OrderRefunded => true,
        Kind::LowStock | Kind::PasswordReset | Kind::Test => false,
    };
    anybodys && earlier.is_some_and(|earlier| made_at.before(HOUR) < earlier)
}

#[cfg(test)]
mod tests;
