//! How somebody wants to pay, in the words of older shops: what the provider is to charge.

use model::UserId;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use web::{Error, Result, client};

/// Words that name a kind of payment method, and none in particular.
const KINDS: [&str; 7] = ["CARD", "CREDIT_CARD", "DEBIT_CARD", "VISA", "MASTERCARD", "AMEX", "PAYPAL"];
/// What is charged of an account that keeps no payment method.
const DEFAULT_TOKEN: &str = "default_payment_token";

/// How somebody wants to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Method {
    /// With what the provider knows by this token.
    Token(String),
    /// With this payment method of the account.
    Kept(u64),
    /// With the one that the account prefers, or else that of the shop.
    Default,
}

#[derive(Deserialize)]
struct Kept {
    token: String,
}

/// The token of a payment method that an account keeps.
async fn kept(user: UserId, which: &str) -> Result<Option<String>> {
    let kept: Option<Kept> =
        client::get("accounts", &format!("/internal/users/{user}/payment-methods/{which}")).await?;
    Ok(kept.map(|kept| kept.token))
}

impl Method {
    /// The provider's token when it is `user` who pays.
    pub(crate) async fn token(&self, user: UserId) -> Result<String> {
        match self {
            Method::Token(token) => Ok(token.clone()),
            Method::Kept(id) => kept(user, &id.to_string())
                .await?
                .ok_or_else(|| Error::invalid("paymentMethod", "is no payment method of the account")),
            Method::Default => match kept(user, "default").await? {
                Some(token) => Ok(token),
                None => web::variable::get(DEFAULT_TOKEN).await?.ok_or_else(|| {
                    let detail = "the account has no payment method: keep one, or send the provider's token".to_owned();
                    Error::Conflict("no-payment-method", detail)
                }),
            },
        }
    }

    /// A token, as it stands in a body; a word for a kind is none.
    fn read(text: &str) -> Result<Self, &'static str> {
        let word = text.trim().replace([' ', '-'], "_");
        if KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(&word)) {
            return Ok(Method::Default);
        }
        if !(1..=255).contains(&text.len()) || !text.is_ascii() {
            return Err("must be a token of 1 to 255 ASCII characters");
        }
        Ok(Method::Token(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = |id: &Value| id.as_u64().map(Method::Kept).ok_or("the id of a payment method is a whole number");
        let method = match Value::deserialize(deserializer)? {
            Value::String(text) => Method::read(&text),
            number @ Value::Number(_) => id(&number),
            Value::Object(fields) => match (fields.get("token"), fields.get("id")) {
                (Some(Value::String(token)), _) => Method::read(token),
                (None | Some(Value::Null), None | Some(Value::Null)) => Ok(Method::Default),
                (None | Some(Value::Null), Some(number)) => id(number),
                _ => Err("the token of a payment method is a text"),
            },
            _ => Err("must be a token, the id of a payment method, or a word such as CARD"),
        };
        method.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: Value) -> Option<Method> {
        serde_json::from_value(json).ok()
    }

    #[test]
    fn a_method_is_a_token_or_one_that_is_kept_or_only_a_word() {
        let token = |text: &str| Some(Method::Token(text.into()));
        for (json, method) in [
            (json!("tok_visa"), token("tok_visa")),
            (json!({ "token": "tok_visa", "id": 7 }), token("tok_visa")),
            (json!(7), Some(Method::Kept(7))),
            (json!({ "id": 7, "type": "CARD" }), Some(Method::Kept(7))),
            (json!({ "id": 7, "token": null }), Some(Method::Kept(7))),
            (json!({ "type": "CARD" }), Some(Method::Default)),
            (json!({}), Some(Method::Default)),
            (json!({ "token": "visa" }), Some(Method::Default)),
        ] {
            assert_eq!(read(json.clone()), method, "{json}");
        }
        for kind in KINDS {
            for word in [kind.to_owned(), kind.to_lowercase(), kind.replace('_', " "), format!(" {kind} ")] {
                assert_eq!(read(json!(word)), Some(Method::Default), "{word}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            json!(null),
            json!(true),
            json!([]),
            json!(""),
            json!("tök"),
            json!("x".repeat(256)),
            json!(-1),
            json!(1.5),
            json!({ "id": "7" }),
            json!({ "token": 7 }),
            json!({ "token": "" }),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }
}
