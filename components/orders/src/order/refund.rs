//! What a refund is worth. Pure.

use model::{Money, ProductId, event::OrderedItem};

use super::Line;

/// What an order was sold for, and what of it is still the shop's.
#[derive(Debug)]
pub(crate) struct Sold<'a> {
    pub(crate) lines: &'a [Line],
    pub(crate) shipping: Money,
    pub(crate) tax: Money,
    /// Neither given back nor on its way back.
    pub(crate) left: Money,
}

/// A refund of the same order that was asked for before.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) items: Vec<OrderedItem>,
    /// The money did not go back.
    pub(crate) failed: bool,
    /// The pieces went back into stock, whatever happened to the money.
    pub(crate) restocked: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// The pieces that it is for; may be none.
    pub(crate) items: &'a [OrderedItem],
    /// How much; else what the pieces cost, or, without pieces, all that is left.
    pub(crate) amount: Option<Money>,
    /// Whether the pieces go back into stock.
    pub(crate) restock: bool,
}

/// Why a refund cannot be made as asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotRefundable {
    /// The item at this position is not in the order.
    NoSuchItem(usize),
    /// So many pieces of the item at this position can still come back.
    TooMany(usize, u32),
    /// It would be nothing.
    Nothing,
    /// More than this is not left.
    TooMuch(Money),
}

/// How much goes back.
pub(crate) fn claim(sold: &Sold<'_>, past: &[Past], claim: Claim<'_>) -> Result<Money, NotRefundable> {
    let mut worth = 0;
    let mut asked: Vec<OrderedItem> = Vec::new();
    for (position, item) in claim.items.iter().enumerate() {
        let line = sold.lines.iter().position(|line| line.product_id == item.product_id);
        let (place, line) =
            line.and_then(|place| Some((place, sold.lines.get(place)?))).ok_or(NotRefundable::NoSuchItem(position))?;
        let here = count(&asked, item.product_id);
        let refunded = here + counted(past.iter().filter(|past| !past.failed), item.product_id);
        let restocked = here + counted(past.iter().filter(|past| past.restocked), item.product_id);
        let back = if claim.restock { refunded.max(restocked) } else { refunded };
        let left = line.quantity.saturating_sub(back);
        if item.quantity > left {
            return Err(NotRefundable::TooMany(position, left));
        }
        let pieces = |count: u32| value(sold, place) * i128::from(count) / i128::from(line.quantity.max(1));
        // Piece by piece or all at once: it adds up to the same.
        worth += pieces(refunded + item.quantity) - pieces(refunded);
        asked.push(item.clone());
    }
    let worth = i64::try_from(worth).map_or(Money::MAX, Money::from_minor);
    let amount = claim.amount.unwrap_or(if claim.items.is_empty() { sold.left } else { worth });
    if amount <= Money::ZERO {
        Err(NotRefundable::Nothing)
    } else if amount > sold.left {
        Err(NotRefundable::TooMuch(sold.left))
    } else {
        Ok(amount)
    }
}

fn count(items: &[OrderedItem], product: ProductId) -> u32 {
    items.iter().filter(|item| item.product_id == product).map(|item| item.quantity).sum()
}

fn counted<'a>(past: impl Iterator<Item = &'a Past>, product: ProductId) -> u32 {
    past.map(|past| count(&past.items, product)).sum()
}

fn net(line: &Line) -> i128 {
    i128::from(line.total.minor() - line.discount.minor())
}

