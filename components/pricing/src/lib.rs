//! The rules of prices that a shop has unless it brings its own: discount codes, one price for shipping, one tax.
//!
//! A code takes a percentage or an amount off the goods. Shipping costs `shipping_flat`, and nothing from
//! `shipping_free_from` on (of the goods after the discount). `tax_percent` comes on top of goods and shipping.

mod price;

use spin_sdk::wit_bindgen;

mod wit {
    #![allow(missing_docs)]
    super::wit_bindgen::generate!({
        path: "../../wit/pricing",
        world: "pricing-rules",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
    use super::Pricing;
    export!(Pricing);
}
use wit::exports::bodega::pricing::rules::{Guest, Quote, Refusal, Request};

struct Pricing;

impl Guest for Pricing {
    async fn price(request: Request) -> Result<Quote, Refusal> {
        price::price(&request)
            .ok_or_else(|| Refusal { field: "items".to_owned(), message: "cost more than can be counted".to_owned() })
    }
}
