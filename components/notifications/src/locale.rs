//! How people of a language write money and time. Pure.

use std::str::FromStr;

use model::{Currency, Money, Timestamp};
use serde::{Deserialize, Serialize};

/// A language in which the shop writes: a folder of templates, and these rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub(crate) enum Locale {
    #[default]
    En,
    De,
}

/// The months, and what stands between the parts of a number.
struct Rules {
    code: &'static str,
    thousands: char,
    decimal: char,
    /// Whether the currency stands before the amount.
    currency_first: bool,
    months: [&'static str; 12],
    /// After the number of a day.
    day: &'static str,
}

const EN: Rules = Rules {
    code: "en",
    thousands: ',',
    decimal: '.',
    currency_first: true,
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    day: "",
};

const DE: Rules = Rules {
    code: "de",
    thousands: '.',
    decimal: ',',
    currency_first: false,
    months: [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    day: ".",
};

/// Keeps an amount and its currency on one line.
const NO_BREAK: char = '\u{a0}';

impl Locale {
    #[cfg(test)]
    pub(crate) const ALL: [Locale; 2] = [Locale::En, Locale::De];

    const fn rules(self) -> &'static Rules {
        match self {
            Locale::En => &EN,
            Locale::De => &DE,
        }
    }

    /// The folder of its templates.
    pub(crate) const fn code(self) -> &'static str {
        self.rules().code
    }

    /// `€1,234.50` or `1.234,50 €`.
    pub(crate) fn money(self, amount: Money, currency: Currency) -> String {
        let rules = self.rules();
        let minor = amount.minor().unsigned_abs();
        let sign = if amount.minor() < 0 { "-" } else { "" };
        let whole = grouped(minor / 100, rules.thousands);
        let number = format!("{whole}{}{:02}", rules.decimal, minor % 100);
        let symbol = match currency.as_str() {
            "EUR" => "€",
            "USD" => "$",
            "GBP" => "£",
            code => code,
        };
        match (rules.currency_first, symbol.len() == 3 && symbol.is_ascii()) {
            (true, false) => format!("{sign}{symbol}{number}"),
            (true, true) => format!("{sign}{symbol}{NO_BREAK}{number}"),
            (false, _) => format!("{sign}{number}{NO_BREAK}{symbol}"),
        }
    }

    /// `22 November 2026, 14:05 UTC` or `22. November 2026, 14:05 UTC`.
    pub(crate) fn moment(self, time: Timestamp) -> String {
        // RFC 3339: 2026-11-22T14:05:00.000Z.
        let text = time.to_string();
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let number = |from, to| part(from, to).parse::<usize>().unwrap_or(1);
        let rules = self.rules();
        let month = rules.months[(number(5, 7).max(1) - 1) % 12];
        format!("{}{} {month} {}, {} UTC", number(8, 10), rules.day, part(0, 4), part(11, 16))
    }
}

fn grouped(whole: u64, separator: char) -> String {
    let digits = whole.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}

impl FromStr for Locale {
    type Err = String;

    /// By the language alone: `de`, `de-AT` and `de_DE.UTF-8` are one.
    fn from_str(text: &str) -> Result<Self, String> {
        let language = text.trim().split(['-', '_', '.']).next().unwrap_or_default().to_ascii_lowercase();
        match language.as_str() {
            "en" => Ok(Locale::En),
            "de" => Ok(Locale::De),
            _ => Err("must be one of: en, de".to_owned()),
        }
    }
}

impl From<Locale> for &'static str {
    fn from(locale: Locale) -> Self {
        locale.code()
    }
}

impl TryFrom<String> for Locale {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_people_write_it() {
        let write = |locale: Locale, minor, currency: &str| {
            locale.money(Money::from_minor(minor), currency.parse().unwrap()).replace(NO_BREAK, " ")
        };
        for (minor, currency, en, de) in [
            (1250, "EUR", "€12.50", "12,50 €"),
            (5, "USD", "$0.05", "0,05 $"),
            (-99_999, "GBP", "-£999.99", "-999,99 £"),
            (123_456_789, "CHF", "CHF 1,234,567.89", "1.234.567,89 CHF"),
            (100_000, "EUR", "€1,000.00", "1.000,00 €"),
        ] {
            assert_eq!(write(Locale::En, minor, currency), en);
            assert_eq!(write(Locale::De, minor, currency), de);
        }
    }

    #[test]
    fn a_moment_is_written_out() {
        let moment = "2026-03-07T14:05:59Z".parse().unwrap();
        assert_eq!(Locale::En.moment(moment), "7 March 2026, 14:05 UTC");
        assert_eq!(Locale::De.moment(moment), "7. März 2026, 14:05 UTC");
        let ends = ["1970-01-01T00:00:00Z", "2026-12-31T23:59:59Z"].map(|text| text.parse().unwrap());
        assert_eq!(
            ends.map(|end| Locale::En.moment(end)),
            ["1 January 1970, 00:00 UTC", "31 December 2026, 23:59 UTC"]
        );
    }

    #[test]
    fn the_language_says_which_one() {
        for (text, locale) in
            [("de", Locale::De), ("de-AT", Locale::De), ("DE_de.UTF-8", Locale::De), ("en", Locale::En)]
        {
            assert_eq!(text.parse(), Ok(locale));
        }
        for text in ["", "fr", "deutsch"] {
            assert!(text.parse::<Locale>().is_err(), "{text}");
        }
    }
}
