//! The use cases of a checkout: how a cart becomes an order once.
//!
//! 1. One transaction freezes the cart's lines under a key, and with that the cart: it does not change any more.
//! 2. Orders are asked for an order under the key. Asked again, they answer with the same order.
//! 3. One transaction writes down how that ended: the cart is gone, for it is an order; or it is its owner's again.
//!    What comes back when the order fails is in `returns.rs`.
//!
//! A part of a cart is ordered in the same three steps, but that 1 takes it out of the cart: `parts.rs`.
//!
//! Whoever dies in between is followed by a repetition of the request, or by housekeeping, at 2. A refusal ends the
//! checkout only when orders have promised that there is no order under its key and never will be: a request that
//! was thought lost may still be on its way to them.

use std::{cell::Cell, time::Duration};

use futures::future::join_all;
use http::StatusCode;
use model::{OrderId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Durability, Transaction};
use uuid::Uuid;
use web::{Answer, Caller, Error, Once, Result, Service, client, variable};

use crate::{
    Carts, DATABASE,
    cart::Cart,
    carts::{self, Expected, Visitor},
    checkout::{Checkout, Details, Ended, Ending, Fate, GRACE, MEMORY, MOST_ATTEMPTS, Placed, Status, try_again_after},
    merging,
    repository::{carts as cart_repository, checkouts as repository, discounts},
    returns,
};

/// Checkouts of unknown ending that one tick finishes.
const OPEN_PER_TICK: u32 = 10;

thread_local! {
    static ORDER_TIMEOUT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Reads for how long an order may stay unpaid, and so can still fail.
pub(crate) async fn read_order_timeout() -> Result<()> {
    ORDER_TIMEOUT.set(Duration::from_millis(variable::limit(Carts::NAME, "order_timeout_ms").await?));
    Ok(())
}

/// For how long an order may stay unpaid.
pub(crate) fn order_timeout() -> Duration {
    ORDER_TIMEOUT.get()
}

/// What a request leaves behind for its repetitions.
#[derive(Serialize, Deserialize)]
struct Begun {
    checkout: String,
}

/// Orders what is in the caller's cart. 409 when there is nothing in it; whatever orders refuse is answered as they say
/// it, and the cart is as before.
pub(crate) async fn check_out(
    caller: &Caller,
    visitor: &Visitor,
    once: &Once,
    expected: Expected,
    details: impl AsyncFnOnce() -> Result<Details>,
) -> Result<Answer> {
    let before = match once.answered(&DATABASE, Some(caller)).await? {
        Some(answer) => Some((repository::find(&DATABASE, &begun(&answer)?).await?, answer)),
        None => None,
    };
    let (answer, checkout) = match before {
        Some((Some(checkout), answer)) if checkout.status != Status::Refused => (answer, checkout),
        _ => {
            let details = details().await?;
            let beginning =
                async |transaction: &Transaction| begin(transaction, caller, visitor, once, expected, details).await;
            DATABASE.transaction(Durability::Durable, beginning).await?
        }
    };
    let ended = match checkout.status {
        Status::Open => finish(&checkout, Some((once, caller))).await?,
        Status::Placed | Status::Failed | Status::Refused => checkout,
    };
    answer.with_body(&order(ended)?)
}

fn begun(answer: &Answer) -> Result<String> {
    let Begun { checkout } = serde_json::from_str(answer.body())?;
    Ok(checkout)
}

/// The order that a checkout has ended in, as it was placed, or the refusal.
pub(crate) fn order(ended: Checkout) -> Result<Box<RawValue>> {
    match (ended.status, ended.answer) {
        (Status::Placed | Status::Failed, Some(order)) => Ok(RawValue::from_string(order)?),
        (Status::Refused, Some(refusal)) => Err(Error::Refused(serde_json::from_str(&refusal)?)),
        _ => Err(Error::Unavailable("orders".into())),
    }
}

/// Freezes the cart, or joins the checkout that is under way.
async fn begin(
    transaction: &Transaction,
    caller: &Caller,
    visitor: &Visitor,
    once: &Once,
    expected: Expected,
    details: Details,
) -> Result<(Answer, Checkout)> {
    if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
        match repository::find_in(transaction, &begun(&answer)?).await? {
            Some(checkout) if checkout.status != Status::Refused => return Ok((answer, checkout)),
            // A refusal is not remembered: this is another attempt.
            _ => once.forget(transaction, Some(caller)).await?,
        }
    }
    let cart = merging::gather(transaction, visitor).await?;
    carts::must_be_allowed(&cart)?;
    let checkout = match &cart.checkout_key {
        Some(key) => join(transaction, key, &details).await?,
        None => {
            expected.check(&cart)?;
            freeze(transaction, caller.user_id, cart, details).await?
        }
    };
    let begun = Begun { checkout: checkout.key.clone() };
    Ok((once.answer(transaction, Some(caller), StatusCode::CREATED, &begun).await?, checkout))
}

/// The checkout that is under way: the one order that the cart becomes. 409 when it is to be paid or delivered otherwise.
async fn join(transaction: &Transaction, key: &str, details: &Details) -> Result<Checkout> {
    let checkout = repository::find_in(transaction, key).await?;
    let checkout = checkout.ok_or_else(|| Error::Internal(format!("checkouts: {key} is missing")))?;
    if checkout.details.as_ref() == Some(details) {
        Ok(checkout)
    } else {
        Err(Error::Conflict("checkout-under-way", "the cart is being ordered with other details: try again".into()))
    }
}

