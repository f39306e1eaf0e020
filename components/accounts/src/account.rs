//! The rules of accounts: what an address, a name and a password must be. Pure.

use email_address::{EmailAddress, Options};
use model::{Role, Timestamp, UserId};
use serde::Serialize;

/// The longest address that mail can carry, RFC 5321 4.5.3.1.3 without the angle brackets.
pub(crate) const LONGEST_EMAIL: usize = 254;
const LONGEST_USERNAME: usize = 64;
const SHORTEST_PASSWORD: usize = 8;
/// In characters. Longer ones would only be a way to make the shop work.
pub(crate) const LONGEST_PASSWORD: usize = 128;

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) username: String,
    pub(crate) role: Role,
    pub(crate) created_at: Timestamp,
}

/// Whether the account may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        if word == Status::Active.as_str() { Status::Active } else { Status::Suspended }
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

    /// What stands before the `@`.
    fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or(self.0.as_str(), |(local, _)| local)
    }
}

/// The name that was asked for, or else the one that the address suggests.
pub(crate) fn username(wanted: Option<&str>, email: &Email) -> Result<String, Refusal> {
    let name = wanted.unwrap_or(email.local_part()).trim();
    match name.chars().count() {
        0 => Err("must not be empty"),
        1..=LONGEST_USERNAME if name.chars().any(char::is_control) => Err("must not contain control characters"),
        1..=LONGEST_USERNAME => Ok(name.to_owned()),
        _ => Err("must not be longer than 64 characters"),
    }
}

/// A password for the account of `email`. NIST SP 800-63B: length counts, composition does not.
pub(crate) fn password(password: &str, email: &str) -> Result<(), Refusal> {
    match password.chars().count() {
        0..SHORTEST_PASSWORD => Err("must have at least 8 characters"),
        SHORTEST_PASSWORD..=LONGEST_PASSWORD if Email::normal(password) == Email::normal(email) => {
            Err("must not be the email address")
        }
        SHORTEST_PASSWORD..=LONGEST_PASSWORD => Ok(()),
        _ => Err("must not be longer than 128 characters"),
    }
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
    fn passwords_are_long_enough_and_not_the_address() {
        assert!(password("12345678", "ann@example.com").is_ok());
        assert!(password("1234567", "ann@example.com").is_err());
        assert!(password(&"é".repeat(128), "ann@example.com").is_ok());
        assert!(password(&"é".repeat(129), "ann@example.com").is_err());
        assert!(password("ANN@example.com", "ann@Example.com").is_err());
    }

    #[test]
    fn an_unknown_status_lets_nobody_in() {
        assert_eq!(Status::of(Status::Active.as_str()), Status::Active);
        assert_eq!(Status::of("suspended"), Status::Suspended);
        assert_eq!(Status::of("Active"), Status::Suspended);
    }
}
