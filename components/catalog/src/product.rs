//! The rules: what a product is and how it may change. Pure.

mod filter;
mod images;
mod item;
mod metadata;
mod search;

use garde::Validate;
use model::{CategoryId, Currency, Money, ProductId, ProductStatus, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use filter::{Facet, Filter, Narrowed, Order, Place};
pub(crate) use images::Images;
pub(crate) use item::{Item, ItemChange, NewItem};
pub(crate) use metadata::Metadata;
pub(crate) use search::{Expression, Search};

use crate::text::{line, present, text, trimmed};

/// Pieces that a seller may say are on hand.
const MOST_STOCK: u32 = 1_000_000;

/// A product. How customers read it is written by the database, beside the columns it is made of.
#[derive(Debug, Clone, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Product {
    /// Its id.
    pub(crate) id: ProductId,
    /// Who created it.
    pub(crate) supplier_id: UserId,
    /// Its name.
    #[schema(example = "Stoneware mug")]
    pub(crate) name: String,
    /// For people.
    #[schema(example = "Holds 350 ml, keeps them warm.")]
    pub(crate) description: String,
    /// What a piece costs.
    pub(crate) price: Money,
    /// The currency of the price.
    pub(crate) currency: Currency,
    /// Pieces that can be ordered, as far as the catalog knows; inventory decides.
    #[schema(example = 120)]
    pub(crate) stock: u32,
    /// A label; the name of the category, where there is one.
    #[schema(example = "kitchen")]
    pub(crate) category: Option<String>,
    /// Its category in the tree.
    pub(crate) category_id: Option<CategoryId>,
    /// The seller's name for it; no other product has it.
    #[schema(example = "MUG-01")]
    pub(crate) sku: Option<String>,
    /// What its bar code says.
    #[schema(example = "036000291452")]
    pub(crate) upc: Option<String>,
    /// Addresses of pictures, the most telling first.
    #[schema(value_type = Vec<String>, example = json!(["https://cdn.example.com/mug.jpg"]))]
    pub(crate) images: Images,
    /// Whatever else its seller says.
    #[schema(value_type = Object, example = json!({"color": "blue"}))]
    pub(crate) metadata: Metadata,
    /// Only active products are for sale.
    pub(crate) status: ProductStatus,
    /// When it was added.
    pub(crate) created_at: Timestamp,
    /// Its last change.
    pub(crate) updated_at: Timestamp,
}

/// What orders need to know of a product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Offer {
    pub(crate) id: ProductId,
    pub(crate) name: String,
    pub(crate) sku: Option<String>,
    pub(crate) price: Money,
    pub(crate) currency: Currency,
    pub(crate) stock: u32,
}

/// A product that somebody wants to sell.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"name": "Stoneware mug", "description": "Holds 350 ml, keeps them warm.", "price": 14.5, "stock": 120, "category": "kitchen", "sku": "MUG-01", "metadata": {"color": "blue"}}))]
pub(crate) struct NewProduct {
    /// Its name.
    #[garde(custom(line::<200>))]
    #[schema(min_length = 1, max_length = 200, example = "Stoneware mug")]
    name: String,
    /// For people; several lines are fine.
    #[garde(custom(text))]
    #[schema(max_length = 10_000, example = "Holds 350 ml, keeps them warm.")]
    description: String,
    /// What a piece costs; not negative.
    #[garde(custom(not_negative))]
    #[schema(value_type = f64, minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 14.5)]
    price: Money,
    /// So many pieces are there.
    #[garde(range(max = MOST_STOCK))]
    #[schema(maximum = 1_000_000, example = 120)]
    stock: u32,
    /// Ignored beside a `categoryId`.
    #[garde(inner(custom(line::<100>)))]
    #[schema(min_length = 1, max_length = 100, example = "kitchen")]
    category: Option<String>,
    /// The category of the tree to put it into.
    #[garde(skip)]
    pub(crate) category_id: Option<CategoryId>,
    /// The seller's name for it; no other product has it.
    #[garde(inner(custom(line::<64>)))]
    #[schema(min_length = 1, max_length = 64, example = "MUG-01")]
    pub(crate) sku: Option<String>,
    /// What its bar code says.
    #[garde(inner(custom(line::<64>)))]
    #[schema(min_length = 1, max_length = 64, example = "036000291452")]
    upc: Option<String>,
    /// Up to 20 addresses of pictures, `http`, `https` or a path of this host.
    #[garde(skip)]
    #[serde(alias = "imageUrls")]
    #[schema(value_type = Option<Vec<String>>, max_items = 20, example = json!(["https://cdn.example.com/mug.jpg"]))]
    images: Option<Images>,
    /// A JSON object of up to 16 KiB, kept as it was written.
    #[garde(skip)]
    #[schema(value_type = Option<Object>, example = json!({"color": "blue"}))]
    metadata: Option<Metadata>,
    /// For sale, when nobody says.
    #[garde(skip)]
    status: Option<ProductStatus>,
}

