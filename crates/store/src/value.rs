use crate::{Error, Result};

/// One value of a row or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL `NULL`.
    Null,
    /// Every integer; from SQLite also booleans, as 0 and 1.
    Integer(i64),
    /// A truth value.
    Boolean(bool),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Integer(_) => "integer",
            Value::Boolean(_) => "boolean",
            Value::Real(_) => "real",
            Value::Text(_) => "text",
            Value::Blob(_) => "blob",
        }
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $make:expr),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self { $make }
        }
    )+};
}

from! {
    i64 => |value| Value::Integer(value),
    u32 => |value| Value::Integer(value.into()),
    i32 => |value| Value::Integer(value.into()),
    bool => |value| Value::Boolean(value),
    f64 => |value| Value::Real(value),
    String => |value| Value::Text(value),
    &str => |value| Value::Text(value.to_owned()),
    Vec<u8> => |value| Value::Blob(value),
    &[u8] => |value| Value::Blob(value.to_vec()),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// A type that a column can be read as.
pub trait FromValue: Sized {
    /// What it is called in [`Error::Type`].
    const EXPECTED: &'static str;

    /// The value, or what was found instead.
    fn from_value(value: Value) -> std::result::Result<Self, Value>;
}

macro_rules! from_value {
    ($($type:ty, $expected:literal, $($pattern:pat => $make:expr),+;)+) => {$(
        impl FromValue for $type {
            const EXPECTED: &'static str = $expected;
            fn from_value(value: Value) -> std::result::Result<Self, Value> {
                match value { $($pattern => Ok($make),)+ other => Err(other) }
            }
        }
    )+};
}

from_value! {
    i64, "integer", Value::Integer(value) => value;
    u32, "unsigned integer", Value::Integer(value @ 0..=0xffff_ffff) => u32::try_from(value).unwrap_or_default();
    bool, "boolean", Value::Integer(0) => false, Value::Integer(1) => true, Value::Boolean(value) => value;
    f64, "real", Value::Real(value) => value;
    String, "text", Value::Text(value) => value;
    Vec<u8>, "blob", Value::Blob(value) => value;
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn from_value(value: Value) -> std::result::Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// One row of a result, read from left to right.
#[derive(Debug)]
pub struct Row {
    values: std::vec::IntoIter<Value>,
    column: usize,
}

impl Row {
    /// A row of these columns.
    pub fn new(values: Vec<Value>) -> Self {
        Self { values: values.into_iter(), column: 0 }
    }

    /// The next column, by move. Fails when it holds another type, or when there is none left.
    #[allow(clippy::should_implement_trait, reason = "its columns have types of their own")]
    pub fn next<T: FromValue>(&mut self) -> Result<T> {
        let column = self.column;
        self.column += 1;
        let value = self.values.next().ok_or(Error::Type { column, expected: T::EXPECTED, found: "no column" })?;
        T::from_value(value).map_err(|found| Error::Type { column, expected: T::EXPECTED, found: found.kind() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_left_to_right_with_exact_types() {
        let mut row = Row::new(crate::params![7i64, "seven", None::<i64>, true]);
        assert_eq!(row.next::<i64>(), Ok(7));
        assert_eq!(row.next::<String>(), Ok("seven".to_owned()));
        assert_eq!(row.next::<Option<i64>>(), Ok(None));
        assert_eq!(row.next::<bool>(), Ok(true));
        assert_eq!(row.next::<i64>(), Err(Error::Type { column: 4, expected: "integer", found: "no column" }));

        let mut row = Row::new(crate::params!["seven"]);
        assert_eq!(row.next::<i64>(), Err(Error::Type { column: 0, expected: "integer", found: "text" }));
    }
}
