//! What clients of older shops write into an account: a text or a JSON object, kept as it was written. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, json, value::RawValue};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type},
};

use crate::{account::Refusal, card};

/// A JSON text or object, as it was written.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Given(Box<RawValue>);

/// What only the provider may know of a card beside its number.
const SECRETS: [&str; 5] = ["cvc", "cvv", "cvv2", "cid", "securitycode"];

impl Given {
    /// In bytes, as written.
    const LONGEST: usize = 4096;

    /// What [`as_str`](Self::as_str) gave, back from storage.
    pub(crate) fn stored(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }

    /// Anything as if it had been written so.
    pub(crate) fn of(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }

    fn value(&self) -> Value {
        // It was read before.
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }

    /// Whether it may be kept as an address. A number to call in its international form is none of a card.
    pub(crate) fn is_address(&self) -> Result<(), Refusal> {
        let number = |text: &str| !text.trim().starts_with('+') && card::is_in(text);
        if any_text(&self.value(), &number) { Err(card::NO_CARDS) } else { Ok(()) }
    }

    /// Whether it may be kept as a way to pay.
    pub(crate) fn is_payment_method(&self) -> Result<(), Refusal> {
        let value = self.value();
        if card::is_in(self.as_str()) || any_text(&value, &card::is_in) {
            return Err(card::NO_CARDS);
        }
        if any_name(&value, &|name| SECRETS.contains(&name)) {
            return Err("must not have the security code of a card: send the payment provider's token");
        }
        match value.get("token") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(token)) => card::is_token(token),
            Some(_) => Err("must have a text as its token"),
        }
    }

    /// The payment provider's token, if it has one: as `{"token": …}`, or as a text that begins as theirs do.
    pub(crate) fn token(&self) -> Option<String> {
        let token = match self.value() {
            Value::String(text) => Some(text).filter(|text| text.starts_with("tok_") || text.starts_with("pm_")),
            value => value.get("token").and_then(Value::as_str).map(str::to_owned),
        };
        token.filter(|token| card::is_token(token).is_ok())
    }
}

/// Whether `is` holds of a text or a number in it.
fn any_text(value: &Value, is: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Number(number) => is(&number.to_string()),
        Value::Array(items) => items.iter().any(|item| any_text(item, is)),
        Value::Object(fields) => fields.iter().any(|(name, field)| is(name) || any_text(field, is)),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Whether `is` holds of the name of a field in it, in small letters and without what stands between its words.
fn any_name(value: &Value, is: &impl Fn(&str) -> bool) -> bool {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-', ' '], "");
    match value {
        Value::Array(items) => items.iter().any(|item| any_name(item, is)),
        Value::Object(fields) => fields.iter().any(|(name, field)| is(&plain(name)) || any_name(field, is)),
        _ => false,
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with(['{', '"']) {
            return Err(D::Error::custom("must be a text or a JSON object"));
        }
        if raw.get().len() > Self::LONGEST {
            return Err(D::Error::custom(format_args!("must have at most {} bytes", Self::LONGEST)));
        }
        // A raw value may hold numbers that nobody can read.
        serde_json::from_str::<Value>(raw.get())
            .map_err(|error| D::Error::custom(format_args!("must be JSON that programs can read: {error}")))?;
        Ok(Self(raw))
    }
}

impl PartialSchema for Given {
    fn schema() -> RefOr<Schema> {
        schema("An address: a text or a JSON object, kept as it is given.", json!("1 Main St, Springfield"))
    }
}

impl ToSchema for Given {
    fn name() -> Cow<'static, str> {
        "WrittenAddress".into()
    }
}

/// How the document shows one that is a way to pay.
pub(crate) struct PaymentMethodSchema;

impl PartialSchema for PaymentMethodSchema {
    fn schema() -> RefOr<Schema> {
        schema("A way to pay: a text or a JSON object, kept as it is given.", json!({ "token": "tok_visa" }))
    }
}

impl ToSchema for PaymentMethodSchema {
    fn name() -> Cow<'static, str> {
        "WrittenPaymentMethod".into()
    }
}

fn schema(what: &str, example: Value) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(Given::LONGEST));
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let said = format!("{what} In it stands no number of a card: that is refused.");
    OneOfBuilder::new().item(object).item(text).description(Some(said)).examples([example]).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn given(json: &str) -> Given {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn texts_and_objects_are_kept_as_written() {
        for json in [r#""1 Main St""#, r#"{ "b": 1.10, "a": [true, null] }"#, "{}", "\"\""] {
            assert_eq!(given(json).as_str(), json);
            assert_eq!(serde_json::to_string(&Given::stored(json.to_owned()).unwrap()).unwrap(), json);
        }
        let long = format!("\"{}\"", "x".repeat(Given::LONGEST));
        for bad in ["1", "[]", "true", r#"{"a":1e400}"#, &long] {
            assert!(serde_json::from_str::<Given>(bad).is_err(), "{}", &bad[..bad.len().min(20)]);
        }
        assert!(serde_json::from_str::<Option<Given>>("null").unwrap().is_none());
    }

    #[test]
    fn no_number_of_a_card_is_kept_wherever_it_stands() {
        for json in [
            r#""4242 4242 4242 4242""#,
            r#""4242\u00204242\u00204242\u00204242""#,
            r#"{"number":"4242-4242-4242-4242"}"#,
            r#"{"card":{"numbers":[4242424242424242]}}"#,
            r#"{"card":4.242424242424242e15}"#,
            r#"{"4242424242424242":1}"#,
        ] {
            assert!(given(json).is_payment_method().is_err(), "{json}");
        }
        for json in [r#""4242 4242 4242 4242""#, r#"{"line1":"4242424242424242"}"#] {
            assert!(given(json).is_address().is_err(), "{json}");
        }
        for json in [r#"{"type":"card","CVV":"123"}"#, r#"{"card":{"security_code":1}}"#, r#"{"token":"a b"}"#] {
            assert!(given(json).is_payment_method().is_err(), "{json}");
        }
    }

    #[test]
    fn what_people_write_is_kept() {
        for json in [r#""VISA""#, r#"{"type":"card","last4":"4242","exp":"12/30"}"#, r#"{"token":"tok_visa"}"#] {
            assert_eq!(given(json).is_payment_method(), Ok(()), "{json}");
        }
        // Seen as digits, this is a number that a card could have.
        let phone = r#"{"street":"Hauptstr.","number":12,"phone":"+42 4242 4242 4242 42"}"#;
        assert_eq!(given(phone).is_address(), Ok(()));
    }

    #[test]
    fn a_token_is_one_of_the_payment_provider() {
        for (json, token) in [
            (r#"{"token":"tok_visa","brand":"visa"}"#, Some("tok_visa")),
            (r#"{"token":"src_1"}"#, Some("src_1")),
            (r#""tok_visa""#, Some("tok_visa")),
            (r#""pm_1N2vKq""#, Some("pm_1N2vKq")),
            (r#""VISA""#, None),
            (r#"{"token":null}"#, None),
            (r#"{"type":"card"}"#, None),
        ] {
            assert_eq!(given(json).token().as_deref(), token, "{json}");
        }
    }

    proptest! {
        #[test]
        fn whatever_text_holds_a_card_is_refused(before in "[a-z ]{0,20}", after in "[a-z ]{0,20}") {
            let text = serde_json::to_string(&format!("{before}:4242424242424242:{after}")).unwrap();
            prop_assert!(given(&text).is_address().is_err() && given(&text).is_payment_method().is_err());
        }
    }
}
