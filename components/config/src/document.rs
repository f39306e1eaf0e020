//! The rules of configurations: how files are called, what may stand in them, how they are merged.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use web::{FieldError, Result};

use crate::secret;

/// A configuration.
pub(crate) type Document = Map<String, Value>;

/// A name that an address has beside the profiles.
const RESERVED: [&str; 2] = ["default", "profiles"];

/// Service and profile of a file: `orders.toml` is the default, `orders-production.toml` another profile. `None` for a
/// name that is neither.
pub(crate) fn names(file: &str) -> Option<(&str, &str)> {
    let name = file.strip_suffix(".toml")?;
    let (service, profile) = match name.split_once('-') {
        None => (name, "default"),
        Some((_, reserved)) if RESERVED.contains(&reserved) => return None,
        Some(both) => both,
    };
    let plain = |name: &str, hyphen: bool| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || hyphen && byte == b'-'
            })
    };
    // `/api/config/services` is not the address of a service.
    (plain(service, false) && plain(profile, true) && service != "services").then_some((service, profile))
}

/// What is wrong at one place of a file. Never says what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Such as `database.hosts[1]`; empty for the file as a whole.
    pub(crate) key: String,
    pub(crate) problem: String,
}

impl Flaw {
    /// The same for an answer, of the file with this name.
    pub(crate) fn of(self, file: &str) -> FieldError {
        FieldError { field: self.key, message: format!("{} (config/{file})", self.problem) }
    }
}

/// What stands in a file: valid TOML without a secret. Otherwise all that is wrong.
pub(crate) fn parse(text: &str) -> Result<Document, Vec<Flaw>> {
    let table: toml::Table = text.parse().map_err(|error| vec![not_toml(text, &error)])?;
    let mut flaws = Vec::new();
    let document = object(table, "", &mut flaws);
    secret::find(&document, &mut flaws);
    if flaws.is_empty() { Ok(document) } else { Err(flaws) }
}

/// The message and the line; the error's own text would show the line.
fn not_toml(text: &str, error: &toml::de::Error) -> Flaw {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    Flaw { key: String::new(), problem: format!("line {line} is not TOML") }
}

fn object(table: toml::Table, path: &str, flaws: &mut Vec<Flaw>) -> Document {
    let entry = |(key, value): (String, toml::Value)| {
        let path = below(path, &key);
        let value = json(value, &path, flaws);
        (key, value)
    };
    table.into_iter().map(entry).collect()
}

/// The path of a key below another one.
pub(crate) fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn json(value: toml::Value, path: &str, flaws: &mut Vec<Flaw>) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Table(table) => Value::Object(object(table, path, flaws)),
        toml::Value::Array(items) => {
            let item = |(place, item)| json(item, &format!("{path}[{place}]"), flaws);
            Value::Array(items.into_iter().enumerate().map(item).collect())
        }
        toml::Value::Float(number) => serde_json::Number::from_f64(number).map_or_else(
            || {
                flaws.push(Flaw { key: path.to_owned(), problem: "must be a finite number".into() });
                Value::Null
            },
            Value::Number,
        ),
    }
}

/// Puts `over` over `base`: tables key by key, anything else as a whole, lists too.
pub(crate) fn merge(base: &mut Document, over: Document) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            (Some(place), value) => *place = value,
            (None, value) => drop(base.insert(key, value)),
        }
    }
}

