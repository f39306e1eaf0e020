//! Rules of prices that a shop brings itself: every second piece of a product is free, shipping costs 15.00 to where
//! nobody said, and nothing is shipped to Antarctica. Some quantities, and the code NONSENSE, make it answer nonsense.

use spin_sdk::wit_bindgen;

mod wit {
    #![allow(missing_docs)]
    super::wit_bindgen::generate!({
        path: "../../../wit/pricing",
        world: "pricing-rules",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
    use super::Boutique;
    export!(Boutique);
}
use wit::exports::bodega::pricing::rules::{Guest, Line, Quote, Refusal, Request};

struct Boutique;

/// Quantities that bring out a mistake.
const WRONG_SUM: u32 = 13;
const WRONG_CURRENCY: u32 = 14;
const MISSING_LINE: u32 = 15;
/// More is taken off than it costs, so that the total is below zero.
const NEGATIVE: u32 = 16;
/// Adds up in 64 bits, and only there.
const OVERFLOW: u32 = 17;
/// No answer at all.
const TRAP: u32 = 18;

impl Guest for Boutique {
    async fn price(request: Request) -> Result<Quote, Refusal> {
        if request.shipping_country.as_deref() == Some("AQ") {
            let field = "shippingAddress.country".to_owned();
            return Err(Refusal { field, message: "nothing is shipped to Antarctica".to_owned() });
        }
        let goods: u64 = request.lines.iter().map(|line| line.unit_price * u64::from(line.quantity)).sum();
        let free = |line: &Line| line.unit_price * u64::from(line.quantity / 2);
        let line_discounts: Vec<_> = request.lines.iter().map(free).collect();
        let discount = line_discounts.iter().sum();
        let shipping = if request.shipping_country.is_some() { 0 } else { 1500 };
        let total = goods - discount + shipping;
        let quote = Quote { currency: request.currency, line_discounts, discount, shipping, tax: 0, total };
        if request.discount.is_some_and(|discount| discount.code == "NONSENSE") {
            return Ok(Quote { discount: 1, ..quote });
        }
        Ok(match request.lines.first().map(|line| line.quantity) {
            Some(WRONG_SUM) => Quote { total: total - 1, ..quote },
            Some(WRONG_CURRENCY) => Quote { currency: "XTS".to_owned(), ..quote },
            Some(MISSING_LINE) => Quote { line_discounts: Vec::new(), ..quote },
            Some(NEGATIVE) => {
                let discount = goods + shipping + 1;
                Quote { line_discounts: vec![discount], discount, total: 0_u64.wrapping_sub(1), ..quote }
            }
            Some(OVERFLOW) => Quote { tax: 0_u64.wrapping_sub(total), total: 0, ..quote },
            Some(TRAP) => std::process::abort(),
            _ => quote,
        })
    }
}
