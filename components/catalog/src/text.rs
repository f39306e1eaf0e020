//! What texts of sellers must be.

use serde::{Deserialize, Deserializer};

/// Tells a field that is `null` from one that is absent.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Without spaces around it.
pub(crate) fn trimmed(text: String) -> String {
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}

/// One line of 1 to `MAX` characters, not counting spaces around it.
pub(crate) fn line<const MAX: usize>(text: &str, (): &()) -> garde::Result {
    if !(1..=MAX).contains(&text.trim().chars().count()) {
        return Err(garde::Error::new(format!("must have 1 to {MAX} characters")));
    }
    no_controls(text, &[])
}

/// Several lines, which may be empty.
pub(crate) fn text(text: &str, (): &()) -> garde::Result {
    const MAX: usize = 10_000;
    if text.chars().count() > MAX {
        return Err(garde::Error::new(format!("must have at most {MAX} characters")));
    }
    no_controls(text, &['\n', '\r', '\t'])
}

fn no_controls(text: &str, but: &[char]) -> garde::Result {
    if text.chars().any(|character| character.is_control() && !but.contains(&character)) {
        return Err(garde::Error::new("must not contain control characters"));
    }
    Ok(())
}
