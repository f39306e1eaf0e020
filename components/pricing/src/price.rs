//! Exact arithmetic in minor units. Pure.

use crate::wit::exports::bodega::pricing::rules::{Discount, Line, Quote, Rates, Reduction, Request};

/// Hundredths of a percent in the whole.
const WHOLE: u128 = 10_000;

/// What the request costs; `None` beyond what 64 bits can hold.
pub(crate) fn price(request: &Request) -> Option<Quote> {
    let lines = request.lines.iter().map(cost).collect::<Option<Vec<_>>>()?;
    let goods = lines.iter().try_fold(0u64, |sum, line| sum.checked_add(*line))?;
    let discount = request.discount.as_ref().map_or(Some(0), |discount| taken_off(discount, goods))?;
    let discounted = goods - discount;
    let shipping = shipping(&request.rates, discounted);
    let taxed = discounted.checked_add(shipping)?;
    let tax = part(taxed, request.rates.tax.into())?;
    Some(Quote {
        currency: request.currency.clone(),
        line_discounts: spread(discount, &lines, goods),
        discount,
        shipping,
        tax,
        total: taxed.checked_add(tax)?,
    })
}

fn cost(line: &Line) -> Option<u64> {
    line.unit_price.checked_mul(line.quantity.into())
}

/// So many hundredths of a percent of an amount. A half is rounded away from zero.
fn part(amount: u64, hundredths_of_percent: u128) -> Option<u64> {
    u64::try_from((u128::from(amount) * hundredths_of_percent + WHOLE / 2) / WHOLE).ok()
}

/// Never more than the goods cost.
fn taken_off(discount: &Discount, goods: u64) -> Option<u64> {
    if goods < discount.minimum {
        return Some(0);
    }
    let wanted = match discount.reduction {
        Reduction::Percentage(percentage) => part(goods, percentage.into())?,
        Reduction::Fixed(amount) => amount,
    };
    Some(wanted.min(goods))
}

fn shipping(rates: &Rates, goods: u64) -> u64 {
    let free = rates.shipping_free_from > 0 && goods >= rates.shipping_free_from;
    if free { 0 } else { rates.shipping_flat }
}

