use std::str::FromStr;

use garde::Validate;
use model::{Money, ProductId};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Words of a search beyond these are ignored.
const MOST_WORDS: usize = 16;

/// What a list of products is narrowed to. Everything given must hold; what is empty is as good as absent.
#[derive(Debug, Clone, Default, Deserialize, Validate)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Filter {
    /// Exactly this category.
    #[garde(length(chars, max = 100))]
    category: Option<String>,
    /// At least this price.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) min_price: Option<Money>,
    /// At most this price.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) max_price: Option<Money>,
    /// Words that all begin a word of the product's name, description, category or SKU.
    #[garde(length(chars, max = 200))]
    q: Option<String>,
    /// `true`: what can be ordered; `false`: what is sold out.
    #[garde(skip)]
    pub(crate) in_stock: Option<bool>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// By id, falling.
    Newest,
    /// By price, then by id, rising.
    Cheapest,
}

/// Where in a list a page begins: after the product with this price, where the order is by price, and this id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<i64>,
    pub(crate) id: ProductId,
}

impl Place {
    pub(crate) fn order(&self) -> Order {
        if self.price.is_some() { Order::Cheapest } else { Order::Newest }
    }
}

impl Filter {
    /// Each filter has an order that an index gives, so that a page reads only what it shows: a range of prices is read
    /// along the prices, everything else from the newest on.
    pub(crate) fn order(&self) -> Order {
        let by_price = self.min_price.is_some() || self.max_price.is_some();
        if by_price && self.q().is_none() { Order::Cheapest } else { Order::Newest }
    }

    /// The category that is asked for.
    pub(crate) fn category(&self) -> Option<&str> {
        self.category.as_deref().map(str::trim).filter(|category| !category.is_empty())
    }

    fn q(&self) -> Option<&str> {
        self.q.as_deref().map(str::trim).filter(|q| !q.is_empty())
    }

    /// True for a search without a single word: nothing contains it.
    pub(crate) fn finds_nothing(&self) -> bool {
        self.q().is_some_and(|q| words(q).next().is_none())
    }

    /// The search as an FTS5 expression, category included. Whatever the user typed stands in it as quoted words, never
    /// as an operator: <https://www.sqlite.org/fts5.html#full_text_query_syntax>.
    pub(crate) fn search(&self) -> Option<String> {
        let words: Vec<_> = words(self.q()?).map(|word| format!("\"{}\"*", word.replace('"', "\"\""))).collect();
        let mut expression = format!("{{name description category sku}} : ({})", words.join(" AND "));
        if let Some(category) = self.category() {
            let key: String = category.bytes().map(|byte| format!("{byte:02X}")).collect();
            expression.push_str(&format!(" AND category_key : \"{key}\""));
        }
        Some(expression)
    }
}

fn words(q: &str) -> impl Iterator<Item = &str> {
    q.split(|character: char| character.is_whitespace() || character.is_control())
        .filter(|word| word.contains(char::is_alphanumeric))
        .take(MOST_WORDS)
}

/// A value of a query string, where everything is text.
fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: std::fmt::Display>,
{
    match Option::<String>::deserialize(deserializer)?.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(D::Error::custom),
    }
}

#[cfg(test)]
impl Filter {
    pub(crate) fn new(
        category: Option<&str>,
        prices: [Option<i64>; 2],
        q: Option<&str>,
        in_stock: Option<bool>,
    ) -> Self {
        let [min_price, max_price] = prices.map(|price| price.map(Money::from_minor));
        Self { category: category.map(str::to_owned), min_price, max_price, q: q.map(str::to_owned), in_stock }
    }
}

#[cfg(test)]
mod tests {
    use axum::{extract::Query, http::Uri};

    use super::*;

    fn filter(query: &str) -> Result<Filter, String> {
        let uri: Uri = format!("/products?{query}").parse().unwrap();
        Query::try_from_uri(&uri).map(|Query(filter)| filter).map_err(|rejection| rejection.body_text())
    }

    #[test]
    fn what_is_empty_is_as_good_as_absent() {
        let empty = filter("category=&minPrice=&maxPrice=&q=+").unwrap();
        assert_eq!((empty.category(), empty.search(), empty.order()), (None, None, Order::Newest));
        assert!(!empty.finds_nothing());
    }

    #[test]
    fn prices_are_exact() {
        let prices = filter("minPrice=0.10&maxPrice=20").unwrap();
        assert_eq!((prices.min_price, prices.max_price), (Some(Money::from_minor(10)), Some(Money::from_minor(2000))));
        assert_eq!(prices.order(), Order::Cheapest);
        assert!(filter("minPrice=0.001").unwrap_err().contains("two decimals"));
        assert!(filter("maxPrice=cheap").is_err());
        assert!(filter("inStock=perhaps").is_err());
    }

    #[test]
    fn searches_are_quoted_words() {
        let search = |query: &str| filter(query).unwrap().search();
        let columns = "{name description category sku}";
        assert_eq!(search("q=red+lamp").unwrap(), format!("{columns} : (\"red\"* AND \"lamp\"*)"));
        assert_eq!(search("q=a%22+OR+b%00*").unwrap(), format!("{columns} : (\"a\"\"\"* AND \"OR\"* AND \"b\"*)"));
        assert_eq!(search("q=x&category=Hi").unwrap(), format!("{columns} : (\"x\"*) AND category_key : \"4869\""));
        assert!(filter("q=%2A%2A").unwrap().finds_nothing());
    }
}
