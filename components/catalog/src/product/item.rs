//! Items: products in the words of an older shop.

use garde::Validate;
use model::{Currency, Money, ProductId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Images, MOST_STOCK, Metadata, NewProduct, ProductChange, not_negative};
use crate::text::{line, present, text};

/// A product, in the words of those who call it an item.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item<'a> {
    /// Its id.
    item_id: ProductId,
    /// The same.
    id: ProductId,
    /// Its name.
    #[schema(value_type = String, example = "Stoneware mug")]
    item_name: &'a RawValue,
    /// The same.
    #[schema(value_type = String, example = "Stoneware mug")]
    name: &'a RawValue,
    /// For people.
    #[schema(value_type = String, example = "Holds 350 ml, keeps them warm.")]
    description: &'a RawValue,
    /// What a piece costs.
    #[schema(value_type = Money)]
    unit_price: &'a RawValue,
    /// The currency of the price.
    currency: Currency,
    /// Addresses of pictures, the most telling first.
    #[schema(value_type = Vec<String>, example = json!(["https://cdn.example.com/mug.jpg"]))]
    image_urls: &'a RawValue,
    /// What its bar code says.
    #[schema(value_type = Option<String>, example = "036000291452")]
    upc: &'a RawValue,
    /// A label; the name of the category, where there is one.
    #[schema(value_type = Option<String>, example = "kitchen")]
    category: &'a RawValue,
    /// Pieces that can be ordered, as far as the catalog knows; inventory decides.
    #[schema(minimum = 0, example = 120)]
    availability: i64,
    /// Whatever else its seller says, as it was written.
    #[schema(value_type = Object, example = json!({"color": "blue"}))]
    metadata: &'a RawValue,
}

impl<'a> Item<'a> {
    /// The item that a product is, which is given as customers read it. What is text in both is not written anew.
    pub(crate) fn read(product: &'a str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Written<'a> {
            id: ProductId,
            #[serde(borrow)]
            name: &'a RawValue,
            #[serde(borrow)]
            description: &'a RawValue,
            #[serde(borrow)]
            price: &'a RawValue,
            currency: Currency,
            stock: i64,
            #[serde(borrow)]
            category: &'a RawValue,
            #[serde(borrow)]
            upc: &'a RawValue,
            #[serde(borrow)]
            images: &'a RawValue,
            #[serde(borrow)]
            metadata: &'a RawValue,
        }
        let product: Written<'a> = serde_json::from_str(product)?;
        Ok(Self {
            item_id: product.id,
            id: product.id,
            item_name: product.name,
            name: product.name,
            description: product.description,
            unit_price: product.price,
            currency: product.currency,
            image_urls: product.images,
            upc: product.upc,
            category: product.category,
            availability: product.stock,
            metadata: product.metadata,
        })
    }
}

/// An item that somebody wants to sell.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"itemName": "Stoneware mug", "unitPrice": 14.5, "imageUrls": ["https://cdn.example.com/mug.jpg"], "upc": "036000291452", "availability": 120, "metadata": {"color": "blue"}}))]
pub(crate) struct NewItem {
    /// Its name.
    #[garde(custom(line::<200>))]
    #[schema(min_length = 1, max_length = 200, example = "Stoneware mug")]
    item_name: String,
    /// What a piece costs; not negative.
    #[garde(custom(not_negative))]
    #[schema(value_type = f64, minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 14.5)]
    unit_price: Money,
    /// So many pieces are there; none when nobody says. `stock` is another name.
    #[garde(range(max = MOST_STOCK))]
    #[serde(alias = "stock", default)]
    #[schema(maximum = 1_000_000, example = 120)]
    availability: u32,
    /// For people; several lines are fine.
    #[garde(inner(custom(text)))]
    #[schema(max_length = 10_000, example = "Holds 350 ml, keeps them warm.")]
    description: Option<String>,
    /// A label.
    #[garde(inner(custom(line::<100>)))]
    #[schema(min_length = 1, max_length = 100, example = "kitchen")]
    category: Option<String>,
    /// What its bar code says.
    #[garde(inner(custom(line::<64>)))]
    #[schema(min_length = 1, max_length = 64, example = "036000291452")]
    upc: Option<String>,
    /// Up to 20 addresses of pictures, `http`, `https` or a path of this host.
    #[garde(skip)]
    #[schema(value_type = Option<Vec<String>>, max_items = 20, example = json!(["https://cdn.example.com/mug.jpg"]))]
    image_urls: Option<Images>,
    /// A JSON object of up to 16 KiB, kept as it was written.
    #[garde(skip)]
    #[schema(value_type = Option<Object>, example = json!({"color": "blue"}))]
    metadata: Option<Metadata>,
}