/// A name for this content: the beginning of the SHA-256 of its JSON, keys in order.
pub(crate) fn version(document: &Document) -> Result<String> {
    let digest = Sha256::digest(serde_json::to_vec(&sorted(document))?);
    Ok(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// The same with its keys in order, whatever the map keeps.
fn sorted(document: &Document) -> Document {
    let mut entries: Vec<_> = document.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.into_iter().map(|(key, value)| (key.clone(), sorted_value(value))).collect()
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(sorted(object)),
        Value::Array(items) => Value::Array(items.iter().map(sorted_value).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Document {
        match value {
            Value::Object(object) => object,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn files_are_called_after_service_and_profile() {
        assert_eq!(names("orders.toml"), Some(("orders", "default")));
        assert_eq!(names("orders-production.toml"), Some(("orders", "production")));
        assert_eq!(names("orders-eu-west-1.toml"), Some(("orders", "eu-west-1")));
        for other in [
            "orders.json",
            "Orders.toml",
            ".toml",
            "-a.toml",
            "orders-.toml",
            "orders-default.toml",
            "orders-profiles.toml",
            "services.toml",
            "or ders.toml",
            "orders-A.toml",
            "..toml",
            "1.toml",
            "a/b.toml",
        ] {
            assert_eq!(names(other), None, "{other}");
        }
    }

    #[test]
    fn toml_is_read_as_json() {
        let read = parse("a = 1\nb = [1.5, 'x', true]\nc = 2026-01-02T03:04:05Z\n[d.e]\nf = []").unwrap();
        let wanted = json!({ "a": 1, "b": [1.5, "x", true], "c": "2026-01-02T03:04:05Z", "d": { "e": { "f": [] } } });
        assert_eq!(Value::Object(read), wanted);
        let flaws = parse("a = 1\nb = [0.0, nan]\n[c]\nd = -inf").unwrap_err();
        let keys: Vec<_> = flaws.iter().map(|flaw| flaw.key.as_str()).collect();
        assert_eq!(keys, ["b[1]", "c.d"]);
    }

    #[test]
    fn what_is_not_toml_is_told_by_its_line_and_not_shown() {
        for (text, line) in [("a = ", 1), ("a = 1\nhorse battery", 2), ("a = 1\n\na = 'horse'", 3)] {
            let flaws = parse(text).unwrap_err();
            assert_eq!(flaws, [Flaw { key: String::new(), problem: format!("line {line} is not TOML") }], "{text}");
        }
    }

    #[test]
    fn tables_are_merged_and_lists_are_replaced() {
        let mut base = object(json!({ "a": { "b": 1, "c": [1, 2] }, "d": 1, "e": { "f": 1 } }));
        merge(&mut base, object(json!({ "a": { "c": [3], "g": null }, "d": { "h": 2 }, "e": 5 })));
        let wanted = json!({ "a": { "b": 1, "c": [3], "g": null }, "d": { "h": 2 }, "e": 5 });
        assert_eq!(Value::Object(base), wanted);
    }

    fn documents() -> impl Strategy<Value = Document> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), "[a-z]{0,3}".prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        collection::btree_map("[a-d]", value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    fn merged(base: &Document, over: &Document) -> Document {
        let mut base = base.clone();
        merge(&mut base, over.clone());
        base
    }

    /// Whatever the profile says holds, and whatever it does not mention is as in the default.
    fn stands_over(base: Option<&Value>, over: Option<&Value>, result: Option<&Value>) -> bool {
        match (base, over, result) {
            (base, None, result) => base == result,
            (Some(Value::Object(base)), Some(Value::Object(over)), Some(Value::Object(result))) => {
                let keys = base.keys().chain(over.keys()).chain(result.keys());
                keys.into_iter().all(|key| stands_over(base.get(key), over.get(key), result.get(key)))
            }
            (_, over, result) => over == result,
        }
    }

    proptest! {
        #[test]
        fn a_profile_wins_where_it_speaks_and_nowhere_else(base in documents(), over in documents()) {
            let result = Value::Object(merged(&base, &over));
            prop_assert!(stands_over(Some(&Value::Object(base)), Some(&Value::Object(over)), Some(&result)));
        }

        #[test]
        fn merging_nothing_or_the_same_again_changes_nothing(base in documents(), over in documents()) {
            prop_assert_eq!(&merged(&base, &Document::new()), &base);
            prop_assert_eq!(&merged(&Document::new(), &base), &base);
            prop_assert_eq!(&merged(&base, &base), &base);
            let once = merged(&base, &over);
            prop_assert_eq!(&merged(&once, &over), &once);
        }

        #[test]
        fn a_version_belongs_to_one_content(one in documents(), other in documents()) {
            prop_assert_eq!(version(&one).unwrap() == version(&other).unwrap(), one == other);
            let backwards: Document = one.clone().into_iter().rev().collect();
            prop_assert_eq!(version(&one).unwrap(), version(&backwards).unwrap());
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ab=\\[\\]{}.\"'\n 1-9,]{0,40}") {
            _ = parse(&text);
        }
    }
}
