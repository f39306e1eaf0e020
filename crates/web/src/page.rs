//! Cursor paging: a page costs the same however deep it is.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use garde::Validate;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Error, Result};

/// `?limit=&cursor=` of a list.
#[derive(Debug, Default, Clone, Deserialize, Validate)]
pub struct PageQuery {
    /// How many, 1 to 100; 20 when not given.
    #[garde(range(min = 1, max = 100))]
    pub limit: Option<u32>,
    /// Where to go on: `nextCursor` of the page before.
    #[garde(length(max = 500))]
    pub cursor: Option<String>,
}

impl PageQuery {
    /// How many are wanted.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(20)
    }

    /// The place of the last item of the page before; 400 when it is not one of ours.
    pub fn after<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.cursor.as_deref().map(Cursor::decode).transpose()
    }
}

/// An opaque text that stands for a place in a list.
pub struct Cursor;

impl Cursor {
    /// The text for `place`.
    pub fn encode<T: Serialize>(place: &T) -> Result<String> {
        Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(place)?))
    }

    /// The place that `text` stands for.
    pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        place.ok_or_else(|| Error::Malformed("the cursor is not one that this list gave out".into()))
    }
}

/// One page of a list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where to go on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of at most `limit` out of `items`, which were asked for with one more than that.
    pub fn new<P: Serialize>(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> P) -> Result<Self> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = match items.last() {
            Some(last) if more => Some(Cursor::encode(&place(last))?),
            _ => None,
        };
        Ok(Self { items, next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_to_go_on() {
        let page = Page::new(vec![1, 2, 3], 2, |item| *item).unwrap();
        assert_eq!(page.items, [1, 2]);
        assert_eq!(Cursor::decode::<i32>(&page.next_cursor.unwrap()).unwrap(), 2);
        assert!(Page::new(vec![1, 2], 2, |item| *item).unwrap().next_cursor.is_none());
        assert!(matches!(Cursor::decode::<i64>("not ours"), Err(Error::Malformed(_))));
    }
}
