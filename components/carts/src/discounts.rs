//! The use cases of discount codes: who gives them out, and how each use is counted once.
//!
//! A use is held before the order exists, because the order's price depends on it. It is confirmed by the order's event.
//! When that does not come, orders are asked what has become of it, in a way that settles it for good. They are asked once
//! more when the order must have been paid or be over: the event that gives a use back may have been given up.

use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use model::{OrderId, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use store::{Durability, Transaction};
use web::{Answer, Caller, Error, Once, Page, PageQuery, Result, audit};

use crate::{
    DATABASE,
    checkout::{Fate, Placed},
    checkouts::{forget_placement, order_timeout},
    discount::{Code, Discount, DiscountChange, NewDiscount, Obstacle, Redeem, Terms},
    offers,
    repository::discounts as repository,
};

/// An order that was placed has announced itself by then.
const UNCONFIRMED: Duration = Duration::from_secs(10 * 60);
/// After its time, an order has been paid or has ended by then.
const DECIDED: Duration = Duration::from_secs(60 * 60);
/// Until somebody else asks again what has become of an order.
const LEASE: Duration = Duration::from_secs(60);
/// Uses that one tick asks about, of those that nobody has confirmed, and as many of those whose order must be decided.
const ASKED_PER_TICK: u32 = 10;

const NOT_FOUND: Error = Error::not_found("discount");

fn refusal(obstacle: Obstacle) -> Error {
    let (code, sentence) = obstacle.words();
    Error::Conflict(code, sentence)
}

/// The discount of a code as somebody has typed it. What cannot be a code is none.
fn code_of(text: &str) -> Result<Code> {
    Code::parse(text).ok_or(NOT_FOUND)
}

/// What a code is called in the audit log.
fn subject(code: &Code) -> String {
    format!("discount/{}", code.as_str())
}

/// What the audit log says of a discount.
fn terms_of(discount: &Discount) -> Value {
    let Discount { terms: Terms { kind, value, minimum, .. }, starts_at, ends_at, active, .. } = discount;
    json!({
        "kind": kind,
        "value": value,
        "minimum": minimum,
        "startsAt": starts_at,
        "endsAt": ends_at,
        "maxUses": discount.max_uses,
        "maxUsesPerCustomer": discount.max_uses_per_customer,
        "active": active,
    })
}

/// Gives out a code. 409 when there is one like it. Admins only.
pub(crate) async fn create(caller: &Caller, once: &Once, new: NewDiscount) -> Result<Answer> {
    caller.must_administer()?;
    let discount = new.into_discount(offers::currency()?, Timestamp::now());
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            repository::insert(transaction, &discount).await.map_err(|error| match error {
                store::Error::NotUnique(_) => {
                    Error::Conflict("discount-exists", "there is a discount with this code".into())
                }
                other => other.into(),
            })?;
            let subject = subject(&discount.terms.code);
            audit::record(transaction, caller, "discount.created", subject, terms_of(&discount)).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &discount).await
        })
        .await
}

pub(crate) async fn list(caller: &Caller, query: &PageQuery) -> Result<Page<Discount>> {
    caller.must_administer()?;
    let before = query.after::<i64>()?.unwrap_or(i64::MAX);
    let discounts = repository::list(&DATABASE, before, query.limit() + 1).await?;
    Page::new(discounts, query.limit(), |discount| discount.id)
}

pub(crate) async fn get(caller: &Caller, code: &str) -> Result<Discount> {
    caller.must_administer()?;
    repository::find(&DATABASE, &code_of(code)?).await?.ok_or(NOT_FOUND)
}

pub(crate) async fn update(caller: &Caller, code: &str, change: DiscountChange) -> Result<Discount> {
    caller.must_administer()?;
    let code = code_of(code)?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let mut discount = repository::find_in(transaction, &code).await?.ok_or(NOT_FOUND)?;
            let before = terms_of(&discount);
            let impossible = |(field, message)| Error::invalid(field, message);
            discount.apply(change, Timestamp::now()).map_err(impossible)?;
            repository::update(transaction, &discount).await?;
            let after = terms_of(&discount);
            if before != after {
                let details = json!({ "from": before, "to": after });
                audit::record(transaction, caller, "discount.updated", subject(&code), details).await?;
            }
            Ok(discount)
        })
        .await
}

/// Takes a code back. Orders that were placed with it keep their price.
pub(crate) async fn delete(caller: &Caller, code: &str) -> Result<()> {
    caller.must_administer()?;
    let code = code_of(code)?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if !repository::delete(transaction, &code).await? {
                return Err(NOT_FOUND);
            }
            audit::record(transaction, caller, "discount.deleted", subject(&code), json!({})).await
        })
        .await
}

/// The code that a cart is to be ordered with, as its customer sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CartDiscount)]
pub(crate) struct DiscountView {
    /// The code.
    #[schema(example = "SPRING-10")]
    code: String,
    /// What is taken off; absent, as are the next two, when there is no such code any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    kind: Option<crate::discount::Kind>,
    /// Percent, or an amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<model::Money>,
    /// The least subtotal for which the code is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    minimum: Option<model::Money>,
    /// Why it cannot be used right now; absent when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "discount-minimum")]
    problem: Option<&'static str>,
}