impl NewProduct {
    /// The product, without the id that storing it will give. `category` is the name of its category, if it has one.
    pub(crate) fn into_product(
        self,
        supplier_id: UserId,
        currency: Currency,
        category: Option<String>,
        now: Timestamp,
    ) -> Product {
        Product {
            id: ProductId(0),
            supplier_id,
            name: trimmed(self.name),
            description: self.description,
            price: self.price,
            currency,
            stock: self.stock,
            category: category.or(self.category.map(trimmed)),
            category_id: self.category_id,
            sku: self.sku.map(trimmed),
            upc: self.upc.map(trimmed),
            images: self.images.unwrap_or_default(),
            metadata: self.metadata.unwrap_or_default(),
            status: self.status.unwrap_or(ProductStatus::Active),
            created_at: now,
            updated_at: now,
        }
    }
}

/// What is to change. What is absent stays; `null` removes what may be missing.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"price": 13.9, "description": "Holds 350 ml."}))]
pub(crate) struct ProductChange {
    /// Its name.
    #[garde(inner(custom(line::<200>)))]
    #[schema(min_length = 1, max_length = 200, example = "Stoneware mug")]
    name: Option<String>,
    /// For people; several lines are fine.
    #[garde(inner(custom(text)))]
    #[schema(max_length = 10_000, example = "Holds 350 ml, keeps them warm.")]
    description: Option<String>,
    /// What a piece costs; not negative.
    #[garde(inner(custom(not_negative)))]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 14.5)]
    price: Option<Money>,
    /// As many more, or fewer, than the catalog shows at this moment.
    #[garde(range(max = MOST_STOCK))]
    #[schema(maximum = 1_000_000, example = 120)]
    pub(crate) stock: Option<u32>,
    /// A label. Ignored beside a `categoryId`.
    #[garde(inner(inner(custom(line::<100>))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "kitchen")]
    category: Option<Option<String>>,
    /// The category of the tree to put it into.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<CategoryId>)]
    pub(crate) category_id: Option<Option<CategoryId>>,
    /// The seller's name for it; no other product has it.
    #[garde(inner(inner(custom(line::<64>))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "MUG-01")]
    pub(crate) sku: Option<Option<String>>,
    /// What its bar code says.
    #[garde(inner(inner(custom(line::<64>))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "036000291452")]
    upc: Option<Option<String>>,
    /// Up to 20 addresses of pictures, `http`, `https` or a path of this host.
    #[garde(skip)]
    #[serde(deserialize_with = "present", alias = "imageUrls")]
    #[schema(value_type = Option<Vec<String>>, max_items = 20, example = json!(["https://cdn.example.com/mug.jpg"]))]
    images: Option<Option<Images>>,
    /// A JSON object of up to 16 KiB, kept as it was written.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>, example = json!({"color": "blue"}))]
    metadata: Option<Option<Metadata>>,
    /// Only active products are for sale.
    #[garde(skip)]
    status: Option<ProductStatus>,
}

impl ProductChange {
    /// The category whose name must be known to make the change: the one it names, or, when it gives another label to a
    /// product that is in one, that one. A category that was renamed just now has that name before its products do.
    pub(crate) fn category_in_question(&self, product: &Product) -> Option<CategoryId> {
        match (self.category_id, &self.category) {
            (Some(named), _) => named,
            (None, Some(label)) if *label != product.category => product.category_id,
            (None, _) => None,
        }
    }
}