/// What a line cost in the end, in minor units: after its discount, with its part of the tax on the goods.
fn value(sold: &Sold<'_>, place: usize) -> i128 {
    let goods: i128 = sold.lines.iter().map(net).sum();
    let taxed = goods + i128::from(sold.shipping.minor());
    if goods == 0 || taxed == 0 {
        return 0;
    }
    let tax = i128::from(sold.tax.minor()) * goods / taxed;
    // The tax on everything up to a line, less that on everything before it: all lines together have all of it.
    let before: i128 = sold.lines.iter().take(place).map(net).sum();
    let own = sold.lines.get(place).map_or(0, net);
    own + tax * (before + own) / goods - tax * before / goods
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::order::draft::tests::line;

    fn item(product: i64, quantity: u32) -> OrderedItem {
        OrderedItem { product_id: ProductId(product), quantity }
    }

    fn items(items: &[OrderedItem], restock: bool) -> Claim<'_> {
        Claim { items, amount: None, restock }
    }

    fn past(items: &[OrderedItem], failed: bool, restocked: bool) -> Past {
        Past { items: items.to_vec(), failed, restocked }
    }

    /// Two lines of 3 × 3.33 and 1 × 10.00 with 10% off, and shipping of 5.00.
    fn lines() -> [Line; 2] {
        [line(1, 3, 999, 100), line(2, 1, 1000, 100)]
    }

    fn sold(lines: &[Line], left: i64) -> Sold<'_> {
        Sold { lines, shipping: Money::from_minor(500), tax: Money::ZERO, left: Money::from_minor(left) }
    }

    fn cents(amount: i64) -> Result<Money, NotRefundable> {
        Ok(Money::from_minor(amount))
    }

    #[test]
    fn pieces_are_worth_what_was_paid_for_them() {
        let lines = lines();
        let sold = sold(&lines, 2299);
        assert_eq!(claim(&sold, &[], items(&[item(2, 1)], false)), cents(900));
        assert_eq!(claim(&sold, &[], items(&[item(1, 1)], false)), cents(299));
        assert_eq!(claim(&sold, &[past(&[item(1, 1)], false, false)], items(&[item(1, 2)], false)), cents(600));
        assert_eq!(claim(&sold, &[], items(&[item(1, 3), item(2, 1)], false)), cents(1799));
        assert_eq!(claim(&sold, &[], items(&[item(1, 1), item(1, 2)], false)), cents(899), "named twice");
        assert_eq!(claim(&sold, &[], items(&[], false)), cents(2299), "all that is left");
        let taxed = Sold { tax: Money::from_minor(230), ..sold };
        // 1799 of 2299 are goods: 179 of the tax.
        assert_eq!(claim(&taxed, &[], items(&[item(1, 3), item(2, 1)], false)), cents(1799 + 179));
    }

    #[test]
    fn what_cannot_go_back_says_why() {
        let lines = lines();
        let all = sold(&lines, 2299);
        assert_eq!(claim(&all, &[], items(&[item(2, 1), item(3, 1)], false)), Err(NotRefundable::NoSuchItem(1)));
        assert_eq!(claim(&all, &[], items(&[item(2, 2)], false)), Err(NotRefundable::TooMany(0, 1)));
        assert_eq!(claim(&all, &[], items(&[item(1, 2), item(1, 2)], false)), Err(NotRefundable::TooMany(1, 1)));
        let amount = |amount: i64| Claim { items: &[], amount: Some(Money::from_minor(amount)), restock: false };
        assert_eq!(claim(&all, &[], amount(2299)), cents(2299));
        assert_eq!(claim(&all, &[], amount(2300)), Err(NotRefundable::TooMuch(Money::from_minor(2299))));
        assert_eq!(claim(&all, &[], amount(0)), Err(NotRefundable::Nothing));
        assert_eq!(claim(&sold(&lines, 0), &[], items(&[], false)), Err(NotRefundable::Nothing));
        let little = sold(&lines, 899);
        assert_eq!(
            claim(&little, &[], items(&[item(2, 1)], false)),
            Err(NotRefundable::TooMuch(Money::from_minor(899)))
        );
    }

    #[test]
    fn money_that_stayed_can_be_asked_for_again_but_pieces_come_back_once() {
        let lines = lines();
        let sold = sold(&lines, 2299);
        let failed = past(&[item(1, 3)], true, true);
        assert_eq!(claim(&sold, std::slice::from_ref(&failed), items(&[item(1, 3)], false)), cents(899));
        assert_eq!(claim(&sold, &[failed], items(&[item(1, 1)], true)), Err(NotRefundable::TooMany(0, 0)));
    }

    #[test]
    fn what_cost_nothing_is_worth_nothing() {
        let lines = [line(1, 2, 1000, 1000)];
        let free = Sold { shipping: Money::ZERO, ..sold(&lines, 0) };
        assert_eq!(claim(&free, &[], items(&[item(1, 1)], false)), Err(NotRefundable::Nothing));
    }

    proptest! {
        #[test]
        fn piece_by_piece_adds_up_to_the_goods_and_their_tax(
            parts in prop::collection::vec((1..6u32, 1..10_000i64, 0..=100i64), 1..5),
            shipping in 0..1000i64, tax in 0..5000i64,
        ) {
            let lines: Vec<_> = (1..)
                .zip(&parts)
                .map(|(product, (quantity, total, percent))| line(product, *quantity, *total, total * percent / 100))
                .collect();
            let (shipping, tax) = (Money::from_minor(shipping), Money::from_minor(tax));
            let sold = Sold { lines: &lines, shipping, tax, left: Money::MAX };
            let mut before = Vec::new();
            let mut sum = 0;
            for line in lines.iter().rev() {
                for _ in 0..line.quantity {
                    let one = [OrderedItem { product_id: line.product_id, quantity: 1 }];
                    match claim(&sold, &before, items(&one, true)) {
                        Ok(amount) => sum += amount.minor(),
                        Err(why) => prop_assert_eq!(why, NotRefundable::Nothing),
                    }
                    before.push(past(&one, false, true));
                }
            }
            let goods: i128 = lines.iter().map(net).sum();
            let all = goods + i128::from(shipping.minor());
            let tax = if all == 0 { 0 } else { i128::from(tax.minor()) * goods / all };
            prop_assert_eq!(i128::from(sum), goods + tax);
        }
    }
}