/// What is known of a cart's code at this moment.
pub(crate) async fn view(code: &str) -> Result<DiscountView> {
    let found = find(code).await?;
    let obstacle = match &found {
        Some(discount) => discount.usable(Timestamp::now()).err(),
        None => Some(Obstacle::Unknown),
    };
    let terms = found.map(|discount| discount.terms);
    Ok(DiscountView {
        code: code.to_owned(),
        kind: terms.as_ref().map(|terms| terms.kind),
        value: terms.as_ref().map(|terms| terms.value),
        minimum: terms.as_ref().and_then(|terms| terms.minimum),
        problem: obstacle.map(|obstacle| obstacle.words().0),
    })
}

async fn find(code: &str) -> Result<Option<Discount>> {
    match Code::parse(code) {
        Some(code) => repository::find(&DATABASE, &code).await,
        None => Ok(None),
    }
}

/// The code, if anybody can use it at this moment; 409 otherwise.
pub(crate) async fn usable(code: &str) -> Result<Code> {
    let discount = find(code).await?.ok_or_else(|| refusal(Obstacle::Unknown))?;
    discount.usable(Timestamp::now()).map_err(refusal)?;
    Ok(discount.terms.code)
}

/// The same inside a transaction, for a code that is in a cart or may come into it.
pub(crate) async fn is_usable_in(transaction: &Transaction, code: &str, now: Timestamp) -> Result<bool> {
    let Some(code) = Code::parse(code) else { return Ok(false) };
    let found = repository::find_in(transaction, &code).await?;
    Ok(found.is_some_and(|discount| discount.usable(now).is_ok()))
}

/// What the code is worth, if anybody can use it at this moment.
pub(crate) async fn terms(code: &str) -> Result<Option<Terms>> {
    let usable = find(code).await?.filter(|discount| discount.usable(Timestamp::now()).is_ok());
    Ok(usable.map(|discount| discount.terms))
}

/// Counts a use by the order that is being placed under a key, once however often it is asked for, and says what the
/// order is promised. 409 when the code cannot be used by it.
pub(crate) async fn redeem(asked: &Redeem) -> Result<Terms> {
    let key = asked.key.to_string();
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let code = Code::parse(&asked.code).ok_or_else(|| refusal(Obstacle::Unknown))?;
            if let Some(before) = repository::redemption_in(transaction, &key).await? {
                let terms: Terms = serde_json::from_str(&before.terms)?;
                // One use is never turned into another one's: an order at the price of the first may be on its way.
                return if before.released || before.user_id != asked.user_id || terms.code != code {
                    let sentence = "this placement has used a discount code before: place the order anew";
                    Err(Error::Conflict("discount-taken", sentence.into()))
                } else {
                    Ok(terms)
                };
            }
            count(transaction, &code, &key, asked).await
        })
        .await
}

async fn count(transaction: &Transaction, code: &Code, key: &str, asked: &Redeem) -> Result<Terms> {
    let now = Timestamp::now();
    let found = repository::find_in(transaction, code).await?;
    let discount = found.ok_or_else(|| refusal(Obstacle::Unknown))?;
    discount.usable(now).and_then(|()| discount.fits(asked.subtotal, asked.currency)).map_err(refusal)?;
    // Held first, which locks the discount's row; a refusal undoes it.
    if !repository::hold(transaction, &discount, key, asked.user_id, now.after(UNCONFIRMED), now).await? {
        return Err(refusal(Obstacle::Exhausted));
    }
    if let Some(max) = discount.max_uses_per_customer
        && repository::uses_by(transaction, discount.id, asked.user_id, max.saturating_add(1)).await? > max
    {
        return Err(refusal(Obstacle::UsedByCustomer));
    }
    Ok(discount.terms)
}

/// Asks what has become of orders whose use of a code nobody has confirmed, or that must be decided by now, and counts it
/// or gives it back.
pub(crate) async fn find_out_unconfirmed() -> Result<()> {
    let now = Timestamp::now();
    let keys = repository::claim(&DATABASE, now, now.after(LEASE), ASKED_PER_TICK).await?;
    let settling = keys.iter().map(async |key| match forget_placement(key).await {
        Ok(placed) => settle(key, placed).await,
        Err(error) => {
            eprintln!("error: use of a discount by {key}: {error}");
            Ok(())
        }
    });
    join_all(settling).await.into_iter().collect()
}

/// The order of a use exists: it counts, unless the order ends unpaid.
pub(crate) async fn used(transaction: &Transaction, key: &str, order_id: OrderId, now: Timestamp) -> Result<()> {
    let decided = now.after(order_timeout().saturating_add(DECIDED));
    repository::confirm(transaction, key, order_id, Some(decided), now).await
}

/// A use counts for good when its order has been paid.
async fn settle(key: &str, placed: Option<Placed>) -> Result<()> {
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let now = Timestamp::now();
            match placed {
                Some(Placed { order_id, fate: Fate::Open }) => used(transaction, key, order_id, now).await,
                Some(Placed { order_id, fate: Fate::Paid }) => {
                    repository::confirm(transaction, key, order_id, None, now).await
                }
                Some(Placed { fate: Fate::Unpaid, .. }) | None => repository::release(transaction, key, now).await,
            }
        })
        .await
}