impl Product {
    /// Makes the change. True when there is something to tell: a field has another value, or the seller has counted the
    /// stock, which is news to inventory whatever the catalog believed it to be. `category` is the name of
    /// [`ProductChange::category_in_question`], if there is one.
    pub(crate) fn apply(&mut self, change: ProductChange, category: Option<String>, now: Timestamp) -> bool {
        let before = self.clone();
        let counted = change.stock.is_some();
        if let Some(name) = change.name {
            self.name = trimmed(name);
        }
        if let Some(description) = change.description {
            self.description = description;
        }
        if let Some(price) = change.price {
            self.price = price;
        }
        if let Some(stock) = change.stock {
            self.stock = stock;
        }
        self.put_into(change.category_id, category, change.category.map(|label| label.map(trimmed)));
        if let Some(sku) = change.sku {
            self.sku = sku.map(trimmed);
        }
        if let Some(upc) = change.upc {
            self.upc = upc.map(trimmed);
        }
        if let Some(images) = change.images {
            self.images = images.unwrap_or_default();
        }
        if let Some(status) = change.status {
            self.status = status;
        }
        if let Some(metadata) = change.metadata {
            self.metadata = metadata.unwrap_or_default();
        }
        let changed = counted || *self != before;
        if changed {
            self.updated_at = now;
        }
        changed
    }

    /// A category decides the label. A label alone takes the product out of its category, unless it says what is there
    /// already, as a product does that is sent back as it was read, or what the category is called.
    fn put_into(
        &mut self,
        category_id: Option<Option<CategoryId>>,
        name: Option<String>,
        label: Option<Option<String>>,
    ) {
        match (category_id, label) {
            (Some(Some(category_id)), _) => {
                self.category_id = Some(category_id);
                self.category = name;
            }
            (None, Some(label)) if label == self.category || (label.is_some() && label == name) => {}
            (_, Some(label)) => {
                self.category_id = None;
                self.category = label;
            }
            (Some(None), None) if self.category_id.is_some() => {
                self.category_id = None;
                self.category = None;
            }
            (_, None) => {}
        }
    }

    /// Whether customers can see and order it.
    pub(crate) fn is_for_sale(&self) -> bool {
        self.status == ProductStatus::Active
    }
}

