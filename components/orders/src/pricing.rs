//! The rules of prices: whichever component `spin.toml` names for the contract of `wit/pricing`.

use std::cell::Cell;

use model::{Address, Money};
use spin_sdk::wit_bindgen;
use web::{Error, Result, Service, variable};

use crate::{
    Orders,
    order::{Draft, Priced, Terms, TermsKind},
};

mod wit {
    #![allow(missing_docs)]
    super::wit_bindgen::generate!({
        path: "../../wit/pricing",
        world: "pricing",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}
pub(crate) use wit::bodega::pricing::rules::Quote;
use wit::bodega::pricing::rules::{Discount, Line, Rates, Reduction, Request, price};

thread_local! {
    static RATES: Cell<Rates> = const { Cell::new(Rates { tax: 0, shipping_flat: 0, shipping_free_from: 0 }) };
}

/// Reads the rates that the rules get with every request: once an instance, because each costs a call to the host.
pub(crate) async fn read_rates() -> Result<()> {
    let rates = Rates {
        tax: rate("tax_percent").await?,
        shipping_flat: rate("shipping_flat").await?,
        shipping_free_from: rate("shipping_free_from").await?,
    };
    RATES.set(rates);
    Ok(())
}

/// A rate with at most two decimals, in hundredths.
async fn rate<T: TryFrom<i64>>(name: &str) -> Result<T> {
    let value: Money = variable::limit(Orders::NAME, name).await?;
    T::try_from(value.minor()).map_err(|_| Error::Internal(format!("{name}: `{value}` is not valid")))
}

/// The rules have answered what cannot be. That is a mistake of the shop, but a definite answer to the customer: asked
/// again, the rules would say the same, and nothing is placed.
fn not_priceable(why: &str) -> Error {
    eprintln!("error: pricing: {why}");
    Error::Conflict("not-priceable", "the shop cannot say what this costs: nothing was ordered".into())
}

/// Adds discount, shipping and tax. What the rules answer is checked: 409 on a wrong quote.
pub(crate) async fn priced(draft: Draft, terms: Option<&Terms>, ship_to: Option<&Address>) -> Result<Priced> {
    let request = request(&draft, terms, ship_to).ok_or_else(|| not_priceable("a negative amount"))?;
    match price(request).await {
        Ok(quote) => draft.priced(&quote).map_err(|wrong| not_priceable(&format!("wrong quote: {wrong}"))),
        Err(refusal) => Err(Error::invalid(refusal.field, refusal.message)),
    }
}

/// `None` when an amount is negative.
fn request(draft: &Draft, terms: Option<&Terms>, ship_to: Option<&Address>) -> Option<Request> {
    let minor = |money: Money| u64::try_from(money.minor()).ok();
    let line = |(product_id, quantity, unit_price): (i64, u32, Money)| {
        Some(Line { product_id: u64::try_from(product_id).ok()?, quantity, unit_price: minor(unit_price)? })
    };
    let discount = |terms: &Terms| {
        let reduction = match terms.kind {
            TermsKind::Percentage => Reduction::Percentage(u32::try_from(terms.value.minor()).ok()?),
            TermsKind::Fixed => Reduction::Fixed(minor(terms.value)?),
        };
        let minimum = minor(terms.minimum.unwrap_or(Money::ZERO))?;
        Some(Discount { code: terms.code.clone(), reduction, minimum })
    };
    Some(Request {
        currency: draft.currency.to_string(),
        lines: draft.prices().map(line).collect::<Option<_>>()?,
        discount: match terms {
            Some(terms) => Some(discount(terms)?),
            None => None,
        },
        shipping_country: ship_to.map(|address| address.country.clone()),
        rates: RATES.get(),
    })
}
