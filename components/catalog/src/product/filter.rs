//! What a list of products is narrowed to, and how it is sorted.

use std::{collections::BTreeMap, str::FromStr};

use garde::Validate;
use model::{CategoryId, Money, ProductId, ProductStatus, UserId};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::{IntoParams, ToSchema};

use super::Search;

/// What a list of products is narrowed to. Everything given must hold; what is empty is as good as absent.
#[derive(Debug, Clone, Default, Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Exactly this label.
    #[garde(length(chars, max = 100))]
    #[param(max_length = 100)]
    category: Option<String>,
    /// In this category, or in one below it.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    #[param(value_type = Option<CategoryId>)]
    category_id: Option<i64>,
    /// At least this price.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) min_price: Option<Money>,
    /// At most this price.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    pub(crate) max_price: Option<Money>,
    /// Words that all begin a word of the product's name, description, category, SKU or UPC. `search` is another name.
    #[garde(length(chars, max = 200))]
    #[serde(alias = "search")]
    #[param(max_length = 200)]
    q: Option<String>,
    /// `true`: what can be ordered; `false`: what is sold out.
    #[garde(skip)]
    pub(crate) in_stock: Option<bool>,
    /// What is not for sale, too, for those who may see it.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    status: Option<ProductStatus>,
    /// Of this supplier.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    #[param(value_type = Option<UserId>)]
    supplier_id: Option<i64>,
    /// The order: `relevance` with `q`, `price` with a range of prices, else `newest` when nobody says.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    #[param(inline)]
    sort: Option<Order>,
    /// What to count beside the page, up to five of `category`, `categoryId`, `inStock`, `supplierId`, `price` and `metadata.<path>`, separated by commas.
    #[garde(length(chars, max = 500))]
    #[param(max_length = 500)]
    facets: Option<String>,
    /// `metadata.<path>=<value>`, and what is none of ours.
    #[garde(skip)]
    #[serde(flatten)]
    #[param(ignore)]
    rest: BTreeMap<String, String>,
}

/// What a list of an older shop is narrowed to: as much of a [`Filter`] as they know.
#[derive(Debug, Clone, Default, Deserialize, Validate, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Narrowed {
    /// Exactly this label.
    #[garde(length(chars, max = 100))]
    #[param(max_length = 100)]
    category: Option<String>,
    /// At least this price.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    min_price: Option<Money>,
    /// At most this price.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    max_price: Option<Money>,
    /// `true`: what can be ordered; `false`: what is sold out.
    #[garde(skip)]
    #[serde(deserialize_with = "from_text")]
    in_stock: Option<bool>,
}

impl From<Narrowed> for Filter {
    fn from(narrowed: Narrowed) -> Self {
        let Narrowed { category, min_price, max_price, in_stock } = narrowed;
        Self { category, min_price, max_price, in_stock, ..Self::default() }
    }
}

const METADATA: &str = "metadata.";
const MOST_METADATA: usize = 5;
const MOST_FACETS: usize = 5;

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = ProductOrder)]
pub(crate) enum Order {
    /// By id, falling.
    #[schema(rename = "newest")]
    Newest,
    /// By price, then by id, rising.
    #[schema(rename = "price")]
    Cheapest,
    /// The same, falling.
    #[schema(rename = "-price")]
    Dearest,
    /// By name, without regard to the case of ASCII letters, then by id, rising.
    #[schema(rename = "name")]
    Name,
    /// The same, falling.
    #[schema(rename = "-name")]
    NameBackwards,
    /// By how well a search fits, then newest first.
    #[schema(rename = "relevance")]
    Relevance,
}

impl FromStr for Order {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "newest" | "-createdAt" => Ok(Order::Newest),
            "price" => Ok(Order::Cheapest),
            "-price" => Ok(Order::Dearest),
            "name" => Ok(Order::Name),
            "-name" => Ok(Order::NameBackwards),
            "relevance" => Ok(Order::Relevance),
            _ => Err("sort is one of: newest, price, -price, name, -name, relevance"),
        }
    }
}

