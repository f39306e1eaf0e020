//! What a mail is, and what of it is whose business. Pure.

use std::time::Duration;

use garde::Validate;
use model::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// How long a mail is kept, unless what it says is of no use any more before that.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long it is remembered that a user is gone: far longer than anybody tries to hand a mail over.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// A mail as another service hands it over.
#[derive(Debug, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mail {
    /// The sender's name for it: the same one twice is one mail.
    #[garde(skip)]
    pub(crate) id: Uuid,
    /// Whose account it is about.
    #[garde(skip)]
    pub(crate) user_id: UserId,
    /// The address.
    #[garde(length(bytes, min = 1, max = 254))]
    pub(crate) to: String,
    #[garde(skip)]
    #[serde(flatten)]
    pub(crate) content: Content,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub(crate) enum Content {
    /// The code that lets its reader choose a new password, until it expires.
    PasswordReset { code: String, expires_at: Timestamp },
}

impl Content {
    /// Its word in JSON and SQL.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Content::PasswordReset { .. } => "password-reset",
        }
    }

    /// Until when a mail that was taken at `now` is kept. One with a code for one time goes with the code.
    pub(crate) fn keep_until(&self, now: Timestamp) -> Timestamp {
        let end = now.after(KEPT);
        match self {
            Content::PasswordReset { expires_at, .. } => end.min(*expires_at),
        }
    }
}

/// A mail as its recipient's account sees it. What it says is in the mail and nowhere else.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    pub(crate) user_id: UserId,
    #[schema(example = "password-reset")]
    pub(crate) kind: String,
    #[schema(example = "ann@example.com")]
    pub(crate) to: String,
    pub(crate) created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_the_word_of_its_kind() {
        let json = r#"{"id":"01890000-0000-7000-8000-000000000000","userId":7,"to":"ann@example.com",
            "kind":"password-reset","code":"7K3QX-0M9TZ","expiresAt":"2026-11-23T00:00:00.000Z"}"#;
        let mail: Mail = serde_json::from_str(json).unwrap();
        let kept = serde_json::to_value(&mail.content).unwrap();
        assert_eq!(kept["kind"], mail.content.kind());
        assert_eq!(kept["code"], "7K3QX-0M9TZ");
    }

    #[test]
    fn a_mail_with_a_code_goes_with_it_and_none_is_kept_for_ever() {
        let now = Timestamp(1_000_000);
        let reset = |expires_at| Content::PasswordReset { code: "x".into(), expires_at };
        assert_eq!(reset(Timestamp(1_600_000)).keep_until(now), Timestamp(1_600_000));
        assert_eq!(reset(Timestamp(i64::MAX)).keep_until(now), now.after(KEPT));
    }
}
