//! What a mail is, and what of it is whose business. Pure.

use std::time::Duration;

use email_address::{EmailAddress, Options};
use garde::Validate;
use model::{
    NotificationKind as Kind, NotificationStatus as Status, ProductId, Timestamp, UserId,
    event::{Event, OrderCancelled, OrderFailed, OrderPaid, OrderPlaced, OrderRefunded, OrderShipped, StockLow},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::locale::Locale;

/// How long a mail is kept, unless what it says is of no use any more before that.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long it is remembered that a user is gone: far longer than anybody tries to hand a mail over.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest address that mail can carry, RFC 5321 4.5.3.1.3 without the angle brackets.
const LONGEST_ADDRESS: usize = 254;

/// A mail as another service hands it over: one that must not stand in any event.
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
    #[garde(length(bytes, min = 1, max = LONGEST_ADDRESS))]
    pub(crate) to: String,
    #[garde(skip)]
    #[serde(flatten)]
    pub(crate) secret: Secret,
}

/// What only its reader may know.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Secret {
    PasswordReset(Code),
}

impl Secret {
    /// What kind of mail carries it.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Secret::PasswordReset(_) => Kind::PasswordReset,
        }
    }

    /// Until when a mail that was taken at `now` is kept. One with a code for one time goes with the code.
    pub(crate) fn keep_until(&self, now: Timestamp) -> Timestamp {
        match self {
            Secret::PasswordReset(code) => keep_until(now).min(code.expires_at),
        }
    }
}

/// The code that lets its reader choose a new password, until it expires.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Code {
    pub(crate) code: String,
    pub(crate) expires_at: Timestamp,
}

/// Until when a mail is kept that was made at `now`.
pub(crate) fn keep_until(now: Timestamp) -> Timestamp {
    now.after(KEPT)
}

/// What an admin tries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// A mail of this kind, with made-up content.
    pub(crate) sample: Option<Kind>,
    pub(crate) locale: Option<Locale>,
}

/// What a mail says.
#[derive(Debug)]
pub(crate) enum Content {
    Placed(OrderPlaced),
    Paid(OrderPaid),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
    Failed(OrderFailed),
    Refunded(OrderRefunded),
    LowStock(StockLow),
    PasswordReset(Code),
    Test(Trial),
}

/// The kind of mail that an event of this type brings about.
pub(crate) fn kind_of_event(event_type: &str) -> Option<Kind> {
    Some(match event_type {
        OrderPlaced::TYPE => Kind::OrderPlaced,
        OrderPaid::TYPE => Kind::OrderPaid,
        OrderShipped::TYPE => Kind::OrderShipped,
        OrderCancelled::TYPE => Kind::OrderCancelled,
        OrderFailed::TYPE => Kind::OrderFailed,
        OrderRefunded::TYPE => Kind::OrderRefunded,
        StockLow::TYPE => Kind::LowStock,
        _ => return None,
    })
}

impl Content {
    /// What is kept of a mail of this kind, read.
    pub(crate) fn read(kind: Kind, data: &str) -> serde_json::Result<Self> {
        Ok(match kind {
            Kind::OrderPlaced => Content::Placed(serde_json::from_str(data)?),
            Kind::OrderPaid => Content::Paid(serde_json::from_str(data)?),
            Kind::OrderShipped => Content::Shipped(serde_json::from_str(data)?),
            Kind::OrderCancelled => Content::Cancelled(serde_json::from_str(data)?),
            Kind::OrderFailed => Content::Failed(serde_json::from_str(data)?),
            Kind::OrderRefunded => Content::Refunded(serde_json::from_str(data)?),
            Kind::LowStock => Content::LowStock(serde_json::from_str(data)?),
            Kind::PasswordReset => Content::PasswordReset(serde_json::from_str(data)?),
            Kind::Test => Content::Test(serde_json::from_str(data)?),
        })
    }

