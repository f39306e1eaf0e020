use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value, value::RawValue};

/// Whatever else the seller wants to say: a JSON object, kept as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Metadata(Box<RawValue>);

impl Metadata {
    /// In bytes, as written.
    const LONGEST: usize = 16 * 1024;

    /// What [`as_str`](Self::as_str) gave, back from storage.
    pub(crate) fn stored(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self(serde_json::from_str("{}").unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if !raw.get().starts_with('{') {
            return Err(D::Error::custom("must be a JSON object"));
        }
        if raw.get().len() > Self::LONGEST {
            return Err(D::Error::custom(format_args!("must have at most {} bytes", Self::LONGEST)));
        }
        // A raw value may nest without end and hold numbers that nobody can read.
        serde_json::from_str::<Map<String, Value>>(raw.get())
            .map_err(|error| D::Error::custom(format_args!("must be a JSON object that programs can read: {error}")))?;
        Ok(Self(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> serde_json::Result<Metadata> {
        serde_json::from_str(json)
    }

    #[test]
    fn objects_are_kept_as_written() {
        let text = r#"{ "b": 1.10, "a": [true, null] }"#;
        let metadata = read(text).unwrap();
        assert_eq!(metadata.as_str(), text);
        assert_eq!(Metadata::stored(metadata.as_str().to_owned()).unwrap(), metadata);
        assert_eq!(Metadata::default().as_str(), "{}");
    }

    #[test]
    fn anything_else_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(Metadata::LONGEST));
        for bad in ["[]", "1", "\"{}\"", r#"{"a":1e400}"#, &deep, &long] {
            assert!(read(bad).is_err(), "{}", &bad[..bad.len().min(20)]);
        }
    }
}
