//! Cursor paging: a page costs the same however deep it is.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use garde::Validate;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::{IntoParams, ToSchema};

use crate::{Error, Result, WrittenJson, body};

/// `?limit=&cursor=` of a list.
#[derive(Debug, Default, Clone, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many, 1 to 100; 20 when not given.
    #[garde(range(min = 1, max = 100))]
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    pub limit: Option<u32>,
    /// Where to go on: `nextCursor` of the page before.
    #[garde(length(max = 2000))]
    #[param(max_length = 2000)]
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

/// How far into a list of an older shop one may begin: what stands before is read and passed over.
const DEEPEST: u32 = 10_000;

/// `?limit=&offset=` of a list of an older shop, which is a bare array.
#[derive(Debug, Default, Clone, Copy, Deserialize, Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Slice {
    /// How many, 1 to 100; 100 when not given.
    #[garde(range(min = 1, max = 100))]
    #[param(minimum = 1, maximum = 100, default = 100, example = 20)]
    limit: Option<u32>,
    /// So many are left out before.
    #[garde(range(max = DEEPEST))]
    #[param(maximum = 10_000, default = 0, example = 0)]
    offset: Option<u32>,
}

impl Slice {
    /// How many are wanted.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(100)
    }

    /// How many stand before them.
    pub fn offset(&self) -> u32 {
        self.offset.unwrap_or(0)
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
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where to go on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "MTc")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of other items.
    pub fn map<U>(self, with: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(with).collect(), next_cursor: self.next_cursor }
    }

    /// A page of at most `limit` out of `items`, which were asked for with one more than that.
    pub fn new<P: Serialize>(items: Vec<T>, limit: u32, place: impl Fn(&T) -> P) -> Result<Self> {
        Self::try_new(items, limit, |item| Ok(place(item)))
    }

    /// The same, of a look that ended at `looked_until` before the list did: the page may have fewer items than asked for,
    /// and goes on there.
    pub fn looked<P: Serialize>(
        items: Vec<T>,
        limit: u32,
        looked_until: Option<P>,
        place: impl Fn(&T) -> P,
    ) -> Result<Self> {
        let mut page = Self::new(items, limit, place)?;
        if let (None, Some(end)) = (&page.next_cursor, looked_until) {
            page.next_cursor = Some(Cursor::encode(&end)?);
        }
        Ok(page)
    }

    /// The same as [`new`](Self::new), of items whose place may be unreadable.
    pub fn try_new<P: Serialize>(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> Result<P>) -> Result<Self> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = match items.last() {
            Some(last) if more => Some(Cursor::encode(&place(last)?)?),
            _ => None,
        };
        Ok(Self { items, next_cursor })
    }

    /// The page as JSON, of items that are written already.
    pub fn written(&self, json: impl Fn(&T) -> &str) -> WrittenJson {
        let length = self.items.iter().map(|item| json(item).len() + 1).sum::<usize>();
        let mut page = String::with_capacity(length + 200);
        page.push_str("{\"items\":");
        body::write_list(&mut page, self.items.iter().map(json));
        // A cursor is of letters, digits, `-` and `_`.
        if let Some(cursor) = &self.next_cursor {
            page.push_str(",\"nextCursor\":\"");
            page.push_str(cursor);
            page.push('"');
        }
        page.push('}');
        WrittenJson(page)
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

    #[test]
    fn a_slice_is_the_first_hundred_unless_somebody_says() {
        assert_eq!((Slice::default().limit(), Slice::default().offset()), (100, 0));
        let valid = |limit, offset| Slice { limit: Some(limit), offset: Some(offset) }.validate().is_ok();
        assert!(valid(1, 0) && valid(100, DEEPEST));
        assert!(!valid(0, 0) && !valid(101, 0) && !valid(1, DEEPEST + 1));
    }

    #[test]
    fn a_look_that_ended_early_goes_on_where_it_ended() {
        let next = |items: Vec<i32>, end| Page::looked(items, 2, end, |item| *item).unwrap().next_cursor;
        let read = |cursor: Option<String>| cursor.map(|cursor| Cursor::decode::<i32>(&cursor).unwrap());
        assert_eq!(read(next(vec![1], Some(9))), Some(9));
        assert_eq!(read(next(vec![1, 2, 3], Some(9))), Some(2));
        assert_eq!(read(next(vec![1, 2], None)), None);
    }

    #[test]
    fn a_page_of_written_items_reads_as_one_that_is_written_here() {
        for count in 0..4 {
            let numbers: Vec<i32> = (0..count).collect();
            let texts = numbers.iter().map(ToString::to_string).collect();
            let page = Page::new(numbers, 2, |item| *item).unwrap();
            let written = Page::new(texts, 2, |item: &String| item.parse::<i32>().unwrap()).unwrap();
            assert_eq!(written.written(String::as_str).0, serde_json::to_string(&page).unwrap());
        }
    }
}
