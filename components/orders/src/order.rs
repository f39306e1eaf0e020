//! The rules of an order: which state may follow which, and what it costs. Pure.

use std::collections::BTreeMap;

use model::{Currency, Money, OrderStatus, ProductId, event::OrderedItem};
use serde::{Deserialize, Serialize};

/// What may happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its stock is held.
    Reserve,
    /// Its stock is not there.
    Reject,
    /// Its money is taken.
    Pay,
    /// Its money was refused.
    Decline,
    /// Somebody calls it off.
    Cancel,
    /// Nobody paid in time.
    Expire,
}

impl Step {
    /// The states in which this may happen.
    pub(crate) const fn from(self) -> &'static [OrderStatus] {
        match self {
            Step::Reserve | Step::Reject => &[OrderStatus::Pending],
            Step::Pay | Step::Decline => &[OrderStatus::Reserved],
            Step::Cancel => &[OrderStatus::Pending, OrderStatus::Reserved, OrderStatus::Paid],
            Step::Expire => &[OrderStatus::Pending, OrderStatus::Reserved],
        }
    }

    /// The state that it leads to.
    pub(crate) const fn to(self) -> OrderStatus {
        match self {
            Step::Reserve => OrderStatus::Reserved,
            Step::Reject | Step::Decline => OrderStatus::Failed,
            Step::Pay => OrderStatus::Paid,
            Step::Cancel | Step::Expire => OrderStatus::Cancelled,
        }
    }
}

/// A product as the catalog offers it at this moment.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Offer {
    pub(crate) id: ProductId,
    pub(crate) name: String,
    pub(crate) sku: Option<String>,
    pub(crate) price: Money,
    pub(crate) currency: Currency,
}

/// One line of an order: what was ordered, at the price of that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) product_id: ProductId,
    name: String,
    sku: Option<String>,
    unit_price: Money,
    pub(crate) quantity: u32,
    total: Money,
}

/// An order that can be placed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) lines: Vec<Line>,
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
    pub(crate) fn price(asked: &[OrderedItem], offers: &[Offer]) -> Result<Self, Unplaceable> {
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
                }),
            }
        }
        let mut total = Money::ZERO;
        for line in &mut lines {
            line.total = line.unit_price.times(line.quantity).ok_or(Unplaceable::TooExpensive)?;
            total = total.plus(line.total).ok_or(Unplaceable::TooExpensive)?;
        }
        Ok(Self { lines, total, currency: currency.ok_or(Unplaceable::Empty)? })
    }

    /// What is to be reserved.
    pub(crate) fn items(&self) -> Vec<OrderedItem> {
        let item = |line: &Line| OrderedItem { product_id: line.product_id, quantity: line.quantity };
        self.lines.iter().map(item).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEPS: [Step; 6] = [Step::Reserve, Step::Reject, Step::Pay, Step::Decline, Step::Cancel, Step::Expire];

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

    #[test]
    fn nothing_leaves_failed_or_cancelled_and_only_people_leave_paid() {
        for step in STEPS {
            assert!(!step.from().contains(&OrderStatus::Failed), "{step:?}");
            assert!(!step.from().contains(&OrderStatus::Cancelled), "{step:?}");
            assert!(!step.from().contains(&OrderStatus::Paid) || step == Step::Cancel, "{step:?}");
            assert!(!step.from().contains(&step.to()), "{step:?}");
        }
    }

    #[test]
    fn every_state_but_the_first_can_be_reached() {
        for status in OrderStatus::ALL {
            let reachable = *status == OrderStatus::Pending || STEPS.iter().any(|step| step.to() == *status);
            assert!(reachable, "{status}");
        }
    }

    #[test]
    fn what_is_named_twice_is_one_line() {
        let draft = Draft::price(&[asked(2, 1), asked(1, 1), asked(2, 3)], &[offer(1, 150), offer(2, 999)]).unwrap();
        assert_eq!(draft.items(), [asked(2, 4), asked(1, 1)]);
        assert_eq!(draft.total, Money::from_minor(4 * 999 + 150));
    }

    #[test]
    fn what_cannot_be_placed_says_why() {
        assert_eq!(Draft::price(&[], &[]), Err(Unplaceable::Empty));
        assert_eq!(Draft::price(&[asked(1, 1), asked(3, 1)], &[offer(1, 1)]), Err(Unplaceable::NoSuchProduct(1)));
        let dollars = Offer { currency: "USD".parse().unwrap(), ..offer(2, 1) };
        assert_eq!(
            Draft::price(&[asked(1, 1), asked(2, 1)], &[offer(1, 1), dollars]),
            Err(Unplaceable::MixedCurrencies)
        );
        let dear = offer(1, Money::MAX.minor());
        assert_eq!(Draft::price(&[asked(1, 2)], &[dear]), Err(Unplaceable::TooExpensive));
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_its_lines(items in prop::collection::vec((1i64..5, 1u32..1000), 1..20)) {
            let offers: Vec<_> = (1..5).map(|id| offer(id, id * 333)).collect();
            let items: Vec<_> = items.into_iter().map(|(product, quantity)| asked(product, quantity)).collect();
            let draft = Draft::price(&items, &offers).unwrap();
            let expected: i64 = items.iter().map(|item| item.product_id.0 * 333 * i64::from(item.quantity)).sum();
            prop_assert_eq!(draft.total.minor(), expected);
            let pieces: u32 = draft.lines.iter().map(|line| line.quantity).sum();
            prop_assert_eq!(pieces, items.iter().map(|item| item.quantity).sum::<u32>());
        }
    }
}
