//! What an order costs: the goods at the catalog's prices, and what the shop's rules add and take off.

use std::collections::BTreeMap;

use model::{
    Currency, Money, ProductId,
    event::{OrderedItem, SoldItem},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::pricing::Quote;

/// A product as the catalog offers it at this moment.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Offer {
    pub(crate) id: ProductId,
    pub(crate) name: String,
    pub(crate) sku: Option<String>,
    pub(crate) price: Money,
    pub(crate) currency: Currency,
}

/// What a discount code is worth, as carts say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) code: String,
    pub(crate) kind: TermsKind,
    /// A percentage with at most two decimals, or money: both are read exactly, as hundredths.
    pub(crate) value: Money,
    pub(crate) minimum: Option<Money>,
}

/// How a code takes something off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TermsKind {
    Percentage,
    Fixed,
}

/// One line of an order: what was ordered, at the price of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LineItem)]
pub(crate) struct Line {
    pub(crate) product_id: ProductId,
    #[schema(example = "Mug")]
    pub(crate) name: String,
    #[schema(example = "MUG-1")]
    pub(crate) sku: Option<String>,
    pub(crate) unit_price: Money,
    #[schema(minimum = 1, example = 2)]
    pub(crate) quantity: u32,
    /// Before the discount.
    pub(crate) total: Money,
    /// Its part of the order's discount.
    pub(crate) discount: Money,
}

/// What is asked for, at the catalog's prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    lines: Vec<Line>,
    pub(crate) subtotal: Money,
    pub(crate) currency: Currency,
}

/// An order that can be placed. total = subtotal − discount + shipping + tax.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Priced {
    pub(crate) lines: Vec<Line>,
    pub(crate) subtotal: Money,
    pub(crate) discount: Money,
    pub(crate) shipping: Money,
    pub(crate) tax: Money,
    pub(crate) total: Money,
    pub(crate) currency: Currency,
}

/// Why an order cannot be placed as asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unplaceable {
    /// The item at this position asks for a product that is not for sale.
    NoSuchProduct(usize),
    /// It asks for nothing.
    Empty,
    /// The products have prices in different currencies.
    MixedCurrencies,
    /// It costs more than the shop can count.
    TooExpensive,
}

impl Draft {
    /// Prices what is asked for: one line per product, in the order in which they were first named.
    pub(crate) fn new(asked: &[OrderedItem], offers: &[Offer]) -> Result<Self, Unplaceable> {
        let mut places: BTreeMap<ProductId, usize> = BTreeMap::new();
        let mut lines: Vec<Line> = Vec::new();
        let mut currency = None;
        for (position, item) in asked.iter().enumerate() {
            let offer = offers.iter().find(|offer| offer.id == item.product_id);
            let offer = offer.ok_or(Unplaceable::NoSuchProduct(position))?;
            if *currency.get_or_insert(offer.currency) != offer.currency {
                return Err(Unplaceable::MixedCurrencies);
            }
            let place = *places.entry(offer.id).or_insert(lines.len());
            match lines.get_mut(place) {
                Some(line) => line.quantity = line.quantity.saturating_add(item.quantity),
                None => lines.push(Line {
                    product_id: offer.id,
                    name: offer.name.clone(),
                    sku: offer.sku.clone(),
                    unit_price: offer.price,
                    quantity: item.quantity,
                    total: Money::ZERO,
                    discount: Money::ZERO,
                }),
            }
        }
        let mut subtotal = Money::ZERO;
        for line in &mut lines {
            line.total = line.unit_price.times(line.quantity).ok_or(Unplaceable::TooExpensive)?;
            subtotal = subtotal.plus(line.total).ok_or(Unplaceable::TooExpensive)?;
        }
        Ok(Self { lines, subtotal, currency: currency.ok_or(Unplaceable::Empty)? })
    }

    /// The same again, of what was priced before.
    pub(crate) const fn of(lines: Vec<Line>, subtotal: Money, currency: Currency) -> Self {
        Self { lines, subtotal, currency }
    }

    /// Product, quantity and unit price of each line.
    pub(crate) fn prices(&self) -> impl Iterator<Item = (i64, u32, Money)> {
        self.lines.iter().map(|line| (line.product_id.0, line.quantity, line.unit_price))
    }

    /// With what the rules say, if that adds up; otherwise what does not.
    pub(crate) fn priced(mut self, quote: &Quote) -> Result<Priced, String> {
        let money = |what: &str, minor: u64| {
            let money = i64::try_from(minor).ok().map(Money::from_minor).filter(|money| *money <= Money::MAX);
            money.ok_or_else(|| format!("{what} is {minor}"))
        };
        if quote.currency != self.currency.as_str() {
            return Err(format!("{} instead of {}", quote.currency, self.currency));
        }
        if quote.line_discounts.len() != self.lines.len() {
            return Err(format!("{} discounts for {} lines", quote.line_discounts.len(), self.lines.len()));
        }
        let mut sum = Money::ZERO;
        for (line, discount) in self.lines.iter_mut().zip(&quote.line_discounts) {
            line.discount = money("a line's discount", *discount)?;
            if line.discount > line.total {
                return Err(format!("{} off a line of {}", line.discount, line.total));
            }
            sum = sum.plus(line.discount).ok_or("the discounts are too large")?;
        }
        let priced = Priced {
            subtotal: self.subtotal,
            discount: money("the discount", quote.discount)?,
            shipping: money("shipping", quote.shipping)?,
            tax: money("the tax", quote.tax)?,
            total: money("the total", quote.total)?,
            currency: self.currency,
            lines: self.lines,
        };
        if sum != priced.discount {
            return Err(format!("the discount is {}, but its lines have {sum}", priced.discount));
        }
        let parts = priced.subtotal.minus(priced.discount).and_then(|sum| sum.plus(priced.shipping));
        match parts.and_then(|sum| sum.plus(priced.tax)) {
            Some(sum) if sum == priced.total => Ok(priced),
            sum => Err(format!("the total is {}, but its parts are {sum:?}", priced.total)),
        }
    }
}

