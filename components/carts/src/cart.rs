//! The rules of a cart: what may be in it, how two become one, what it costs. Pure.

use std::collections::BTreeMap;

use model::{Currency, Money, ProductId, Timestamp, UserId, event::OrderedItem};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Different products in a cart: as many as an order may have.
pub(crate) const MOST_LINES: usize = 100;
/// Pieces of one product: as many as a line of an order may have.
pub(crate) const MOST_PIECES: u32 = 10_000;

/// Tokens are kept as this: SHA-256 is enough for a token of random bits, which nobody can guess from it.
pub(crate) fn fingerprint(token: &str) -> String {
    Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whose cart it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Of an account.
    User(UserId),
    /// Of whoever has the token with this fingerprint.
    Holder(String),
}

/// A cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cart {
    /// 0 until it has been stored.
    pub(crate) id: i64,
    pub(crate) owner: Owner,
    pub(crate) lines: Lines,
    pub(crate) discount_code: Option<String>,
    /// Rises with every change.
    pub(crate) version: i64,
    /// Of the checkout that is under way.
    pub(crate) checkout_key: Option<String>,
    /// Whether the owner's account is suspended, as far as accounts have told.
    pub(crate) suspended: bool,
    /// 0 until it has been stored.
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl Cart {
    /// An empty one that is not stored yet.
    pub(crate) fn new(owner: Owner) -> Self {
        Self {
            id: 0,
            owner,
            lines: Lines::default(),
            discount_code: None,
            version: 0,
            checkout_key: None,
            suspended: false,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    /// Takes over the lines that fit, and the code if it has none; the rest stays there. True when that has changed
    /// anything.
    pub(crate) fn take_in(&mut self, lines: &mut Lines, code: &mut Option<String>) -> bool {
        let moved = self.lines.take_in(lines);
        let adopts = self.discount_code.is_none() && code.is_some();
        if adopts {
            self.discount_code = code.take();
        }
        moved || adopts
    }
}

/// What is in a cart: a line for each product, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lines(Vec<OrderedItem>);

/// Why a cart cannot be changed as asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// There are [`MOST_LINES`] lines.
    Full,
    /// That would be more than [`MOST_PIECES`] of one product.
    TooMany,
    /// The product is not in the cart.
    Missing,
}

impl Lines {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn products(&self) -> impl Iterator<Item = ProductId> {
        self.0.iter().map(|line| line.product_id)
    }

    /// Without the products that `wanted` does not want.
    pub(crate) fn only(mut self, wanted: impl Fn(ProductId) -> bool) -> Self {
        self.0.retain(|line| wanted(line.product_id));
        self
    }

    fn place(&self, product_id: ProductId) -> Option<usize> {
        self.0.iter().position(|line| line.product_id == product_id)
    }

    /// True when a product that is not in the cart cannot be added.
    pub(crate) fn is_full_for(&self, product_id: ProductId) -> bool {
        self.0.len() >= MOST_LINES && self.place(product_id).is_none()
    }

    /// So many more of a product.
    pub(crate) fn add(&mut self, product_id: ProductId, quantity: u32) -> Result<(), Unfit> {
        match self.place(product_id) {
            Some(place) => {
                let sum = self.0[place].quantity.saturating_add(quantity);
                self.0[place].quantity = if sum <= MOST_PIECES { sum } else { return Err(Unfit::TooMany) };
            }
            None if self.0.len() >= MOST_LINES => return Err(Unfit::Full),
            None if quantity > MOST_PIECES => return Err(Unfit::TooMany),
            None => self.0.push(OrderedItem { product_id, quantity }),
        }
        Ok(())
    }

    /// Exactly so many of a product that is in the cart; 0 removes it.
    pub(crate) fn set(&mut self, product_id: ProductId, quantity: u32) -> Result<(), Unfit> {
        let place = self.place(product_id).ok_or(Unfit::Missing)?;
        match quantity {
            0 => {
                self.0.remove(place);
            }
            1..=MOST_PIECES => self.0[place].quantity = quantity,
            _ => return Err(Unfit::TooMany),
        }
        Ok(())
    }

    /// Takes so many of a product out, all of it when nobody says how many. Says how many there are when there are not so
    /// many.
    pub(crate) fn take_out(&mut self, product_id: ProductId, quantity: Option<u32>) -> Result<Lines, u32> {
        let Some(place) = self.place(product_id) else { return Err(0) };
        let there = self.0[place].quantity;
        let quantity = quantity.unwrap_or(there);
        match there.checked_sub(quantity) {
            None => return Err(there),
            Some(0) => drop(self.0.remove(place)),
            Some(left) => self.0[place].quantity = left,
        }
        Ok(Lines(vec![OrderedItem { product_id, quantity }]))
    }

    /// True when it is just so many of this product, or any number of it when nobody says how many.
    pub(crate) fn is_only(&self, product_id: ProductId, quantity: Option<u32>) -> bool {
        matches!(self.0.as_slice(), [line] if line.product_id == product_id
            && quantity.is_none_or(|quantity| quantity == line.quantity))
    }

    /// Quantities of the same product add up, but not beyond what a line may have. Pieces and lines for which there is
    /// no room stay where they are. True when any were moved.
    pub(crate) fn take_in(&mut self, other: &mut Lines) -> bool {
        let mut moved = false;
        other.0.retain_mut(|line| match self.place(line.product_id) {
            Some(place) => {
                let own = &mut self.0[place].quantity;
                let fits = line.quantity.min(MOST_PIECES.saturating_sub(*own));
                *own += fits;
                line.quantity -= fits;
                moved |= fits > 0;
                line.quantity > 0
            }
            None if self.0.len() >= MOST_LINES => true,
            None => {
                self.0.push(line.clone());
                moved = true;
                false
            }
        });
        moved
    }
}

/// A product as the catalog offers it at this moment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Offer {
    pub(crate) id: ProductId,
    name: String,
    sku: Option<String>,
    price: Money,
    currency: Currency,
}

