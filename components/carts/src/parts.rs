//! How a part of a cart becomes an order: so many of one product, while the rest stays what it is.
//!
//! 1. One transaction takes the pieces out of the cart and writes them down as a checkout. Nothing is frozen: each piece is
//!    in the cart or in a checkout, so what is left can be changed and ordered meanwhile.
//! 2. and 3. are those of `checkouts.rs`, also after a crash. A refusal gives the pieces back, as a failed order does
//!    (`returns.rs`).
//!
//! The key is that of whoever asks, and also names the order. Asked again, it is the same order, or the same refusal: orders
//! have promised by then that nothing is placed under that key any more.

use model::{ProductId, Timestamp, UserId};
use serde_json::value::RawValue;
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Error, Result};

use crate::{
    DATABASE,
    cart::Owner,
    carts,
    checkout::{Checkout, Details, GRACE, Status},
    checkouts::{self, finish},
    repository::{carts as cart_repository, checkouts as repository},
};

/// What is to be ordered of a user's cart.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) key: Uuid,
    pub(crate) user_id: UserId,
    pub(crate) product_id: ProductId,
    /// All that is in the cart, when nobody says how many.
    pub(crate) quantity: Option<u32>,
}

/// Orders a part of a user's cart: the order as orders show it. 422 when it is not in the cart, 403 when the user may not
/// order. Whatever orders refuse is answered as they say it, and the pieces are in the cart again.
pub(crate) async fn check_out(part: &Part) -> Result<Box<RawValue>> {
    let beginning = async |transaction: &Transaction| begin(transaction, part).await;
    let begun = DATABASE.transaction(Durability::Durable, beginning).await?;
    let ended = match begun.status {
        Status::Open => finish(&begun, None).await?,
        Status::Placed | Status::Failed | Status::Refused => begun,
    };
    match (ended.status, &ended.answer) {
        (Status::Refused, None) => {
            Err(Error::Conflict("checkout-given-up", "this order was given up: order anew, under another key".into()))
        }
        _ => checkouts::order(ended),
    }
}

/// Takes the part out of the cart, or finds that this was done before.
async fn begin(transaction: &Transaction, part: &Part) -> Result<Checkout> {
    let key = part.key.to_string();
    if let Some(before) = repository::find_in(transaction, &key).await? {
        let same = before.user_id == part.user_id && before.lines.is_only(part.product_id, part.quantity);
        let sentence = "something else was ordered under this key";
        return if same { Ok(before) } else { Err(Error::Conflict("checkout-taken", sentence.into())) };
    }
    let owner = Owner::User(part.user_id);
    let mut cart = cart_repository::find_in(transaction, &owner).await?.ok_or(carts::NOT_FOUND)?;
    carts::must_be_open(&cart)?;
    let lines = cart.lines.take_out(part.product_id, part.quantity).map_err(|there| match there {
        0 => Error::invalid("productId", "product is not in the cart"),
        there => Error::invalid("quantity", format!("must be at most {there}: there are no more in the cart")),
    })?;
    let now = Timestamp::now();
    cart_repository::save(transaction, &mut cart, now).await?;
    let checkout = Checkout::open(key, part.user_id, lines, Details::default());
    repository::insert(transaction, &checkout, now.after(GRACE), now).await?;
    Ok(checkout)
}