async fn freeze(transaction: &Transaction, user_id: UserId, cart: Cart, details: Details) -> Result<Checkout> {
    if cart.lines.is_empty() {
        return Err(Error::Conflict("cart-empty", "there is nothing in the cart".into()));
    }
    let now = Timestamp::now();
    let key = Uuid::now_v7().to_string();
    cart_repository::lock(transaction, &cart, &key).await?;
    let checkout = Checkout {
        cart_id: Some(cart.id),
        discount_code: cart.discount_code,
        ..Checkout::open(key, user_id, cart.lines, details)
    };
    repository::insert(transaction, &checkout, now.after(GRACE), now).await?;
    Ok(checkout)
}

/// Brings a checkout to its end, and returns it as it is then. 503 when nobody knows yet whether there is an order:
/// housekeeping finds out.
pub(crate) async fn finish(checkout: &Checkout, claim: Option<(&Once, &Caller)>) -> Result<Checkout> {
    match ending(checkout).await {
        Ok(ending) => {
            let concluding = async |transaction: &Transaction| conclude(transaction, checkout, &ending, claim).await;
            DATABASE.transaction(Durability::Durable, concluding).await
        }
        Err(error) => {
            eprintln!("error: checkout {}: {error}", checkout.key);
            Err(Error::Unavailable("orders".into()))
        }
    }
}

/// Asks orders how the checkout ends.
async fn ending(checkout: &Checkout) -> Result<Ending> {
    if checkout.attempts > MOST_ATTEMPTS && forget_placement(&checkout.key).await?.is_none() {
        return Ok(Ending::Refused(None));
    }
    match place(checkout).await {
        Err(Error::Refused(refusal)) => match forget_placement(&checkout.key).await? {
            None => Ok(Ending::Refused(Some(serde_json::to_string(&refusal)?))),
            // Another request was answered otherwise, or later.
            Some(_) => place(checkout).await,
        },
        other => other,
    }
}

async fn place(checkout: &Checkout) -> Result<Ending> {
    #[derive(Deserialize)]
    struct Order {
        id: OrderId,
    }
    let order: Box<RawValue> = client::ask("orders", "/internal/orders", &checkout.placement()).await?;
    let Order { id } = serde_json::from_str(order.get())?;
    Ok(Ending::Placed(id, order.get().to_owned()))
}

/// Has orders promise that they place nothing under this key any more, unless they have: then the order.
pub(crate) async fn forget_placement(key: &str) -> Result<Option<Placed>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Forgotten {
        order_id: Option<OrderId>,
        fate: Option<Fate>,
    }
    #[derive(Serialize)]
    struct Nothing {}
    let path = format!("/internal/placements/{key}/forget");
    let Forgotten { order_id, fate } = client::ask("orders", &path, &Nothing {}).await?;
    Ok(order_id.zip(fate).map(|(order_id, fate)| Placed { order_id, fate }))
}

/// Writes down how a checkout has ended, unless somebody else did.
async fn conclude(
    transaction: &Transaction,
    checkout: &Checkout,
    ending: &Ending,
    claim: Option<(&Once, &Caller)>,
) -> Result<Checkout> {
    let now = Timestamp::now();
    let key = checkout.key.as_str();
    let ended = match repository::end(transaction, key, ending, now).await? {
        Some(Ended { checkout: ended, owed, gone }) => {
            let theirs = match (ending, checkout.cart_id) {
                (Ending::Placed(..), Some(cart)) => cart_repository::close(transaction, cart, key).await?,
                (Ending::Refused(_), Some(cart)) => {
                    discounts::release(transaction, key, now).await?;
                    cart_repository::unlock(transaction, cart, key).await?
                }
                (_, None) => !gone,
            };
            if !theirs {
                // The account is gone, and the cart with it: nothing is kept of this, either.
                repository::remove(transaction, key).await?;
            } else if owed {
                returns::put_back(transaction, ended.user_id, now).await?;
            }
            ended
        }
        // Whoever has ended it has removed it, too, when the account is gone.
        None => repository::find_in(transaction, key).await?.unwrap_or_else(|| checkout.ended(ending)),
    };
    if let (Status::Refused, Some((once, caller))) = (ended.status, claim) {
        once.forget(transaction, Some(caller)).await?;
    }
    Ok(ended)
}

/// Finishes checkouts whose request has died or has given up waiting, a bounded number of them.
pub(crate) async fn finish_open() -> Result<()> {
    let now = Timestamp::now();
    let open = repository::claim(&DATABASE, now, now.after(GRACE), OPEN_PER_TICK).await?;
    let finishing = open.iter().map(async |checkout| match finish(checkout, None).await {
        Ok(_) => Ok(()),
        Err(_) => {
            let again = now.after(try_again_after(checkout.attempts));
            repository::put_off(&DATABASE, &checkout.key, again).await
        }
    });
    join_all(finishing).await.into_iter().collect()
}

/// Forgets checkouts that ended long ago, a bounded number of them.
pub(crate) async fn prune(now: Timestamp) -> Result<()> {
    repository::prune(&DATABASE, now.before(MEMORY.saturating_add(order_timeout()))).await
}
