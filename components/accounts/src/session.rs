//! The rules of sessions: how long they last, and what a refresh token is good for. Pure.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::account::Status;

/// Until an access token expires. Nothing takes it back before, but in this service: elsewhere a revoked session or
/// role has effect after this at the latest.
pub(crate) const ACCESS: Duration = Duration::from_secs(15 * 60);
/// Until a refresh token that nobody uses expires, and its session with it.
pub(crate) const REFRESH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The longest `User-Agent` that is kept, in characters.
const LONGEST_AGENT: usize = 200;

/// Refresh tokens are kept as this: SHA-256 is enough for 256 random bits, which nobody can guess from it.
pub(crate) fn fingerprint(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// What people tell their sign-ins apart by: what the client calls itself, as far as it can be shown.
pub(crate) fn user_agent(header: &str) -> Option<String> {
    let shown: String = header.chars().filter(|character| !character.is_control()).take(LONGEST_AGENT).collect();
    Some(shown.trim().to_owned()).filter(|shown| !shown.is_empty())
}

/// A sign-in as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    #[schema(example = "0198c1f2-5c1e-7d3a-9f43-1f1b6c1c7f10")]
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "curl/8.16.0")]
    pub(crate) user_agent: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Whether the request that asks belongs to it.
    pub(crate) current: bool,
}

/// What is known of a refresh token that has come.
#[derive(Debug, Clone)]
pub(crate) struct Presented {
    pub(crate) used: bool,
    pub(crate) expires_at: Timestamp,
    pub(crate) session_revoked: bool,
    pub(crate) owner: Status,
}

/// What it is good for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next pair of tokens.
    Rotate,
    /// Nothing: it was used before. One of the two who had it is a thief, and nobody knows which: the session ends.
    Reused,
    /// Nothing: the session is over.
    Over,
}

impl Presented {
    pub(crate) fn judge(&self, now: Timestamp) -> Verdict {
        if self.session_revoked || self.expires_at <= now || self.owner != Status::Active {
            Verdict::Over
        } else if self.used {
            Verdict::Reused
        } else {
            Verdict::Rotate
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn fresh() -> Presented {
        Presented { used: false, expires_at: NOW.after(REFRESH), session_revoked: false, owner: Status::Active }
    }

    #[test]
    fn a_token_is_good_once() {
        assert_eq!(fresh().judge(NOW), Verdict::Rotate);
        assert_eq!(Presented { used: true, ..fresh() }.judge(NOW), Verdict::Reused);
    }

    #[test]
    fn nothing_comes_of_a_session_that_is_over() {
        for used in [false, true] {
            assert_eq!(Presented { used, session_revoked: true, ..fresh() }.judge(NOW), Verdict::Over);
            assert_eq!(Presented { used, expires_at: NOW, ..fresh() }.judge(NOW), Verdict::Over);
            assert_eq!(Presented { used, owner: Status::Suspended, ..fresh() }.judge(NOW), Verdict::Over);
        }
    }

    #[test]
    fn clients_are_shown_as_they_call_themselves() {
        assert_eq!(user_agent(" curl/8.1\t ").as_deref(), Some("curl/8.1"));
        assert_eq!(user_agent(" \t"), None);
        assert_eq!(user_agent(&"ä".repeat(300)).unwrap().chars().count(), 200);
    }

    #[test]
    fn fingerprints_are_sha_256() {
        assert_eq!(fingerprint("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }
}
