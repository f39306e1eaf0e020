//! The rules of stock. Pure.

use std::collections::BTreeMap;

use model::{ProductId, event::OrderedItem};

/// What a movement of stock is called in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pieces came in with a new product.
    Received,
    /// Somebody counted.
    Adjusted,
    /// Pieces were promised.
    Reserved,
    /// A promise was taken back.
    Released,
    /// Promised pieces left.
    Sold,
    /// Sold pieces came back.
    Returned,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Kind::Received => "received",
            Kind::Adjusted => "adjusted",
            Kind::Reserved => "reserved",
            Kind::Released => "released",
            Kind::Sold => "sold",
            Kind::Returned => "returned",
        }
    }

    /// What happens to (on hand, reserved) when `quantity` pieces move.
    const fn deltas(self, quantity: i64) -> (i64, i64) {
        match self {
            Kind::Received | Kind::Adjusted | Kind::Returned => (quantity, 0),
            Kind::Reserved => (0, quantity),
            Kind::Released => (0, -quantity),
            Kind::Sold => (-quantity, -quantity),
        }
    }

    /// True when the number of pieces that can be ordered changes.
    pub(crate) const fn changes_availability(self) -> bool {
        !matches!(self, Kind::Sold)
    }
}

/// A change of one product's stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) product_id: ProductId,
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    /// The reservation that it belongs to.
    pub(crate) reservation_id: Option<i64>,
}

impl Change {
    /// What it does to the number of pieces that can be ordered.
    pub(crate) const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The changes of stock when `lines` of a reservation move.
pub(crate) fn changes(kind: Kind, lines: &[OrderedItem], reservation_id: i64) -> Vec<Change> {
    let change = |line: &OrderedItem| {
        let (on_hand, reserved) = kind.deltas(line.quantity.into());
        Change { product_id: line.product_id, on_hand, reserved, reservation_id: Some(reservation_id) }
    };
    lines.iter().map(change).collect()
}

/// What `changes` come to for each product, ordered by product.
pub(crate) fn summed(changes: &[Change]) -> Vec<Change> {
    let mut by_product: BTreeMap<ProductId, Change> = BTreeMap::new();
    for change in changes {
        let none = Change { on_hand: 0, reserved: 0, reservation_id: None, ..*change };
        let sum = by_product.entry(change.product_id).or_insert(none);
        sum.on_hand += change.on_hand;
        sum.reserved += change.reserved;
    }
    by_product.into_values().collect()
}

/// One line per product, ordered by product: every transaction takes its rows in the same order.
pub(crate) fn merged(lines: &[OrderedItem]) -> Vec<OrderedItem> {
    let mut by_product: BTreeMap<ProductId, u32> = BTreeMap::new();
    for line in lines {
        let quantity = by_product.entry(line.product_id).or_default();
        *quantity = quantity.saturating_add(line.quantity);
    }
    by_product.into_iter().map(|(product_id, quantity)| OrderedItem { product_id, quantity }).collect()
}

/// What is left of `lines` when `back`, one line a product, has come back; `None` when that is more than there is.
pub(crate) fn without(lines: &[OrderedItem], back: &[OrderedItem]) -> Option<Vec<OrderedItem>> {
    let mut left = lines.to_vec();
    for item in back {
        let line = left.iter_mut().find(|line| line.product_id == item.product_id)?;
        line.quantity = line.quantity.checked_sub(item.quantity)?;
    }
    left.retain(|line| line.quantity > 0);
    Some(left)
}

/// Whether all of `lines` can be held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Yes.
    Enough,
    /// No; for people.
    Short(String),
    /// A product is not known here.
    Unknown(ProductId),
}

