//! What a mail is, and what of it is whose business. Pure.

use garde::Validate;
use model::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

    /// Until when it must be kept, when it holds a secret.
    pub(crate) const fn secret_until(&self) -> Option<Timestamp> {
        match self {
            Content::PasswordReset { expires_at, .. } => Some(*expires_at),
        }
    }
}

/// A mail as its recipient's account sees it. What it says is in the mail and nowhere else.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    pub(crate) id: i64,
    pub(crate) user_id: UserId,
    pub(crate) kind: String,
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
        assert_eq!(mail.content.secret_until(), Some(Timestamp(1_795_392_000_000)));
    }
}
