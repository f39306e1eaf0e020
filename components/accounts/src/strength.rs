//! What a password must be. Pure.
//!
//! NIST SP 800-63B: length counts, composition does not, and what everybody uses is no password. (zxcvbn would know
//! more; its dictionaries are larger than this component.)

use crate::account::{Email, Refusal, local_part};

const SHORTEST: usize = 8;
/// In characters. Longer ones would only be a way to make the shop work.
pub(crate) const LONGEST: usize = 128;
/// Fewer different characters are a key held down.
const FEWEST_DIFFERENT: usize = 4;
/// Shorter local parts occur in any password.
const SHORTEST_LOCAL_PART: usize = 3;

/// The most common passwords of at least eight characters, in lower case, sorted: one a line.
const COMMON: &str = include_str!("common_passwords.txt");

/// Whether `password` will do for the account of `email`.
pub(crate) fn password(password: &str, email: &str) -> Result<(), Refusal> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err("must have at least 8 characters");
    }
    if length > LONGEST {
        return Err("must not be longer than 128 characters");
    }
    let lower = password.to_lowercase();
    if different(&lower) < FEWEST_DIFFERENT {
        return Err("must have at least 4 different characters");
    }
    if COMMON.lines().any(|common| common == lower) {
        return Err("is one of the most common passwords");
    }
    let email = Email::normal(email);
    let mut own = lower.replace(&email, "");
    let local = local_part(&email);
    if local.chars().count() >= SHORTEST_LOCAL_PART {
        own = own.replace(local, "");
    }
    if own.chars().count() < SHORTEST && own != lower {
        return Err("must have at least 8 characters beside those of the email address");
    }
    Ok(())
}

fn different(text: &str) -> usize {
    let mut characters: Vec<_> = text.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    characters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str = "Ann.Lee@Example.com";

    #[test]
    fn length_counts_and_composition_does_not() {
        for good in ["correct horse", "x7#qLw9!", "nur kleine buchstaben", "Tr0ub4dor&3", &"éaèb".repeat(32)] {
            assert_eq!(password(good, ANN), Ok(()), "{good}");
        }
        for bad in ["", "x7#qLw9", &"éaèb".repeat(33)] {
            assert!(password(bad, ANN).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_everybody_uses_is_refused() {
        for bad in ["12345678", "password", "PassWord1", "qwertyuiop", "        ", "aaaaaaaaaaaa", "abcabcabcabc"] {
            assert!(password(bad, ANN).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_address_does_not_count() {
        for bad in ["ANN.LEE@example.com", "ann.lee@example.com!", "Ann.Lee1", "1234ann.lee", "xann.leeann.leex"] {
            assert!(password(bad, ANN).is_err(), "{bad}");
        }
        assert_eq!(password("ann.lee buys a horse", ANN), Ok(()));
        // Too short to mean anything.
        assert_eq!(password("jokers 7", "jo@example.com"), Ok(()));
    }

    #[test]
    fn the_list_holds_what_could_pass_otherwise() {
        let lines: Vec<_> = COMMON.lines().collect();
        assert!(lines.is_sorted() && lines.len() > 200);
        for line in lines {
            assert!(line.chars().count() >= SHORTEST && line == line.to_lowercase(), "{line}");
        }
    }
}