/// Divides `discount` among lines in proportion to their cost: each gets its share rounded down, and what is left goes,
/// one minor unit each, to those who lost most by that. So the parts add up, and none is more than its line.
fn spread(discount: u64, lines: &[u64], goods: u64) -> Vec<u64> {
    if discount == 0 {
        return vec![0; lines.len()];
    }
    let goods = u128::from(goods.max(1));
    let exact = |line: &u64| u128::from(*line) * u128::from(discount);
    // A share is at most its line, so it fits.
    let mut parts: Vec<_> = lines.iter().map(|line| u64::try_from(exact(line) / goods).unwrap_or(*line)).collect();
    let mut by_loss: Vec<_> = (0..lines.len()).collect();
    by_loss.sort_by_key(|place| std::cmp::Reverse(lines.get(*place).map_or(0, |line| exact(line) % goods)));
    let mut left = discount - parts.iter().sum::<u64>();
    for place in by_loss {
        if left == 0 {
            break;
        }
        if let Some(part) = parts.get_mut(place) {
            *part += 1;
            left -= 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FREE: Rates = Rates { tax: 0, shipping_flat: 0, shipping_free_from: 0 };

    fn request(lines: &[(u32, u64)], reduction: Option<Reduction>, minimum: u64, rates: Rates) -> Request {
        let line = |(id, (quantity, unit_price)): (u64, &(u32, u64))| Line {
            product_id: id,
            quantity: *quantity,
            unit_price: *unit_price,
        };
        Request {
            currency: "EUR".to_owned(),
            lines: (1..).zip(lines).map(line).collect(),
            discount: reduction.map(|reduction| Discount { code: "CODE".to_owned(), reduction, minimum }),
            shipping_country: None,
            rates,
        }
    }

    fn total(lines: &[(u32, u64)], reduction: Option<Reduction>, rates: Rates) -> (u64, u64, u64, u64) {
        let quote = price(&request(lines, reduction, 0, rates)).unwrap();
        (quote.discount, quote.shipping, quote.tax, quote.total)
    }

    #[test]
    fn without_rules_it_costs_what_the_goods_cost() {
        assert_eq!(total(&[(3, 1999), (1, 1)], None, FREE), (0, 0, 0, 5998));
    }

    #[test]
    fn a_half_is_rounded_away_from_zero_once_on_the_whole() {
        // 10% of 0.05 is half a cent.
        assert_eq!(total(&[(1, 5)], Some(Reduction::Percentage(1000)), FREE), (1, 0, 0, 4));
        assert_eq!(total(&[(1, 4)], Some(Reduction::Percentage(1000)), FREE), (0, 0, 0, 4));
        // Line by line each of these would lose its half cent, or gain one.
        assert_eq!(total(&[(1, 5), (1, 5), (1, 5)], Some(Reduction::Percentage(1000)), FREE), (2, 0, 0, 13));
        let rates = Rates { tax: 1900, ..FREE };
        assert_eq!(total(&[(1, 50)], None, rates), (0, 0, 10, 60), "19% of 0.50 is 9.5 cents");
        assert_eq!(total(&[(1, 100)], Some(Reduction::Percentage(1)), FREE), (0, 0, 0, 100), "0.01%");
    }

    #[test]
    fn a_discount_is_never_more_than_the_goods() {
        let rates = Rates { shipping_flat: 490, ..FREE };
        assert_eq!(total(&[(1, 300)], Some(Reduction::Fixed(1000)), rates), (300, 490, 0, 490));
        assert_eq!(total(&[(2, 300)], Some(Reduction::Percentage(10_000)), FREE), (600, 0, 0, 0));
    }

    #[test]
    fn a_discount_has_a_minimum() {
        let quote = |goods| price(&request(&[(1, goods)], Some(Reduction::Fixed(100)), 1000, FREE)).unwrap();
        assert_eq!((quote(999).discount, quote(1000).discount), (0, 100));
    }

    #[test]
    fn shipping_is_free_from_what_the_goods_cost_after_the_discount() {
        let rates = Rates { shipping_flat: 490, shipping_free_from: 1000, tax: 1000 };
        assert_eq!(total(&[(1, 999)], None, rates), (0, 490, 149, 1638));
        assert_eq!(total(&[(1, 1000)], None, rates), (0, 0, 100, 1100));
        assert_eq!(total(&[(1, 1000)], Some(Reduction::Fixed(1)), rates), (1, 490, 149, 1638));
    }

    #[test]
    fn parts_go_to_those_who_lost_most_by_rounding() {
        let quote = price(&request(&[(1, 100), (1, 100), (1, 100)], Some(Reduction::Fixed(100)), 0, FREE)).unwrap();
        assert_eq!(quote.line_discounts, [34, 33, 33]);
        let quote = price(&request(&[(1, 1), (1, 99)], Some(Reduction::Fixed(50)), 0, FREE)).unwrap();
        assert_eq!(quote.line_discounts, [1, 49]);
    }

    #[test]
    fn what_cannot_be_counted_has_no_price() {
        assert!(price(&request(&[(2, u64::MAX)], None, 0, FREE)).is_none());
        assert!(price(&request(&[(1, u64::MAX), (1, 1)], None, 0, FREE)).is_none());
        assert!(price(&request(&[(1, u64::MAX)], None, 0, Rates { tax: 1, ..FREE })).is_none());
    }

    fn reduction() -> impl Strategy<Value = Option<Reduction>> {
        prop_oneof![
            Just(None),
            (0..=10_000u32).prop_map(|percentage| Some(Reduction::Percentage(percentage))),
            (0..1_000_000u64).prop_map(|amount| Some(Reduction::Fixed(amount))),
        ]
    }

    proptest! {
        #[test]
        fn the_parts_add_up(
            lines in prop::collection::vec((1..1000u32, 0..1_000_000u64), 1..20),
            reduction in reduction(), minimum in 0..100_000u64,
            tax in 0..10_000u32, shipping_flat in 0..10_000u64, shipping_free_from in 0..100_000u64,
        ) {
            let rates = Rates { tax, shipping_flat, shipping_free_from };
            let request = request(&lines, reduction, minimum, rates);
            let quote = price(&request).unwrap();
            let goods: u64 = lines.iter().map(|(quantity, price)| u64::from(*quantity) * price).sum();
            prop_assert_eq!(quote.line_discounts.iter().sum::<u64>(), quote.discount);
            for (part, (quantity, price)) in quote.line_discounts.iter().zip(&lines) {
                prop_assert!(*part <= u64::from(*quantity) * price);
            }
            prop_assert!(quote.discount <= goods);
            prop_assert_eq!(quote.total, goods - quote.discount + quote.shipping + quote.tax);
            if let Some(Discount { reduction: Reduction::Percentage(percentage), .. }) = request.discount
                && goods >= minimum
            {
                let exact = goods as f64 * f64::from(percentage) / 10_000.0;
                prop_assert!((quote.discount as f64 - exact).abs() <= 0.500_001);
            }
        }
    }
}
