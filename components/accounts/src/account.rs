//! The rules of accounts: what an address, a name and a number to call must be. Pure.

use std::str::FromStr;

use email_address::{EmailAddress, Options};
use model::{Role, Timestamp, UserId};
use oxilangtag::LanguageTag;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest address that mail can carry, RFC 5321 4.5.3.1.3 without the angle brackets.
pub(crate) const LONGEST_EMAIL: usize = 254;
const LONGEST_USERNAME: usize = 64;
const LONGEST_NAME: usize = 100;
const LONGEST_PHONE: usize = 32;
/// As RFC 5646 4.4.1 proposes.
const LONGEST_LOCALE: usize = 35;

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: UserId,
    #[schema(example = "ann@example.com")]
    pub(crate) email: String,
    #[serde(flatten)]
    pub(crate) profile: Profile,
    pub(crate) role: Role,
    pub(crate) status: Status,
    pub(crate) created_at: Timestamp,
    /// Whether its orders are charged as soon as they are placed.
    #[serde(skip)]
    pub(crate) charge_at_once: bool,
}

/// What people say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    #[schema(example = "ann")]
    pub(crate) username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann")]
    pub(crate) first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lee")]
    pub(crate) last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "+1 217 555 0100")]
    pub(crate) phone: Option<String>,
    /// The language in which the shop writes to them, if it can; the shop's own otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) locale: Option<Locale>,
}

/// A language tag (BCP 47) in its canonical form, of whatever language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 35, example = "de-AT")]
pub(crate) struct Locale(String);

impl Locale {
    /// One that was checked when it was written down.
    pub(crate) const fn known(tag: String) -> Self {
        Self(tag)
    }
}

impl TryFrom<String> for Locale {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let tag = Some(text.trim()).filter(|text| text.len() <= LONGEST_LOCALE);
        let tag = tag.and_then(|text| LanguageTag::parse_and_normalize(text).ok());
        tag.map(|tag| Self(tag.into_inner())).ok_or("must be a language tag (BCP 47), such as de or de-AT")
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> Self {
        locale.0
    }
}

/// What is to change of a profile. What is absent stays; `None` inside removes what may be missing.
#[derive(Debug, Default)]
pub(crate) struct ProfileChange {
    pub(crate) username: Option<String>,
    pub(crate) first_name: Option<Option<String>>,
    pub(crate) last_name: Option<Option<String>>,
    pub(crate) phone: Option<Option<String>>,
    pub(crate) locale: Option<Option<Locale>>,
}

impl Profile {
    /// What stands on a parcel.
    pub(crate) fn full_name(&self) -> String {
        let names: Vec<_> = [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        if names.is_empty() { self.username.clone() } else { names.join(" ") }
    }

    /// Makes the change. True when something is other than before.
    pub(crate) fn apply(&mut self, change: ProfileChange) -> bool {
        let before = self.clone();
        let trimmed = |text: String| text.trim().to_owned();
        if let Some(username) = change.username {
            self.username = trimmed(username);
        }
        for (field, change) in [
            (&mut self.first_name, change.first_name),
            (&mut self.last_name, change.last_name),
            (&mut self.phone, change.phone),
        ] {
            if let Some(value) = change {
                *field = value.map(trimmed);
            }
        }
        if let Some(locale) = change.locale {
            self.locale = locale;
        }
        *self != before
    }
}

/// Whether the account may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AccountStatus)]
pub(crate) enum Status {
    Active,
    Suspended,
}

impl Status {
    /// Its word in SQL and in events.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Suspended => "suspended",
        }
    }

    /// The status of that word. Words nobody knows let nobody in.
    pub(crate) fn of(word: &str) -> Self {
        word.parse().unwrap_or(Status::Suspended)
    }
}

impl FromStr for Status {
    type Err = Refusal;

    fn from_str(word: &str) -> Result<Self, Refusal> {
        match word {
            "active" => Ok(Status::Active),
            "suspended" => Ok(Status::Suspended),
            _ => Err("must be one of: active, suspended"),
        }
    }
}

/// Why a text is not what it should be, for people.
pub(crate) type Refusal = &'static str;

