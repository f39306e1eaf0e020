//! Where people live: for deliveries and for bills.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A postal address, in the form in which every country can write its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Who receives there.
    #[garde(custom(line))]
    #[schema(min_length = 1, max_length = 200, example = "Ann Lee")]
    pub name: String,
    /// Street and number, or what stands for it.
    #[garde(custom(line))]
    #[schema(min_length = 1, max_length = 200, example = "1 Main St")]
    pub line1: String,
    /// What else the carrier needs: a floor, a company.
    #[garde(inner(custom(line)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, example = "2nd floor")]
    pub line2: Option<String>,
    /// The town.
    #[garde(custom(line))]
    #[schema(min_length = 1, max_length = 200, example = "Springfield")]
    pub city: String,
    /// State, province, county: where addresses have one.
    #[garde(inner(custom(line)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, example = "Illinois")]
    pub region: Option<String>,
    /// The postal code, in the country's own form.
    #[garde(custom(line))]
    #[schema(min_length = 1, max_length = 200, example = "62701")]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2, in capitals, such as `DE`.
    #[garde(custom(is_country))]
    #[schema(pattern = "^[A-Z]{2}$", example = "US")]
    pub country: String,
    /// For the carrier.
    #[garde(inner(custom(line)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, example = "+1 217 555 0100")]
    pub phone: Option<String>,
}

/// In characters.
const LONGEST_LINE: usize = 200;

/// One line that can be printed on a label.
fn line(text: &str, _: &()) -> garde::Result {
    if text.trim().is_empty() {
        Err(garde::Error::new("must not be empty"))
    } else if text.chars().count() > LONGEST_LINE {
        Err(garde::Error::new("must not be longer than 200 characters"))
    } else if text.chars().any(char::is_control) {
        Err(garde::Error::new("must not contain control characters"))
    } else {
        Ok(())
    }
}

fn is_country(text: &str, _: &()) -> garde::Result {
    if text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_uppercase()) {
        Ok(())
    } else {
        Err(garde::Error::new("must be a country of ISO 3166-1, such as DE"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str =
        r#"{"name":"Ann Lee","line1":"1 Main St","city":"Springfield","postalCode":"62701","country":"US"}"#;

    fn address() -> Address {
        serde_json::from_str(JSON).unwrap()
    }

    #[test]
    fn what_is_not_given_is_not_shown() {
        assert_eq!(serde_json::to_string(&address()).unwrap(), JSON);
        assert!(address().validate().is_ok());
    }

    #[test]
    fn lines_can_be_printed_and_countries_have_two_capitals() {
        for name in ["", " ", "two\nlines", &"ä".repeat(201)] {
            assert!(Address { name: name.to_owned(), ..address() }.validate().is_err(), "{name:?}");
        }
        assert!(Address { name: "ä".repeat(200), ..address() }.validate().is_ok());
        assert!(Address { line2: Some(String::new()), ..address() }.validate().is_err());
        for country in ["", "us", "USA", "U1", "ÄÖ"] {
            assert!(Address { country: country.to_owned(), ..address() }.validate().is_err(), "{country:?}");
        }
    }
}