/// Decides over merged `lines`, given what is available of each known product.
pub(crate) fn judge(lines: &[OrderedItem], available: &BTreeMap<ProductId, i64>) -> Verdict {
    for line in lines {
        match available.get(&line.product_id) {
            None => return Verdict::Unknown(line.product_id),
            Some(available) if *available < i64::from(line.quantity) => {
                return Verdict::Short(format!(
                    "product {}: {} wanted, {} available",
                    line.product_id,
                    line.quantity,
                    (*available).max(0)
                ));
            }
            Some(_) => {}
        }
    }
    Verdict::Enough
}

/// When to reorder: at a tenth of the stock, at least at five. Rounded down, because so many whole pieces or fewer are a
/// tenth or less.
pub(crate) fn threshold(stock: i64) -> i64 {
    (stock / 10).max(5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(product: i64, quantity: u32) -> OrderedItem {
        OrderedItem { product_id: ProductId(product), quantity }
    }

    #[test]
    fn lines_of_one_product_count_together() {
        assert_eq!(merged(&[line(2, 1), line(1, 3), line(2, 4)]), [line(1, 3), line(2, 5)]);
        let available = BTreeMap::from([(ProductId(1), 3), (ProductId(2), 4)]);
        assert_eq!(judge(&merged(&[line(2, 1), line(2, 3)]), &available), Verdict::Enough);
        assert!(matches!(judge(&merged(&[line(2, 2), line(2, 3)]), &available), Verdict::Short(_)));
        assert_eq!(judge(&[line(3, 1)], &available), Verdict::Unknown(ProductId(3)));
    }

    #[test]
    fn no_more_comes_back_than_went_out() {
        let sold = [line(1, 3), line(2, 5)];
        assert_eq!(without(&sold, &[line(2, 1)]), Some(vec![line(1, 3), line(2, 4)]));
        assert_eq!(without(&sold, &[line(1, 3), line(2, 5)]), Some(vec![]));
        assert_eq!(without(&sold, &[line(1, 4)]), None);
        assert_eq!(without(&sold, &[line(3, 1)]), None);
    }

    proptest! {
        /// Whatever happens to what was reserved, nothing stays reserved, and only a sale takes pieces away.
        #[test]
        fn a_reservation_ends_even(quantity in 1u32..1000) {
            let sum = |kinds: &[Kind]| kinds.iter().flat_map(|kind| changes(*kind, &[line(1, quantity)], 1))
                .fold((0, 0), |sum, change| (sum.0 + change.on_hand, sum.1 + change.reserved));
            prop_assert_eq!(sum(&[Kind::Reserved, Kind::Released]), (0, 0));
            prop_assert_eq!(sum(&[Kind::Reserved, Kind::Sold]), (-i64::from(quantity), 0));
            prop_assert_eq!(sum(&[Kind::Reserved, Kind::Sold, Kind::Returned]), (0, 0));
        }

        /// The history has every movement, the stock only its sums: both must come to the same.
        #[test]
        fn sums_lose_nothing(moves in proptest::collection::vec((1i64..5, 1u32..50, 0usize..4), 0..40)) {
            let kinds = [Kind::Reserved, Kind::Released, Kind::Sold, Kind::Returned];
            let all: Vec<_> = moves.iter().zip(1..)
                .flat_map(|((product, quantity, kind), id)| changes(kinds[*kind], &[line(*product, *quantity)], id))
                .collect();
            let sums = summed(&all);
            prop_assert!(sums.is_sorted_by(|one, next| one.product_id < next.product_id));
            for product in (1..5).map(ProductId) {
                let of = |changes: &[Change]| changes.iter().filter(|change| change.product_id == product)
                    .fold((0, 0, 0), |sum, change| {
                        (sum.0 + change.on_hand, sum.1 + change.reserved, sum.2 + change.available())
                    });
                prop_assert_eq!(of(&sums), of(&all));
            }
        }

        #[test]
        fn the_threshold_is_a_tenth_and_at_least_five(stock in 0i64..1_000_000) {
            prop_assert!(threshold(stock) >= 5);
            prop_assert!(threshold(stock) == 5 || threshold(stock) == stock / 10);
        }
    }
}