/// An address of which there is one account: checked, and in lower case. (RFC 5321 lets a mail server tell `Ann@` from
/// `ann@`; none does, and people type both.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    /// Takes `ann@example.com`; neither `Ann <ann@example.com>`, nor `ann@[127.0.0.1]`, nor `ann@localhost`.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        const REFUSAL: Refusal = "must be an email address, such as ann@example.com";
        let normal = Self::normal(text);
        if normal.len() > LONGEST_EMAIL {
            return Err("must not be longer than 254 bytes");
        }
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        EmailAddress::parse_with_options(&normal, options).map_err(|_| REFUSAL)?;
        Ok(Self(normal))
    }

    /// The form in which addresses are compared, of a text that need not be one.
    pub(crate) fn normal(text: &str) -> String {
        text.trim().to_lowercase()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands before the `@`.
pub(crate) fn local_part(email: &str) -> &str {
    email.rsplit_once('@').map_or(email, |(local, _)| local)
}

/// The name that was asked for, or else the one that the address suggests.
pub(crate) fn username(wanted: Option<&str>, email: &Email) -> Result<String, Refusal> {
    let name = wanted.unwrap_or(local_part(email.as_str())).trim();
    is_username(name).map(|()| name.to_owned())
}

/// The form in which names are compared where somebody signs in by one; `None` for what could be an address.
pub(crate) fn login_name(username: &str) -> Option<String> {
    (!username.contains('@')).then(|| username.trim().to_lowercase())
}

/// A name by which people call an account.
pub(crate) fn is_username(text: &str) -> Result<(), Refusal> {
    line(text, LONGEST_USERNAME, "must not be longer than 64 characters")
}

/// A first or a last name.
pub(crate) fn is_name(text: &str) -> Result<(), Refusal> {
    line(text, LONGEST_NAME, "must not be longer than 100 characters")
}

fn line(text: &str, longest: usize, too_long: Refusal) -> Result<(), Refusal> {
    let text = text.trim();
    if text.is_empty() {
        Err("must not be empty")
    } else if text.chars().any(char::is_control) {
        Err("must not contain control characters")
    } else if text.chars().count() > longest {
        Err(too_long)
    } else {
        Ok(())
    }
}

/// A number to call, however people write it.
pub(crate) fn is_phone(text: &str) -> Result<(), Refusal> {
    let text = text.trim();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let known = text.bytes().all(|byte| byte.is_ascii_digit() || b" +-()./".contains(&byte));
    if known && digits >= 3 && text.len() <= LONGEST_PHONE {
        Ok(())
    } else {
        Err("must be a phone number, such as +49 30 123456")
    }
}

/// The digits of a number to call: what two ways to write it have in common.
pub(crate) fn digits(phone: &str) -> String {
    phone.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_in_lower_case() {
        assert_eq!(Email::parse(" Ann.Lee+Shop@Example.COM ").unwrap().as_str(), "ann.lee+shop@example.com");
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(250));
        for text in ["", "ann", "ann@", "@example.com", "ann@localhost", "ann@[127.0.0.1]", "Ann <ann@example.com>"] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
        for text in ["a b@example.com", "ann@exam ple.com", "ann@example..com", "ann@example.com\n.org", &long] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_address_suggests_a_name() {
        let email = Email::parse("ann.lee@example.com").unwrap();
        assert_eq!(username(None, &email).unwrap(), "ann.lee");
        assert_eq!(username(Some("  Ann  "), &email).unwrap(), "Ann");
        assert_eq!(username(Some(&"ä".repeat(64)), &email).unwrap().chars().count(), 64);
        for wanted in ["", "  ", "a\0b", "two\nlines", &"ä".repeat(65)] {
            assert!(username(Some(wanted), &email).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn a_name_to_sign_in_with_is_never_an_address() {
        assert_eq!(login_name(" Ann Lee ").as_deref(), Some("ann lee"));
        assert_eq!(login_name("ann@example.com"), None);
    }

    #[test]
    fn a_change_says_what_stays_and_what_goes() {
        let ann = Profile {
            username: "ann".into(),
            first_name: Some("Ann".into()),
            last_name: None,
            phone: Some("+1 555 0100".into()),
            locale: None,
        };
        assert_eq!(ann.full_name(), "Ann");
        let mut changed = ann.clone();
        assert!(!changed.apply(ProfileChange::default()));
        assert!(!changed.apply(ProfileChange { username: Some(" ann ".into()), ..ProfileChange::default() }));
        assert_eq!(changed, ann);
        let change =
            ProfileChange { last_name: Some(Some("Lee ".into())), phone: Some(None), ..ProfileChange::default() };
        assert!(changed.apply(change));
        assert_eq!(changed.full_name(), "Ann Lee");
        assert_eq!(changed, Profile { last_name: Some("Lee".into()), phone: None, ..ann });
    }

    #[test]
    fn a_language_is_a_tag_in_its_canonical_form() {
        let locale = |text: &str| Locale::try_from(text.to_owned());
        for (text, tag) in [("de", "de"), (" DE-at ", "de-AT"), ("zh-hant-TW", "zh-Hant-TW"), ("tlh", "tlh")] {
            assert_eq!(String::from(locale(text).unwrap()), tag);
        }
        for text in ["", "d", "deutsch-", "de_AT", "de-AT\n,en", "de\0", "en-a-bbb-x-a-ccccc-ddddd-eeeee-fffff"] {
            assert!(locale(text).is_err(), "{text:?}");
        }
        let mut ann = Profile { username: "ann".into(), first_name: None, last_name: None, phone: None, locale: None };
        let to = |locale| ProfileChange { locale: Some(locale), ..ProfileChange::default() };
        assert!(ann.apply(to(locale("de").ok())) && !ann.apply(to(locale("DE").ok())) && ann.apply(to(None)));
    }

    #[test]
    fn numbers_to_call_are_written_in_many_ways() {
        for phone in ["112", "+1-555-0100", "(030) 123 456", "030/123456", " 5550100 "] {
            assert!(is_phone(phone).is_ok(), "{phone}");
        }
        assert_eq!(digits("+49 (030) 12-34.5/6"), "49030123456");
        for phone in ["", "--", "call me", "+49 30 1\n2", "1 2 ³", &"1".repeat(33)] {
            assert!(is_phone(phone).is_err(), "{phone}");
        }
    }

    #[test]
    fn an_unknown_status_lets_nobody_in() {
        assert_eq!(Status::of(Status::Active.as_str()), Status::Active);
        assert_eq!(Status::of("suspended"), Status::Suspended);
        assert_eq!(Status::of("Active"), Status::Suspended);
    }
}
