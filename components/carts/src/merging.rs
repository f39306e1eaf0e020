//! How an anonymous cart becomes a part of a user's.
//!
//! Whoever signs in with an anonymous cart's token at hand finds its lines in the own cart: every request of a user that
//! carries such a token first takes it in, in the transaction of whatever else it does.

use std::time::Duration;

use model::Timestamp;
use store::{Durability, Transaction};
use web::{Caller, Result};

use crate::{
    DATABASE,
    cart::{Cart, Owner, fingerprint},
    carts::{self, CartView, NOT_FOUND, Visitor},
    offers::Offers,
    repository::carts as repository,
};

/// How long it is remembered who has taken a cart in: as long as an idempotency key.
const MEMORY: Duration = Duration::from_secs(24 * 60 * 60);

/// The visitor's cart with everything that belongs into it. A cart that is being checked out takes nothing in, nor does that
/// of a suspended account: what is brought along waits.
pub(crate) async fn gather(transaction: &Transaction, visitor: &Visitor) -> Result<Cart> {
    let mut cart = repository::find_in(transaction, &visitor.owner).await?.ok_or(NOT_FOUND)?;
    if let Some(token) = visitor.brings.as_ref().filter(|_| cart.checkout_key.is_none() && !cart.suspended)
        && let Some(other) = repository::find_in(transaction, &Owner::Holder(token.clone())).await?
    {
        take_in(transaction, &mut cart, other).await?;
    }
    Ok(cart)
}

/// Moves the lines of an anonymous cart into a user's. It is removed, unless there was no room for all of it.
async fn take_in(transaction: &Transaction, cart: &mut Cart, mut other: Cart) -> Result<()> {
    let now = Timestamp::now();
    let changed = cart.take_in(&mut other.lines, &mut other.discount_code);
    if changed {
        repository::save(transaction, cart, now).await?;
    }
    if other.lines.is_empty() {
        repository::remove(transaction, other.id).await?;
        if let (Owner::User(user_id), Owner::Holder(token_hash)) = (&cart.owner, &other.owner) {
            repository::note_merged(transaction, token_hash, *user_id, now).await?;
        }
        Ok(())
    } else if changed {
        repository::save(transaction, &mut other, now).await
    } else {
        Ok(())
    }
}

/// Moves what is in an anonymous cart into the user's; again, it shows the cart as it is by then. 404 when there is no
/// such cart, as when it has gone into somebody else's.
pub(crate) async fn merge(caller: &Caller, token: &str) -> Result<CartView> {
    let owner = Owner::User(caller.user_id);
    let token_hash = fingerprint(token);
    let cart = DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let mut cart = repository::find_in(transaction, &owner).await?.ok_or(NOT_FOUND)?;
            match repository::find_in(transaction, &Owner::Holder(token_hash.clone())).await? {
                Some(other) => {
                    carts::must_be_open(&cart)?;
                    take_in(transaction, &mut cart, other).await?;
                    Ok(cart)
                }
                None if repository::was_merged(transaction, &token_hash, caller.user_id).await? => Ok(cart),
                None => Err(NOT_FOUND),
            }
        })
        .await?;
    carts::view(cart, Offers::default()).await
}

/// Forgets who has taken which cart in, a bounded number of them.
pub(crate) async fn prune(now: Timestamp) -> Result<()> {
    repository::prune_merged(&DATABASE, now.before(MEMORY)).await
}
