//! Money: integer minor units. In JSON a number with at most two decimals, read exactly, never rounded.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// An amount in minor units (cents). Its currency stands beside it: one order has one currency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not a plain decimal number.
    #[error("must be a number such as 12 or 12.34")]
    NotANumber,
    /// More precise than the currency.
    #[error("must have at most two decimals")]
    TooPrecise,
    /// Beyond [`Money::MAX`].
    #[error("must be between -{max} and {max}", max = Money::MAX)]
    TooLarge,
}

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);
    /// The largest amount the shop handles: ten thousand million units. A sum of these stays exact in an `f64`.
    pub const MAX: Money = Money(1_000_000_000_000);

    /// So many minor units.
    pub const fn from_minor(minor: i64) -> Self {
        Self(minor)
    }

    /// The amount in minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// The price of `quantity` pieces; `None` beyond [`Money::MAX`].
    pub fn times(self, quantity: u32) -> Option<Self> {
        self.0.checked_mul(i64::from(quantity)).map(Self).filter(|product| product.in_range())
    }

    /// The sum; `None` beyond [`Money::MAX`].
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self).filter(|sum| sum.in_range())
    }

    /// The difference; `None` beyond [`Money::MAX`].
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(Self(-other.0))
    }

    const fn in_range(self) -> bool {
        self.0 <= Self::MAX.0 && self.0 >= -Self::MAX.0
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let minor = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", minor / 100, minor % 100)
    }
}

impl FromStr for Money {
    type Err = InvalidMoney;

    /// Reads `12`, `12.3`, `-12.34`, `1.5e2`: whatever JSON calls a number, as long as it is a whole number of minor units.
    fn from_str(text: &str) -> Result<Self, InvalidMoney> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| InvalidMoney::TooLarge)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if whole.is_empty() || !digits().all(|digit| digit.is_ascii_digit()) {
            return Err(InvalidMoney::NotANumber);
        }
        // value = 0.digits × 10^point; in minor units the point stands two places further right.
        let point =
            i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(i64::from(exponent)).saturating_add(2);
        let mut minor: i64 = 0;
        for (position, digit) in (0i64..).zip(digits()) {
            if position < point {
                minor = minor.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
                if minor > Self::MAX.0 {
                    return Err(InvalidMoney::TooLarge);
                }
            } else if digit != b'0' {
                return Err(InvalidMoney::TooPrecise);
            }
        }
        let written = i64::try_from(whole.len() + fraction.len()).unwrap_or(i64::MAX);
        for _ in written..point {
            if minor == 0 {
                break;
            }
            minor = minor.saturating_mul(10);
            if minor > Self::MAX.0 {
                return Err(InvalidMoney::TooLarge);
            }
        }
        Ok(Self(if negative { -minor } else { minor }))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Exact: up to Money::MAX the nearest f64 prints back as the same two decimals.
        #[allow(clippy::cast_precision_loss)]
        serializer.serialize_f64(self.0 as f64 / 100.0)
    }
}

impl<'de> Deserialize<'de> for Money {
    /// From the JSON text itself: an `f64` in between would round before anybody could object.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer)?.get().parse().map_err(D::Error::custom)
    }
}

impl PartialSchema for Money {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .multiple_of(Some(0.01))
            .minimum(Some(-1e10))
            .maximum(Some(1e10))
            .examples([19.99])
            .description(Some("An amount of money with at most two decimals, read exactly, never rounded."))
            .into()
    }
}

impl ToSchema for Money {}

/// An ISO 4217 code of a currency with two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

/// A text that is not a currency code the shop can handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the ISO 4217 code of a currency with two decimals, such as EUR")]
pub struct InvalidCurrency;

/// ISO 4217 currencies whose minor unit is not a hundredth.
const OTHER_EXPONENTS: &[&str] = &[
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
    "XPF", "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND", "CLF", "UYW",
];

impl Currency {
    /// The euro.
    pub const EUR: Currency = Currency(*b"EUR");

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;
    fn from_str(code: &str) -> Result<Self, InvalidCurrency> {
        match <[u8; 3]>::try_from(code.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) && !OTHER_EXPONENTS.contains(&code) => {
                Ok(Self(letters))
            }
            _ => Err(InvalidCurrency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl PartialSchema for Currency {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[A-Z]{3}$"))
            .examples(["EUR"])
            .description(Some("The ISO 4217 code of a currency with two decimals."))
            .into()
    }
}

impl ToSchema for Currency {}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Result<Money, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn json_numbers_are_read_exactly_or_refused() {
        assert_eq!(read("19.99"), Ok(Money(1999)));
        assert_eq!(read("19.990"), Ok(Money(1999)));
        assert_eq!(read("20"), Ok(Money(2000)));
        assert_eq!(read("-0.5"), Ok(Money(-50)));
        assert_eq!(read("1.5e2"), Ok(Money(15000)));
        assert_eq!(read("1999e-2"), Ok(Money(1999)));
        assert_eq!(read("0e999999999"), Ok(Money(0)));
        for too_precise in ["19.999", "0.001", "1e-3", "19.990000000000000001"] {
            assert!(read(too_precise).unwrap_err().contains("two decimals"), "{too_precise}");
        }
        for too_large in ["1e400", "10000000000.01", "1e99999999999", "99999999999999999999"] {
            assert!(read(too_large).unwrap_err().contains("between"), "{too_large}");
        }
        for not_a_number in ["\"19.99\"", "null", "true", "[1]"] {
            assert!(read(not_a_number).is_err(), "{not_a_number}");
        }
    }

    #[test]
    fn currencies_without_hundredths_are_refused() {
        assert_eq!("EUR".parse::<Currency>().unwrap().to_string(), "EUR");
        for code in ["JPY", "KWD", "eur", "EURO", ""] {
            assert!(code.parse::<Currency>().is_err(), "{code}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(minor in -Money::MAX.0..=Money::MAX.0) {
            let money = Money(minor);
            prop_assert_eq!(read(&serde_json::to_string(&money).unwrap()), Ok(money));
            prop_assert_eq!(money.to_string().parse(), Ok(money));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9.eE]{0,30}") {
            let _ = text.parse::<Money>();
        }
    }
}
