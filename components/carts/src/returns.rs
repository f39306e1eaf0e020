//! What comes back when the order that a cart has become fails, for want of stock or money. So does a part of a cart that
//! orders refuse: it was taken out of the cart before they were asked.
//!
//! Its lines come into the customer's cart once, by the rules by which an anonymous cart does. A cart that is being
//! ordered takes nothing in, and a full one not everything: what finds no room is owed, and comes when the next checkout
//! of the customer has ended. So it does when an order fails before its own checkout has heard of it. Its code comes with
//! lines only, and once: the customer may have removed it since.

use model::{Timestamp, UserId};
use store::Transaction;
use uuid::Uuid;
use web::Result;

use crate::{
    cart::Owner,
    carts,
    checkout::{Owed, Status},
    discounts,
    repository::{carts as cart_repository, checkouts as repository, discounts as uses},
};

/// The order that was placed under this key has failed. Nothing, unless it was a cart and its customer is still there.
pub(crate) async fn order_failed(transaction: &Transaction, key: Uuid, now: Timestamp) -> Result<()> {
    let key = key.to_string();
    let Some(checkout) = repository::fail(transaction, &key, now).await? else { return Ok(()) };
    // A failed order was never paid. Its use is released by an event of its own, but this cart may want the code now.
    uses::release(transaction, &key, now).await?;
    match checkout.status {
        Status::Open => Ok(()),
        Status::Placed | Status::Failed | Status::Refused => put_back(transaction, checkout.user_id, now).await,
    }
}

/// Puts what a user is owed into the cart, as far as there is room.
pub(crate) async fn put_back(transaction: &Transaction, user_id: UserId, now: Timestamp) -> Result<()> {
    let owner = Owner::User(user_id);
    let mut cart = cart_repository::find_in(transaction, &owner).await?.ok_or(carts::NOT_FOUND)?;
    if cart.checkout_key.is_some() {
        return Ok(());
    }
    let mut changed = false;
    // One, unless another order of the customer has failed while the cart was being ordered.
    for Owed { key, mut lines, discount_code } in repository::owed_to(transaction, user_id).await? {
        if !cart.lines.take_in(&mut lines) {
            continue;
        }
        changed = true;
        let rest = match discount_code {
            Some(code) if cart.discount_code.is_none() && discounts::is_usable_in(transaction, &code, now).await? => {
                cart.discount_code = Some(code);
                None
            }
            other => other,
        };
        repository::owe(transaction, &key, &lines, rest.as_deref()).await?;
    }
    if changed { cart_repository::save(transaction, &mut cart, now).await } else { Ok(()) }
}