/// Where in a list a page begins: after this product, which stands where its order says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    Newest(ProductId),
    Cheapest(i64, ProductId),
    Dearest(i64, ProductId),
    Name(String, ProductId),
    NameBackwards(String, ProductId),
    /// The tier of the search.
    Relevance(usize, ProductId),
}

impl Place {
    pub(crate) fn order(&self) -> Order {
        match self {
            Place::Newest(_) => Order::Newest,
            Place::Cheapest(..) => Order::Cheapest,
            Place::Dearest(..) => Order::Dearest,
            Place::Name(..) => Order::Name,
            Place::NameBackwards(..) => Order::NameBackwards,
            Place::Relevance(..) => Order::Relevance,
        }
    }
}

/// What is counted beside a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Facet {
    Category,
    CategoryId,
    InStock,
    SupplierId,
    /// The lowest and the highest.
    Price,
    /// The values at this path.
    Metadata(String),
}

impl Facet {
    fn named(name: &str) -> Option<Self> {
        match name {
            "category" => Some(Facet::Category),
            "categoryId" => Some(Facet::CategoryId),
            "inStock" => Some(Facet::InStock),
            "supplierId" => Some(Facet::SupplierId),
            "price" => Some(Facet::Price),
            other => {
                other.strip_prefix(METADATA).filter(|path| !path.is_empty()).map(|path| Facet::Metadata(path.into()))
            }
        }
    }
}

impl Filter {
    /// Without another wish an order that an index gives, so that a page reads only what it shows: a search is read by
    /// how well it fits, a range of prices along the prices, everything else from the newest on.
    pub(crate) fn order(&self) -> Order {
        let by_price = self.min_price.is_some() || self.max_price.is_some();
        match self.sort {
            Some(order) => order,
            None if self.q().is_some() => Order::Relevance,
            None if by_price => Order::Cheapest,
            None => Order::Newest,
        }
    }

    /// True when the list is to be sorted by a search that is not there.
    pub(crate) fn lacks_search(&self) -> bool {
        self.sort == Some(Order::Relevance) && self.q().is_none()
    }

    /// The label that is asked for.
    pub(crate) fn category(&self) -> Option<&str> {
        filled(self.category.as_deref())
    }

    /// The category that is asked for, with all below it.
    pub(crate) fn category_id(&self) -> Option<CategoryId> {
        self.category_id.map(CategoryId)
    }

    /// The same filter within a category.
    pub(crate) fn within(self, category: CategoryId) -> Self {
        Self { category_id: Some(category.0), ..self }
    }

    /// The supplier that is asked for.
    pub(crate) fn supplier_id(&self) -> Option<UserId> {
        self.supplier_id.map(UserId)
    }

    /// The same filter for the products of one supplier.
    pub(crate) fn of(self, supplier: UserId) -> Self {
        Self { supplier_id: Some(supplier.0), ..self }
    }

    /// The status that is asked for; what is for sale when nobody says.
    pub(crate) fn status(&self) -> ProductStatus {
        self.status.unwrap_or(ProductStatus::Active)
    }