fn not_negative(price: &Money, (): &()) -> garde::Result {
    if *price < Money::ZERO {
        return Err(garde::Error::new("must not be negative"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_392_000_000);
    const LATER: Timestamp = Timestamp(1_795_392_000_001);

    /// The product that a body makes, or the first field that is wrong with it.
    fn made(body: &Value) -> Result<Product, String> {
        let new: NewProduct = serde_json::from_str(&body.to_string()).map_err(|error| error.to_string())?;
        new.validate().map_err(|report| report.iter().map(|(path, _)| path.to_string()).next().unwrap_or_default())?;
        Ok(new.into_product(UserId(7), "EUR".parse().unwrap(), None, NOW))
    }

    fn lamp() -> Value {
        json!({ "name": " Lamp ", "description": "Bright.\nWarm.", "price": 19.99, "stock": 3 })
    }

    fn lamp_with(field: &str, value: Value) -> Value {
        let mut body = lamp();
        body[field] = value;
        body
    }

    fn change(json: &Value) -> ProductChange {
        serde_json::from_str(&json.to_string()).unwrap()
    }

    #[test]
    fn a_new_product_is_trimmed_and_for_sale() {
        let product = made(&lamp_with("metadata", json!({ "watts": 7 }))).unwrap();
        assert_eq!((product.name.as_str(), product.description.as_str()), ("Lamp", "Bright.\nWarm."));
        assert_eq!(
            (product.price, product.stock, product.metadata.as_str()),
            (Money::from_minor(1999), 3, r#"{"watts":7}"#)
        );
        assert!(product.is_for_sale());
    }

    #[test]
    fn every_field_has_its_limits() {
        for (field, good) in [
            ("name", json!("x".repeat(200))),
            ("description", json!("")),
            ("price", json!(0)),
            ("price", json!(10_000_000_000i64)),
            ("stock", json!(1_000_000)),
            ("category", json!("Küche & Bad")),
            ("sku", json!("L-1/blue")),
            ("category", Value::Null),
        ] {
            assert!(made(&lamp_with(field, good.clone())).is_ok(), "{field}: {good}");
        }
        for (field, bad) in [
            ("name", json!(" ")),
            ("name", json!("x".repeat(201))),
            ("name", json!("two\nlines")),
            ("description", json!("x".repeat(10_001))),
            ("description", json!("nul\u{0}")),
            ("price", json!(-0.01)),
            ("stock", json!(1_000_001)),
            ("category", json!("")),
            ("category", json!("x".repeat(101))),
            ("sku", json!("x".repeat(65))),
        ] {
            assert_eq!(made(&lamp_with(field, bad.clone())), Err(field.to_owned()), "{bad}");
        }
        for (field, bad) in
            [("price", json!(1.999)), ("price", json!("1")), ("stock", json!(-1)), ("stock", json!(0.5))]
        {
            assert!(made(&lamp_with(field, bad.clone())).is_err(), "{field}: {bad}");
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let mut product = made(&lamp_with("category", json!("Lamps"))).unwrap();
        let before = product.clone();
        assert!(!product.apply(change(&json!({})), None, LATER));
        assert!(!product.apply(change(&json!({ "name": "Lamp", "price": 19.99 })), None, LATER));
        assert_eq!(product, before);

        assert!(product.apply(change(&json!({ "price": 5, "category": null, "sku": "L-1" })), None, LATER));
        let expected = Product {
            price: Money::from_minor(500),
            category: None,
            sku: Some("L-1".into()),
            updated_at: LATER,
            ..before
        };
        assert_eq!(product, expected);
    }

    #[test]
    fn counting_the_stock_is_always_news() {
        let mut product = made(&lamp()).unwrap();
        assert!(product.apply(change(&json!({ "stock": 3 })), None, LATER));
    }

    #[test]
    fn a_category_decides_the_label() {
        let mut product = made(&lamp_with("category", json!("Light"))).unwrap();
        let lamps = || Some("Lamps".to_owned());
        let mut after = |body: Value, name: Option<String>| {
            product.apply(change(&body), name, LATER);
            (product.category_id.map(|id| id.0), product.category.clone())
        };
        assert_eq!(after(json!({ "categoryId": null }), None), (None, Some("Light".into())));
        assert_eq!(after(json!({ "categoryId": 5, "category": "Light" }), lamps()), (Some(5), lamps()));
        assert_eq!(after(json!({ "category": "Lamps" }), None), (Some(5), lamps()), "sent back as it was read");
        let renamed = Some("Lanterns".to_owned());
        assert_eq!(after(json!({ "category": "Lanterns" }), renamed.clone()), (Some(5), lamps()), "its label follows");
        assert_eq!(after(json!({ "category": "Light" }), renamed), (None, Some("Light".into())));
        assert_eq!(after(json!({ "categoryId": 5 }), lamps()), (Some(5), lamps()));
        assert_eq!(after(json!({ "categoryId": null }), None), (None, None));
        assert_eq!(after(json!({ "categoryId": 5 }), lamps()), (Some(5), lamps()));
        assert_eq!(after(json!({ "categoryId": null, "category": "Lamps" }), None), (None, lamps()));
    }

    #[test]
    fn a_change_has_the_limits_of_a_new_product() {
        for bad in [json!({ "sku": "" }), json!({ "category": "a\tb" }), json!({ "price": -1 }), json!({ "name": "" })]
        {
            assert!(change(&bad).validate().is_err(), "{bad}");
        }
        assert!(change(&json!({ "sku": null, "name": "Lamp" })).validate().is_ok());
    }

    proptest! {
        #[test]
        fn a_change_happens_once(name in "[a-z ]{0,5}[a-z]", price in 0..=1_000i64, sku in proptest::option::of("[A-Z]{1,3}")) {
            let mut product = made(&lamp()).unwrap();
            let body = json!({ "name": name, "price": price, "sku": sku });
            product.apply(change(&body), None, NOW);
            let once = product.clone();
            prop_assert!(!product.apply(change(&body), None, LATER));
            prop_assert_eq!(product, once);
        }
    }
}