impl From<NewItem> for NewProduct {
    fn from(item: NewItem) -> Self {
        Self {
            name: item.item_name,
            description: item.description.unwrap_or_default(),
            price: item.unit_price,
            stock: item.availability,
            category: item.category,
            category_id: None,
            sku: None,
            upc: item.upc,
            images: item.image_urls,
            metadata: item.metadata,
            status: None,
        }
    }
}

/// What is to change of an item. What is absent stays; `null` removes what may be missing.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
#[serde(default, rename_all = "camelCase")]
#[schema(example = json!({"unitPrice": 13.9, "metadata": {"color": "red"}}))]
pub(crate) struct ItemChange {
    /// Its name.
    #[garde(inner(custom(line::<200>)))]
    #[schema(min_length = 1, max_length = 200, example = "Stoneware mug")]
    item_name: Option<String>,
    /// What a piece costs; not negative.
    #[garde(inner(custom(not_negative)))]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 10_000_000_000i64, multiple_of = 0.01, example = 14.5)]
    unit_price: Option<Money>,
    /// As many more, or fewer, than the item shows at this moment. `stock` is another name.
    #[garde(range(max = MOST_STOCK))]
    #[serde(alias = "stock")]
    #[schema(maximum = 1_000_000, example = 120)]
    availability: Option<u32>,
    /// For people; several lines are fine.
    #[garde(inner(custom(text)))]
    #[schema(max_length = 10_000, example = "Holds 350 ml, keeps them warm.")]
    description: Option<String>,
    /// A label.
    #[garde(inner(inner(custom(line::<100>))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100, example = "kitchen")]
    category: Option<Option<String>>,
    /// What its bar code says.
    #[garde(inner(inner(custom(line::<64>))))]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, example = "036000291452")]
    upc: Option<Option<String>>,
    /// Up to 20 addresses of pictures, `http`, `https` or a path of this host.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>, max_items = 20, example = json!(["https://cdn.example.com/mug.jpg"]))]
    image_urls: Option<Option<Images>>,
    /// A JSON object of up to 16 KiB, kept as it was written.
    #[garde(skip)]
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>, example = json!({"color": "blue"}))]
    metadata: Option<Option<Metadata>>,
}

impl From<ItemChange> for ProductChange {
    fn from(item: ItemChange) -> Self {
        Self {
            name: item.item_name,
            description: item.description,
            price: item.unit_price,
            stock: item.availability,
            category: item.category,
            upc: item.upc,
            images: item.image_urls,
            metadata: item.metadata,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Timestamp, UserId};

    use super::*;

    fn made(json: &str) -> super::super::Product {
        let new: NewItem = serde_json::from_str(json).unwrap();
        new.validate().unwrap();
        NewProduct::from(new).into_product(UserId(7), "EUR".parse().unwrap(), None, Timestamp(0))
    }

    #[test]
    fn an_item_is_a_product_in_other_words() {
        let metadata = r#"{ "b": 1.10, "a": [null] }"#;
        let product = format!(
            r#"{{"id":3,"name":"a \"b\"","description":"","price":0.10,"currency":"EUR","stock":4,"category":null,"sku":"S",
            "upc":"036","images":["/a.png"],"metadata":{metadata},"status":"active"}}"#
        );
        let written = serde_json::to_string(&Item::read(&product).unwrap()).unwrap();
        let expected = format!(
            r#"{{"itemId":3,"id":3,"itemName":"a \"b\"","name":"a \"b\"","description":"","unitPrice":0.10,"currency":"EUR","imageUrls":["/a.png"],"upc":"036","category":null,"availability":4,"metadata":{metadata}}}"#
        );
        assert_eq!(written, expected);
    }

    #[test]
    fn a_new_item_is_a_product_for_sale() {
        let product = made(
            r#"{"itemName":" Mug ","unitPrice":14.5,"stock":3,"upc":"036","imageUrls":["/a.png"],"metadata":{"a":1}}"#,
        );
        assert_eq!((product.name.as_str(), product.price, product.stock), ("Mug", Money::from_minor(1450), 3));
        assert_eq!((product.upc.as_deref(), product.metadata.as_str()), (Some("036"), r#"{"a":1}"#));
        assert!(product.is_for_sale());
        assert_eq!(made(r#"{"itemName":"Mug","unitPrice":0}"#).stock, 0, "nobody has said that there are any");
    }

    #[test]
    fn a_change_of_an_item_leaves_what_it_does_not_name() {
        let mut product = made(r#"{"itemName":"Mug","unitPrice":14.5,"upc":"036","availability":3}"#);
        let change = |json: &str| ProductChange::from(serde_json::from_str::<ItemChange>(json).unwrap());
        assert!(!product.apply(change("{}"), None, Timestamp(1)));
        assert!(product.apply(change(r#"{"unitPrice":1,"upc":null,"availability":5}"#), None, Timestamp(1)));
        assert_eq!((product.name.as_str(), product.price, product.stock), ("Mug", Money::from_minor(100), 5));
        assert_eq!(product.upc, None);
    }
}