    /// Paths into the metadata, and what must stand there.
    pub(crate) fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rest.iter().filter_map(|(name, value)| Some((name.strip_prefix(METADATA)?, value.as_str())))
    }

    /// What is wrong with the metadata that is asked for.
    pub(crate) fn metadata_refusal(&self) -> Option<String> {
        if self.metadata().count() > MOST_METADATA {
            return Some(format!("at most {MOST_METADATA} at once"));
        }
        let long = |text: &str| text.chars().count() > 200;
        self.metadata().any(|(path, value)| long(path) || long(value)).then(|| "at most 200 characters each".into())
    }

    fn q(&self) -> Option<&str> {
        filled(self.q.as_deref())
    }

    /// The search; the label is part of it.
    pub(crate) fn search(&self) -> Option<Search> {
        self.q().map(|q| Search::new(q, self.category()))
    }

    /// What is to be counted, under the names it was asked for; the name that is none otherwise.
    pub(crate) fn facets(&self) -> Result<Vec<(&str, Facet)>, String> {
        let names = filled(self.facets.as_deref()).into_iter().flat_map(|names| names.split(','));
        let mut facets = Vec::new();
        for name in names.map(str::trim).filter(|name| !name.is_empty()) {
            let facet = Facet::named(name).ok_or_else(|| format!("`{}` cannot be counted", name.escape_debug()))?;
            if !facets.iter().any(|(known, _)| *known == name) {
                facets.push((name, facet));
            }
        }
        if facets.len() > MOST_FACETS {
            return Err(format!("at most {MOST_FACETS} at once"));
        }
        Ok(facets)
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
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
    /// The filter of a query string.
    pub(crate) fn of_query(query: &str) -> Result<Self, String> {
        let uri: axum::http::Uri = format!("/products?{query}").parse().unwrap();
        axum::extract::Query::try_from_uri(&uri)
            .map(|axum::extract::Query(filter)| filter)
            .map_err(|rejection| rejection.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<Filter, String> {
        Filter::of_query(query)
    }

    #[test]
    fn what_is_empty_is_as_good_as_absent() {
        let empty = filter("category=&minPrice=&maxPrice=&q=+&sort=&status=&facets=&categoryId=").unwrap();
        assert_eq!((empty.category(), empty.search(), empty.order()), (None, None, Order::Newest));
        assert_eq!((empty.facets(), empty.status(), empty.category_id()), (Ok(vec![]), ProductStatus::Active, None));
    }

    #[test]
    fn prices_are_exact() {
        let prices = filter("minPrice=0.10&maxPrice=20").unwrap();
        assert_eq!((prices.min_price, prices.max_price), (Some(Money::from_minor(10)), Some(Money::from_minor(2000))));
        assert_eq!(prices.order(), Order::Cheapest);
        assert!(filter("minPrice=0.001").unwrap_err().contains("two decimals"));
        for bad in ["maxPrice=cheap", "inStock=perhaps", "status=deleted", "sort=colour", "supplierId=me"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_list_has_the_order_that_was_asked_for_or_the_one_that_fits() {
        for (query, order) in [
            ("", Order::Newest),
            ("inStock=true", Order::Newest),
            ("minPrice=1", Order::Cheapest),
            ("minPrice=1&search=lamp", Order::Relevance),
            ("minPrice=1&sort=newest", Order::Newest),
            ("q=lamp&sort=-price", Order::Dearest),
            ("sort=-name", Order::NameBackwards),
        ] {
            assert_eq!(filter(query).unwrap().order(), order, "{query}");
        }
        assert!(filter("sort=relevance").unwrap().lacks_search());
    }

    #[test]
    fn metadata_is_asked_for_by_path() {
        let asked = filter("limit=3&metadata.color=red&metadata.size.eu=42&inStock=true").unwrap();
        assert_eq!(asked.metadata().collect::<Vec<_>>(), [("color", "red"), ("size.eu", "42")]);
        assert_eq!(asked.in_stock, Some(true));
        assert_eq!(asked.metadata_refusal(), None);
        let many: String = (0..6).map(|n| format!("metadata.m{n}=1&")).collect();
        assert!(filter(&many).unwrap().metadata_refusal().is_some());
        assert!(filter(&format!("metadata.a={}", "x".repeat(201))).unwrap().metadata_refusal().is_some());
    }

    #[test]
    fn facets_are_a_few_known_names() {
        let facets = filter("facets=category,+price,metadata.color,category").unwrap();
        let expected = [("category", Facet::Category), ("price", Facet::Price)];
        assert_eq!(facets.facets().unwrap()[..2], expected);
        assert_eq!(facets.facets().unwrap().len(), 3);
        assert!(filter("facets=name").unwrap().facets().is_err());
        assert!(filter("facets=metadata.").unwrap().facets().is_err());
    }
}