    /// Whose business it is; `None` for one that the shop's own people get.
    pub(crate) const fn user_id(&self) -> Option<UserId> {
        match self {
            Content::Placed(placed) => Some(placed.user_id),
            Content::Paid(paid) => Some(paid.user_id),
            Content::Shipped(shipped) => Some(shipped.user_id),
            Content::Cancelled(cancelled) => Some(cancelled.user_id),
            Content::Failed(failed) => Some(failed.user_id),
            Content::Refunded(refunded) => Some(refunded.user_id),
            Content::LowStock(low) => low.supplier_id,
            Content::PasswordReset(_) | Content::Test(_) => None,
        }
    }

    /// The product whose name the catalog knows.
    pub(crate) const fn product_id(&self) -> Option<ProductId> {
        match self {
            Content::LowStock(low) => Some(low.product_id),
            _ => None,
        }
    }
}

/// How accounts say whom to write to.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reader {
    pub(crate) email: String,
    pub(crate) name: String,
    /// A language tag (BCP 47), of whatever language.
    pub(crate) locale: Option<String>,
}

/// Whether mail can be sent to this address.
pub(crate) fn is_address(text: &str) -> bool {
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    text.len() <= LONGEST_ADDRESS && EmailAddress::parse_with_options(text, options).is_ok()
}

/// A mail as its recipient's account sees it, and as admins do. What it says is in the mail and nowhere else.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    /// Absent when it is for the shop's own people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_id: Option<UserId>,
    pub(crate) kind: Kind,
    /// Absent until the address is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ann@example.com")]
    pub(crate) to: Option<String>,
    pub(crate) status: Status,
    pub(crate) attempts: i64,
    /// What the last attempt failed with: for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<String>,
    /// What it is about, such as `order/17`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "order/17")]
    pub(crate) reference: Option<String>,
    pub(crate) created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_the_word_of_its_kind_and_its_content_is_read_again() {
        let json = r#"{"id":"01890000-0000-7000-8000-000000000000","userId":7,"to":"ann@example.com",
            "kind":"password-reset","code":"7K3QX-0M9TZ","expiresAt":"2026-11-23T00:00:00.000Z"}"#;
        let mail: Mail = serde_json::from_str(json).unwrap();
        let kept = serde_json::to_value(&mail.secret).unwrap();
        assert_eq!(kept["kind"], mail.secret.kind().as_str());
        let read = Content::read(mail.secret.kind(), &kept.to_string()).unwrap();
        assert!(matches!(read, Content::PasswordReset(code) if code.code == "7K3QX-0M9TZ"));
    }

    #[test]
    fn a_mail_with_a_code_goes_with_it_and_none_is_kept_for_ever() {
        let now = Timestamp(1_000_000);
        let reset = |expires_at| Secret::PasswordReset(Code { code: "x".into(), expires_at });
        assert_eq!(reset(Timestamp(1_600_000)).keep_until(now), Timestamp(1_600_000));
        assert_eq!(reset(Timestamp(i64::MAX)).keep_until(now), now.after(KEPT));
    }

    #[test]
    fn every_event_that_notifications_subscribe_to_is_about_users_or_brings_about_a_mail() {
        let subscribed = model::event::ALL.iter().filter(|(_, to)| to.contains(&"notifications"));
        let (users, mails): (Vec<_>, Vec<_>) =
            subscribed.map(|(name, _)| *name).partition(|name| name.starts_with("USER_"));
        assert_eq!(users.len(), 3);
        assert_eq!(mails.len(), 7);
        assert!(mails.iter().all(|name| kind_of_event(name).is_some()), "{mails:?}");
    }

    #[test]
    fn only_addresses_are_addresses() {
        assert!(is_address("ann.lee+shop@example.com"));
        for text in ["", "ann", "ann@localhost", "a b@example.com", "Ann <ann@example.com>", "a@example.com\nb"] {
            assert!(!is_address(text), "{text:?}");
        }
    }
}