/// A line with what the catalog says of it at this moment.
#[derive(Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CartItem)]
pub(crate) struct PricedLine {
    /// The product.
    product_id: ProductId,
    /// False when the product is no longer for sale: then nothing is known of it, and it cannot be ordered.
    available: bool,
    /// Its name.
    #[schema(example = "Stoneware mug")]
    name: Option<String>,
    /// Its seller's name for it.
    #[schema(example = "MUG-01")]
    sku: Option<String>,
    /// What a piece costs now.
    unit_price: Option<Money>,
    /// So many pieces.
    #[schema(minimum = 1, example = 2)]
    quantity: u32,
    /// What they cost together.
    subtotal: Option<Money>,
}

/// What a cart costs at this moment.
#[derive(Debug, PartialEq)]
pub(crate) struct Priced {
    pub(crate) lines: Vec<PricedLine>,
    pub(crate) pieces: u64,
    /// Of what is available; `None` when it has prices in different currencies, or costs more than the shop can count.
    pub(crate) subtotal: Option<Money>,
    /// `None` when nothing is available.
    pub(crate) currency: Option<Currency>,
}

impl Priced {
    pub(crate) fn new(lines: &Lines, offers: &BTreeMap<ProductId, Offer>) -> Self {
        let mut currency = None;
        let mut subtotal = Some(Money::ZERO);
        let priced = lines.0.iter().map(|line| {
            let offer = offers.get(&line.product_id);
            let sum = offer.and_then(|offer| offer.price.times(line.quantity));
            if let Some(offer) = offer {
                let same = *currency.get_or_insert(offer.currency) == offer.currency;
                subtotal = subtotal.filter(|_| same).and_then(|subtotal| subtotal.plus(sum?));
            }
            PricedLine {
                product_id: line.product_id,
                available: offer.is_some(),
                name: offer.map(|offer| offer.name.clone()),
                sku: offer.and_then(|offer| offer.sku.clone()),
                unit_price: offer.map(|offer| offer.price),
                quantity: line.quantity,
                subtotal: sum,
            }
        });
        let lines: Vec<_> = priced.collect();
        let pieces = lines.iter().map(|line| u64::from(line.quantity)).sum();
        Self { lines, pieces, subtotal, currency }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(of: &[(i64, u32)]) -> Lines {
        Lines(of.iter().map(|(id, quantity)| OrderedItem { product_id: ProductId(*id), quantity: *quantity }).collect())
    }

    fn offer(id: i64, minor: i64, currency: &str) -> (ProductId, Offer) {
        let (id, price) = (ProductId(id), Money::from_minor(minor));
        (id, Offer { id, name: format!("product {id}"), sku: None, price, currency: currency.parse().unwrap() })
    }

    #[test]
    fn what_is_added_twice_is_one_line() {
        let mut cart = Lines::default();
        for (product, quantity) in [(2, 1), (1, 5), (2, 3)] {
            assert_eq!(cart.add(ProductId(product), quantity), Ok(()));
        }
        assert_eq!(cart, lines(&[(2, 4), (1, 5)]));
    }

    #[test]
    fn a_cart_has_limits_and_refusals_change_nothing() {
        let mut cart = lines(&[(1, MOST_PIECES - 1)]);
        let before = cart.clone();
        assert_eq!(cart.add(ProductId(1), 2), Err(Unfit::TooMany));
        assert_eq!(cart.add(ProductId(1), u32::MAX), Err(Unfit::TooMany));
        assert_eq!(cart.add(ProductId(2), MOST_PIECES + 1), Err(Unfit::TooMany));
        assert_eq!(cart.set(ProductId(1), MOST_PIECES + 1), Err(Unfit::TooMany));
        assert_eq!(cart.set(ProductId(2), 1), Err(Unfit::Missing));
        assert_eq!(cart, before);
        assert_eq!(cart.add(ProductId(1), 1), Ok(()));
        assert_eq!(cart.set(ProductId(1), 0), Ok(()));
        assert!(cart.is_empty());

        let mut full = Lines((0..MOST_LINES).map(|id| lines(&[(i64::try_from(id).unwrap(), 1)]).0.remove(0)).collect());
        assert!(full.is_full_for(ProductId(1000)) && !full.is_full_for(ProductId(3)));
        assert_eq!(full.add(ProductId(1000), 1), Err(Unfit::Full));
        assert_eq!(full.add(ProductId(3), 1), Ok(()));
        let mut other = lines(&[(1000, 1), (3, 2)]);
        assert!(full.take_in(&mut other));
        assert_eq!(other, lines(&[(1000, 1)]), "there was no room for it, so it is still there");
        assert!(!full.take_in(&mut other));
    }

    #[test]
    fn pieces_that_a_line_cannot_hold_stay_where_they_are() {
        let (mut cart, mut other) = (lines(&[(1, MOST_PIECES - 1)]), lines(&[(1, 3), (2, 1)]));
        assert!(cart.take_in(&mut other));
        assert_eq!((&cart, &other), (&lines(&[(1, MOST_PIECES), (2, 1)]), &lines(&[(1, 2)])));
        assert!(!cart.take_in(&mut other), "there is no room");
        assert_eq!(other, lines(&[(1, 2)]));
        cart.set(ProductId(1), 5).unwrap();
        assert!(cart.take_in(&mut other));
        assert_eq!((cart, other), (lines(&[(1, 7), (2, 1)]), lines(&[])));
    }

    #[test]
    fn what_is_taken_out_was_there_and_the_rest_stays() {
        let mut cart = lines(&[(1, 3), (2, 1)]);
        assert_eq!(cart.take_out(ProductId(1), Some(2)), Ok(lines(&[(1, 2)])));
        assert_eq!(cart.take_out(ProductId(1), Some(2)), Err(1));
        assert_eq!(cart.take_out(ProductId(3), None), Err(0));
        assert_eq!(cart, lines(&[(1, 1), (2, 1)]));
        assert_eq!(cart.take_out(ProductId(1), None), Ok(lines(&[(1, 1)])));
        assert_eq!(cart, lines(&[(2, 1)]));
        let taken = lines(&[(1, 2)]);
        assert!(taken.is_only(ProductId(1), Some(2)) && taken.is_only(ProductId(1), None));
        assert!(!taken.is_only(ProductId(1), Some(1)) && !taken.is_only(ProductId(2), None));
        assert!(!lines(&[(1, 2), (2, 1)]).is_only(ProductId(1), Some(2)));
    }

    #[test]
    fn a_merged_cart_has_the_code_of_the_one_or_the_other() {
        let cart =
            |code: Option<&str>| Cart { discount_code: code.map(str::to_owned), ..Cart::new(Owner::User(UserId(1))) };
        for (own, other, merged) in [(None, Some("B"), "B"), (Some("A"), Some("B"), "A"), (Some("A"), None, "A")] {
            let (mut own, mut other) = (cart(own), cart(other));
            own.take_in(&mut other.lines, &mut other.discount_code);
            assert_eq!(own.discount_code.as_deref(), Some(merged));
        }
    }

    #[test]
    fn what_is_gone_is_shown_and_costs_nothing() {
        let offers = BTreeMap::from([offer(1, 250, "EUR"), offer(3, 1, "EUR")]);
        let priced = Priced::new(&lines(&[(1, 3), (2, 7), (3, 1)]), &offers);
        let available: Vec<_> = priced.lines.iter().map(|line| line.available).collect();
        assert_eq!(available, [true, false, true]);
        assert_eq!((priced.subtotal, priced.pieces), (Some(Money::from_minor(751)), 11));
        assert_eq!(priced.lines[1].subtotal, None);
        assert_eq!(Priced::new(&Lines::default(), &offers).subtotal, Some(Money::ZERO));
    }

    #[test]
    fn what_cannot_be_added_up_has_no_subtotal() {
        let offers = BTreeMap::from([offer(1, 250, "EUR"), offer(2, 250, "USD"), offer(3, Money::MAX.minor(), "EUR")]);
        for unsummable in [&[(1, 1), (2, 1)][..], &[(3, 2)], &[(3, 1), (1, 1)], &[(3, 2), (1, 1)]] {
            assert_eq!(Priced::new(&lines(unsummable), &offers).subtotal, None, "{unsummable:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_out_and_comes_back_is_what_was_there(
            of in prop::collection::btree_map(0i64..5, 1u32..=MOST_PIECES, 0..5),
            product in 0i64..5,
            quantity in prop::option::of(1u32..=MOST_PIECES),
        ) {
            let before = lines(&of.iter().map(|(id, count)| (*id, *count)).collect::<Vec<_>>());
            let mut cart = before.clone();
            match cart.take_out(ProductId(product), quantity) {
                Ok(mut taken) => {
                    prop_assert!(taken.is_only(ProductId(product), quantity) && !taken.is_empty());
                    prop_assert!(cart.take_in(&mut taken) && taken.is_empty());
                    let sorted = |lines: &Lines| lines.0.iter().map(|line| (line.product_id, line.quantity)).collect::<BTreeMap<_, _>>();
                    prop_assert_eq!(sorted(&cart), sorted(&before));
                }
                Err(there) => {
                    prop_assert_eq!(there, of.get(&product).copied().unwrap_or(0));
                    prop_assert_eq!(cart, before);
                }
            }
        }

        #[test]
        fn merging_moves_what_finds_room_and_loses_no_piece(
            one in prop::collection::btree_map(0i64..150, 1u32..=MOST_PIECES, 0..=MOST_LINES),
            two in prop::collection::btree_map(0i64..150, 1u32..=MOST_PIECES, 0..=MOST_LINES),
        ) {
            let of = |map: &BTreeMap<i64, u32>| lines(&map.iter().map(|(id, count)| (*id, *count)).collect::<Vec<_>>());
            let (mut cart, mut other) = (of(&one), of(&two));
            cart.take_in(&mut other);
            prop_assert!(cart.0.len() <= MOST_LINES);
            for id in 0..150 {
                let find = |lines: &Lines| lines.place(ProductId(id)).map_or(0, |place| lines.0[place].quantity);
                let count = |map: &BTreeMap<i64, u32>| map.get(&id).copied().unwrap_or(0);
                prop_assert_eq!(find(&cart) + find(&other), count(&one) + count(&two), "product {}", id);
                let full = if find(&cart) == 0 { cart.0.len() == MOST_LINES } else { find(&cart) == MOST_PIECES };
                prop_assert!(find(&cart) <= MOST_PIECES && (full || find(&other) == 0), "product {}", id);
            }
        }
    }
}