/// What lines are about, as others are told of it.
pub(crate) fn sold(lines: &[Line]) -> Vec<SoldItem> {
    let item = |line: &Line| SoldItem {
        product_id: line.product_id,
        name: line.name.clone(),
        unit_price: line.unit_price,
        quantity: line.quantity,
        total: line.total,
    };
    lines.iter().map(item).collect()
}

/// The same without the prices.
pub(crate) fn items(lines: &[Line]) -> Vec<OrderedItem> {
    let item = |line: &Line| OrderedItem { product_id: line.product_id, quantity: line.quantity };
    lines.iter().map(item).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(id: i64, minor: i64) -> Offer {
        Offer {
            id: ProductId(id),
            name: format!("product {id}"),
            sku: None,
            price: Money::from_minor(minor),
            currency: "EUR".parse().unwrap(),
        }
    }

    fn asked(product: i64, quantity: u32) -> OrderedItem {
        OrderedItem { product_id: ProductId(product), quantity }
    }

    /// A line of `quantity` pieces with these totals, in minor units.
    pub(crate) fn line(product: i64, quantity: u32, total: i64, discount: i64) -> Line {
        let name = format!("product {product}");
        let (total, discount) = (Money::from_minor(total), Money::from_minor(discount));
        Line { product_id: ProductId(product), name, sku: None, unit_price: Money::ZERO, quantity, total, discount }
    }

    #[test]
    fn what_is_named_twice_is_one_line() {
        let draft = Draft::new(&[asked(2, 1), asked(1, 1), asked(2, 3)], &[offer(1, 150), offer(2, 999)]).unwrap();
        assert_eq!(items(&draft.lines), [asked(2, 4), asked(1, 1)]);
        assert_eq!(draft.subtotal, Money::from_minor(4 * 999 + 150));
    }

    #[test]
    fn what_cannot_be_placed_says_why() {
        assert_eq!(Draft::new(&[], &[]), Err(Unplaceable::Empty));
        assert_eq!(Draft::new(&[asked(1, 1), asked(3, 1)], &[offer(1, 1)]), Err(Unplaceable::NoSuchProduct(1)));
        let dollars = Offer { currency: "USD".parse().unwrap(), ..offer(2, 1) };
        assert_eq!(Draft::new(&[asked(1, 1), asked(2, 1)], &[offer(1, 1), dollars]), Err(Unplaceable::MixedCurrencies));
        let dear = offer(1, Money::MAX.minor());
        assert_eq!(Draft::new(&[asked(1, 2)], &[dear]), Err(Unplaceable::TooExpensive));
    }

    #[test]
    fn only_a_quote_that_adds_up_is_taken() {
        let draft = || Draft::new(&[asked(1, 2), asked(2, 1)], &[offer(1, 500), offer(2, 300)]).unwrap();
        let good = || Quote {
            currency: "EUR".to_owned(),
            line_discounts: vec![100, 30],
            discount: 130,
            shipping: 490,
            tax: 60,
            total: 1720,
        };
        let priced = draft().priced(&good()).unwrap();
        assert_eq!((priced.total, priced.lines[0].discount), (Money::from_minor(1720), Money::from_minor(100)));
        for (wrong, why) in [
            (Quote { currency: "USD".to_owned(), ..good() }, "USD instead of EUR"),
            (Quote { line_discounts: vec![130], ..good() }, "1 discounts for 2 lines"),
            (Quote { line_discounts: vec![0, 301], discount: 301, total: 1549, ..good() }, "3.01 off a line of 3.00"),
            (Quote { line_discounts: vec![100, 31], ..good() }, "its lines have 1.31"),
            (Quote { discount: 131, total: 1719, ..good() }, "its lines have 1.30"),
            (Quote { total: 1719, ..good() }, "its parts are"),
            (Quote { tax: u64::MAX, ..good() }, "the tax is"),
            (Quote { shipping: 1_000_000_000_001, ..good() }, "shipping is"),
            (Quote { shipping: 1_000_000_000_000, total: 1_000_000_000_000, ..good() }, "its parts are None"),
        ] {
            let error = draft().priced(&wrong).unwrap_err();
            assert!(error.contains(why), "{error}, not {why}");
        }
    }

    proptest! {
        #[test]
        fn the_subtotal_is_the_sum_of_its_lines(items in prop::collection::vec((1i64..5, 1u32..1000), 1..20)) {
            let offers: Vec<_> = (1..5).map(|id| offer(id, id * 333)).collect();
            let items: Vec<_> = items.into_iter().map(|(product, quantity)| asked(product, quantity)).collect();
            let draft = Draft::new(&items, &offers).unwrap();
            let expected: i64 = items.iter().map(|item| item.product_id.0 * 333 * i64::from(item.quantity)).sum();
            prop_assert_eq!(draft.subtotal.minor(), expected);
            let pieces: u32 = draft.lines.iter().map(|line| line.quantity).sum();
            prop_assert_eq!(pieces, items.iter().map(|item| item.quantity).sum::<u32>());
        }
    }
}
