//! What the catalog asks for products at this moment.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use model::{Currency, ProductId};
use web::{Error, Result, client, variable};

use crate::cart::Offer;

thread_local! {
    static CURRENCY: Cell<Option<Currency>> = const { Cell::new(None) };
}

/// Reads the currency of the shop. Fails when the shop cannot handle it.
pub(crate) async fn read_currency() -> Result<()> {
    let code = variable::parsed("currency", "EUR".to_owned()).await?;
    let currency = code.parse().map_err(|error| Error::Internal(format!("variable currency: `{code}` {error}")))?;
    CURRENCY.set(Some(currency));
    Ok(())
}

/// The currency of discounts, and of carts with nothing in them.
pub(crate) fn currency() -> Result<Currency> {
    CURRENCY.get().ok_or_else(|| Error::Internal("the currency was asked for before the instance had started".into()))
}

/// What the catalog has been asked within one request: for all products of a cart at once.
#[derive(Default)]
pub(crate) struct Offers {
    asked: BTreeSet<ProductId>,
    known: BTreeMap<ProductId, Offer>,
}

impl Offers {
    /// Asks for those of these products that have not been asked for yet; for nothing when there are none.
    pub(crate) async fn cover(&mut self, products: impl Iterator<Item = ProductId>) -> Result<()> {
        let new: BTreeSet<_> = products.filter(|id| !self.asked.contains(id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = new.iter().map(ToString::to_string).collect();
        let path = format!("/internal/products?ids={}", ids.join(","));
        let offers: Option<Vec<Offer>> = client::get("catalog", &path).await?;
        let offers = offers.ok_or(Error::Unavailable("catalog".into()))?;
        self.known.extend(offers.into_iter().map(|offer| (offer.id, offer)));
        self.asked.extend(new);
        Ok(())
    }

    /// Those that are for sale.
    pub(crate) fn known(&self) -> &BTreeMap<ProductId, Offer> {
        &self.known
    }
}
