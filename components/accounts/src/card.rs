//! What a payment method must not be: a card number. Pure.

use crate::account::Refusal;

/// Why a number of a card is refused.
pub(crate) const NO_CARDS: Refusal = "must not be a card number: send the payment provider's token";

/// A token of the payment provider.
pub(crate) fn is_token(token: &str) -> Result<(), Refusal> {
    if is_in(token) {
        Err(NO_CARDS)
    } else if (1..=255).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("must be 1 to 255 printable ASCII characters")
    }
}

/// Whether `text` holds what looks like the number of a card: 12 to 19 digits, perhaps with spaces, dashes or dots
/// between them, whose last one is right by Luhn's formula (ISO/IEC 7812-1, annex B).
pub(crate) fn is_in(text: &str) -> bool {
    let between = |character: char| matches!(character, ' ' | '-' | '.');
    text.split(|character: char| !character.is_ascii_digit() && !between(character)).any(|run| {
        let digits: Vec<u32> = run.chars().filter_map(|character| character.to_digit(10)).collect();
        (12..=19).contains(&digits.len()) && luhn(&digits)
    })
}

fn luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 1 { doubled(*digit) } else { *digit })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn card_numbers_are_seen_however_they_are_written() {
        for number in
            ["4242424242424242", "4242 4242 4242 4242", "3782-822463-10005", "6304000000000000", "tok_4111111111111111"]
        {
            assert!(is_in(number), "{number}");
        }
    }

    #[test]
    fn tokens_are_no_card_numbers() {
        for token in ["tok_visa", "pm_1N2vKq2eZvKYlo2C", "4242", "4242424242424241", "42424242424", "visa 4242 12/30"] {
            assert!(!is_in(token), "{token}");
        }
    }

    proptest! {
        #[test]
        fn of_ten_numbers_that_differ_in_the_last_digit_one_is_a_card(digits in "[0-9]{11,18}") {
            prop_assert_eq!((0..10).filter(|last| is_in(&format!("{digits}{last}"))).count(), 1);
        }
    }
}
