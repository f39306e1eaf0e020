//! What a JSON text must be before it is read: UTF-8, not nested without end, and without NUL.

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{Error, Result};

/// Levels of arrays and objects. The API's own bodies have three; the rest is for metadata.
const DEEPEST: usize = 32;

const TOO_DEEP: &str = "must not nest arrays and objects more than 32 levels deep";
/// Postgres cannot store it, and what reads it as the end of a text would read less than was checked.
const NUL: &str = "must not contain the character U+0000";

/// The text of a body. 400 when it is no UTF-8, or no JSON for another reason than those below; 422 when it is nested too
/// deep, or when a text in it contains NUL.
pub(crate) fn checked(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed("the body is not UTF-8".into()))?;
    let Some(flaw) = flaw(text.as_bytes()) else { return Ok(text) };
    // This reader does not recurse.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(Error::Malformed(format!("the body is not JSON: {error}")));
    }
    // This one does, up to 128 levels; what is nested deeper has no field that could be named.
    let field = match serde_json::from_str::<Value>(text) {
        Ok(value) if flaw == NUL => place_of_nul(&value),
        _ => None,
    };
    Err(Error::invalid(field.unwrap_or_default(), flaw))
}

/// The path of the first text that contains NUL, such as `images[0]`; of a field whose name does, that of the object.
fn place_of_nul(value: &Value) -> Option<String> {
    let within = |place: String, inner: String| match inner.chars().next() {
        None => place,
        Some('[') => place + &inner,
        Some(_) => format!("{place}.{inner}"),
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(place, item)| Some(within(format!("[{place}]"), place_of_nul(item)?)))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains('\0') { Some(String::new()) } else { Some(within(name.clone(), place_of_nul(field)?)) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// One look at each byte. Of what is no JSON it may say anything.
fn flaw(text: &[u8]) -> Option<&'static str> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while let Some(byte) = text.get(at).filter(|byte| **byte != b'"') {
                    if *byte == b'\\' {
                        at += 1;
                        if text[at..].starts_with(b"u0000") {
                            return Some(NUL);
                        }
                    }
                    at += 1;
                }
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > DEEPEST {
                    return Some(TOO_DEEP);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    fn refused(text: &str) -> Error {
        checked(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn nesting_has_an_end() {
        assert!(checked(nested(DEEPEST).as_bytes()).is_ok());
        assert_eq!(refused(&nested(DEEPEST + 1)), Error::invalid("", TOO_DEEP));
        assert_eq!(refused(&nested(30_000)), Error::invalid("", TOO_DEEP), "it does not recurse");
        assert!(matches!(refused(&"[".repeat(30_000)), Error::Malformed(_)), "what cannot be parsed is no JSON");
        let side_by_side = format!("[{}]", vec!["{\"a\":[]}"; 1000].join(","));
        assert!(checked(side_by_side.as_bytes()).is_ok());
        let in_text = format!(r#"["\"{}", "\\", "{}"]"#, "[".repeat(100), "{".repeat(100));
        assert!(checked(in_text.as_bytes()).is_ok());
    }

    #[test]
    fn nul_is_no_character_of_a_text() {
        for (bad, place) in [
            (r#""\u0000""#, ""),
            (r#"{"a\u0000": 1}"#, ""),
            (r#"["\\\u0000"]"#, "[0]"),
            (r#"{"a": "", "b": [{"c": "x\u0000"}]}"#, "b[0].c"),
        ] {
            assert_eq!(refused(bad), Error::invalid(place, NUL), "{bad}");
        }
        for good in [r#""\\u0000""#, r#""u0000""#, r#""\u0001""#] {
            assert!(checked(good.as_bytes()).is_ok(), "{good}");
        }
        assert!(matches!(checked(b"\"\xff\""), Err(Error::Malformed(_))));
    }

    proptest! {
        #[test]
        fn what_is_refused_is_what_a_parser_sees(text in r#"[\[\]{}:,"\\u0a ]{0,40}"#) {
            fn depth(value: &serde_json::Value) -> usize {
                match value {
                    serde_json::Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
                    serde_json::Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
                    _ => 0,
                }
            }
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
                let fine = depth(&value) <= DEEPEST && !value.to_string().contains("\\u0000");
                // Of two fields with one name the parser keeps the last.
                prop_assert!(!fine || checked(text.as_bytes()).is_ok() || text.contains("u0000"));
                prop_assert!(fine || checked(text.as_bytes()).is_err());
            }
        }
    }
}
