//! Addresses as older shops write them: one line, or an object with the names that each of them has for its parts.

use garde::Validate;
use model::Address;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use web::{Error, FieldError, Result};

/// What stands where an older client says nothing: labels must have something there.
const UNKNOWN: &str = "-";
/// The code of no country (CLDR): no country's shipping or tax is for it.
const UNKNOWN_COUNTRY: &str = "ZZ";

/// Where something goes, as an older client says it.
#[derive(Debug)]
pub(super) enum Loose {
    Line(String),
    Parts(Parts),
}

/// The parts of an address, each by one of its names.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ClassicAddress, example = json!({
    "name": "Ann Lee", "street": "1 Main St", "city": "Springfield", "zip": "62701", "country": "US"
}))]
pub(super) struct Parts {
    /// Who receives there; otherwise the account's name.
    #[serde(alias = "fullName", alias = "recipient")]
    name: Option<String>,
    #[serde(alias = "street", alias = "address", alias = "address1", alias = "addressLine1", alias = "streetAddress")]
    line1: Option<String>,
    #[serde(alias = "street2", alias = "address2", alias = "addressLine2")]
    line2: Option<String>,
    #[serde(alias = "town")]
    city: Option<String>,
    #[serde(alias = "state", alias = "province")]
    region: Option<String>,
    #[serde(alias = "zip", alias = "zipCode", alias = "postcode", alias = "postal_code")]
    postal_code: Option<String>,
    /// ISO 3166-1 alpha-2; a country's name stands behind the town.
    #[serde(alias = "countryCode")]
    country: Option<String>,
    #[serde(alias = "phoneNumber")]
    phone: Option<String>,
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let told = |error: serde_json::Error| serde::de::Error::custom(format!("is no address: {error}"));
        if json.get().starts_with('"') {
            serde_json::from_str(json.get()).map(Loose::Line).map_err(told)
        } else {
            serde_json::from_str(json.get()).map(Loose::Parts).map_err(told)
        }
    }
}

impl Loose {
    /// The address on a label, for somebody of that name. `field` is blamed when it cannot be printed on one.
    pub(super) fn address(self, field: &str, name: &str) -> Result<Address> {
        let parts = match self {
            Loose::Line(line) => Parts { line1: Some(line), ..Parts::default() },
            Loose::Parts(parts) => parts,
        };
        let Some(line1) = parts.line1 else { return Err(Error::invalid(format!("{field}.line1"), "is missing")) };
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let or_unknown = |text| said(text).unwrap_or_else(|| UNKNOWN.to_owned());
        let country = said(parts.country).unwrap_or_else(|| UNKNOWN_COUNTRY.to_owned());
        let mut city = or_unknown(parts.city);
        let is_code = country.len() == 2 && country.bytes().all(|letter| letter.is_ascii_alphabetic());
        if !is_code {
            city = format!("{city}, {country}");
        }
        let account = Some(name.to_owned());
        let address = Address {
            name: or_unknown(said(parts.name).or(account)),
            line1,
            line2: said(parts.line2),
            city,
            region: said(parts.region),
            postal_code: or_unknown(parts.postal_code),
            country: if is_code { country.to_ascii_uppercase() } else { UNKNOWN_COUNTRY.to_owned() },
            phone: said(parts.phone),
        };
        match address.validate() {
            Ok(()) => Ok(address),
            Err(report) => Err(Error::Invalid(
                report
                    .iter()
                    .map(|(path, error)| FieldError { field: format!("{field}.{path}"), message: error.to_string() })
                    .collect(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Result<Address> {
        serde_json::from_str::<Loose>(json).unwrap().address("shippingAddress", "ann")
    }

    #[test]
    fn a_line_is_an_address() {
        let address = read(r#""1 Main St, Springfield""#).unwrap();
        let parts = (address.name.as_str(), address.line1.as_str(), address.city.as_str(), address.country.as_str());
        assert_eq!(parts, ("ann", "1 Main St, Springfield", "-", "ZZ"));
    }

    #[test]
    fn parts_are_known_by_the_names_of_several_shops() {
        let expected = read(
            r#"{"name": "Ann Lee", "line1": "1 Main St", "city": "Springfield", "region": "IL", "postalCode": "62701", "country": "US"}"#,
        );
        let others = read(
            r#"{"fullName": "Ann Lee", "street": "1 Main St", "town": "Springfield", "state": "IL", "zip": "62701", "countryCode": "us"}"#,
        );
        assert_eq!(expected, others);
    }

    #[test]
    fn a_countrys_name_is_printed_and_has_no_code() {
        let address = read(r#"{"street": "Hauptstr. 1", "city": "Berlin", "country": "Germany"}"#).unwrap();
        assert_eq!((address.city.as_str(), address.country.as_str()), ("Berlin, Germany", "ZZ"));
    }

    #[test]
    fn what_cannot_be_printed_is_refused_by_its_field() {
        let fields =
            |json| read(json).unwrap_err().fields().iter().map(|error| error.field.clone()).collect::<Vec<_>>();
        assert_eq!(fields(r#"{"city": "Berlin"}"#), ["shippingAddress.line1"]);
        assert_eq!(fields(r#""""#), ["shippingAddress.line1"]);
        assert!(serde_json::from_str::<Loose>("17").is_err());
    }

    proptest! {
        #[test]
        fn whatever_an_address_says_it_is_printable_or_refused(line in ".{0,300}", city in ".{0,300}", country in ".{0,10}") {
            let parts = Parts { line1: Some(line), city: Some(city), country: Some(country), ..Parts::default() };
            if let Ok(address) = Loose::Parts(parts).address("a", "ann") {
                prop_assert!(address.validate().is_ok());
            }
        }
    }
}
