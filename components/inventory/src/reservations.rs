//! The use cases of reservations: pieces that are held, by an order or by hand.

use std::{collections::BTreeMap, time::Duration};

use http::StatusCode;
use model::{OrderId, Timestamp, event::OrderedItem};
use serde::Serialize;
use serde_json::json;
use store::{Durability, Transaction};
use utoipa::ToSchema;
use web::{Answer, Caller, Error, Once, Result, audit};

use crate::{
    DATABASE,
    inventory::{NOT_FOUND, apply, change_stock, warn},
    repository::{self, Record, Reservation},
    stock::{self, Kind, Verdict},
};

/// How long pieces are held by hand when nobody says.
const HOLD: Duration = Duration::from_secs(15 * 60);
/// So many reservations expire in one tick: with up to 100 lines each, they still fit in one statement.
const MOST_EXPIRED: u32 = 32;

/// What is held by hand, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reservation)]
pub(crate) struct ReservationView {
    /// Its id.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
    id: i64,
    /// The order that holds it; `null` when it is held by hand.
    order_id: Option<OrderId>,
    /// `held`, `released`, and of orders `sold` and `returned`.
    #[schema(example = "held")]
    status: String,
    /// What is held.
    items: Vec<OrderedItem>,
    /// When it ends by itself; `null` when its order ends it.
    expires_at: Option<Timestamp>,
}

impl From<Reservation> for ReservationView {
    fn from(reservation: Reservation) -> Self {
        let Reservation { id, order_id, status, lines, expires_at } = reservation;
        Self { id, order_id, status, items: lines, expires_at }
    }
}

/// Whether a reservation was made.
pub(crate) enum Held {
    /// All of it is held.
    Yes(i64),
    /// Nothing is held; why, for people.
    No(String),
    /// The order has been here before: nothing was done.
    Before,
}

/// For whom pieces are held.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holder<'a> {
    /// An order, which ends by itself.
    Order(OrderId),
    /// Somebody who asked by hand, until then.
    Hand(&'a Caller, Timestamp),
}

impl Holder<'_> {
    /// Whether it may have pieces of that record.
    fn may_have(&self, record: &Record) -> bool {
        let theirs = match self {
            Holder::Order(_) => true,
            Holder::Hand(caller, _) => record.belongs_to(caller),
        };
        theirs && record.is_believed()
    }
}

/// Whether there is enough of all of `lines` for `holder`.
async fn judge(transaction: &Transaction, holder: Holder<'_>, lines: &[OrderedItem]) -> Result<Verdict> {
    let records = repository::records(transaction, lines).await?;
    let open = records.iter().filter(|record| holder.may_have(record));
    let available: BTreeMap<_, _> = open.map(|record| (record.product_id, record.available())).collect();
    match stock::judge(lines, &available) {
        // The catalog knows the product, or the order would not exist: its event is on the way, and this one comes again.
        Verdict::Unknown(product_id) => {
            Err(Error::Unavailable(format!("the inventory record of product {product_id}").into()))
        }
        verdict => Ok(verdict),
    }
}

/// What a reservation is when it was judged so.
fn status(verdict: &Verdict) -> &'static str {
    if matches!(verdict, Verdict::Enough) { "held" } else { "rejected" }
}

/// Holds all of `lines`, or nothing.
pub(crate) async fn hold(transaction: &Transaction, holder: Holder<'_>, lines: &[OrderedItem]) -> Result<Held> {
    let lines = stock::merged(lines);
    let now = Timestamp::now();
    let verdict = judge(transaction, holder, &lines).await?;
    let (order_id, expires_at) = match holder {
        Holder::Order(order_id) => (Some(order_id), None),
        Holder::Hand(_, expires_at) => (None, Some(expires_at)),
    };
    let Some(id) = repository::reserve(transaction, order_id, status(&verdict), &lines, expires_at, now).await? else {
        return Ok(Held::Before);
    };
    match verdict {
        Verdict::Short(reason) => Ok(Held::No(reason)),
        _ => {
            apply(transaction, Kind::Reserved, &stock::changes(Kind::Reserved, &lines, id), None).await?;
            Ok(Held::Yes(id))
        }
    }
}

/// Holds `lines` for an order instead of what is held for it: all of them, or nothing any more.
pub(crate) async fn exchange(transaction: &Transaction, order_id: OrderId, lines: &[OrderedItem]) -> Result<Held> {
    let reservation = match repository::reservation_of(transaction, order_id).await? {
        Some(reservation) if reservation.status == "held" => reservation,
        // This news was parked, and that of the order's end came first.
        Some(_) => return Ok(Held::Before),
        None => return Err(Error::Internal(format!("order {order_id} is changed, but nothing was held for it"))),
    };
    let (id, lines) = (reservation.id, stock::merged(lines));
    // It goes elsewhere, or costs something else: what it holds, it holds, whether or not that is still sold.
    if lines == reservation.lines {
        return Ok(Held::Yes(id));
    }
    let released = stock::changes(Kind::Released, &reservation.lines, id);
    let mut changed = change_stock(transaction, Kind::Released, &released, Some("the order was changed")).await?;
    let verdict = judge(transaction, Holder::Order(order_id), &lines).await?;
    repository::set_lines(transaction, id, status(&verdict), &lines, Timestamp::now()).await?;
    if let Verdict::Short(reason) = verdict {
        return Ok(Held::No(reason));
    }
    for (before, after) in
        change_stock(transaction, Kind::Reserved, &stock::changes(Kind::Reserved, &lines, id), None).await?
    {
        // What was low before, and is again, is no news.
        match changed.iter_mut().find(|(_, released)| released.product_id == after.product_id) {
            Some(both) => both.1 = after,
            None => changed.push((before, after)),
        }
    }
    warn(transaction, &changed).await?;
    Ok(Held::Yes(id))
}

/// Holds pieces by hand, for so long.
pub(crate) async fn reserve(
    caller: &Caller,
    once: &Once,
    lines: &[OrderedItem],
    hold_for: Option<Duration>,
) -> Result<Answer> {
    caller.must_sell()?;
    let holder = Holder::Hand(caller, Timestamp::now().after(hold_for.unwrap_or(HOLD)));
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            if let Some(answer) = once.answered_in(transaction, Some(caller)).await? {
                return Ok(answer);
            }
            let id = match hold(transaction, holder, lines).await {
                Ok(Held::Yes(id)) => id,
                Ok(Held::No(reason)) => return Err(Error::Conflict("insufficient-stock", reason)),
                Ok(Held::Before) => return Err(Error::Internal("a reservation by hand has no order".into())),
                Err(Error::Unavailable(_)) => return Err(NOT_FOUND),
                Err(error) => return Err(error),
            };
            let reservation = repository::reservation_by_id(transaction, id).await?.ok_or(NOT_FOUND)?;
            let details = json!({ "items": reservation.lines });
            audit::record(transaction, caller, "reservation.held", subject(id), details).await?;
            once.answer(transaction, Some(caller), StatusCode::CREATED, &ReservationView::from(reservation)).await
        })
        .await
}

/// What a reservation is called in the audit log.
fn subject(id: i64) -> String {
    format!("reservation/{id}")
}

const NO_RESERVATION: Error = Error::not_found("reservation");

/// Whether all that a reservation holds is the caller's.
async fn may_release(transaction: &Transaction, caller: &Caller, reservation: &Reservation) -> Result<bool> {
    if caller.role.administers() {
        return Ok(true);
    }
    if reservation.lines.is_empty() {
        return Ok(false);
    }
    let records = repository::records(transaction, &reservation.lines).await?;
    Ok(records.iter().all(|record| record.belongs_to(caller)))
}

/// Lets go what was held by hand. What an order holds ends with the order.
pub(crate) async fn release(caller: &Caller, reservation_id: i64) -> Result<ReservationView> {
    caller.must_sell()?;
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let reservation = repository::reservation_by_id(transaction, reservation_id).await?;
            let mut reservation = reservation.ok_or(NO_RESERVATION)?;
            if !may_release(transaction, caller, &reservation).await? {
                return Err(NO_RESERVATION);
            }
            if reservation.order_id.is_some() {
                return Err(Error::Conflict("held-by-order", "an order holds this: cancel the order".into()));
            }
            if reservation.status == "held" {
                end(transaction, &reservation, Kind::Released, "released", None).await?;
                reservation.status = "released".into();
                audit::record(transaction, caller, "reservation.released", subject(reservation_id), json!({})).await?;
            }
            Ok(reservation.into())
        })
        .await
}

/// Lets go what has been held by hand for too long, a bounded number at a time.
pub(crate) async fn expire() -> Result<()> {
    let now = Timestamp::now();
    // Most of the time there is nothing to do, and finding that out must not take the write lock.
    if !repository::any_expired(&DATABASE, now).await? {
        return Ok(());
    }
    DATABASE
        .transaction(Durability::Durable, async |transaction| {
            let expired = repository::expire(transaction, MOST_EXPIRED, now).await?;
            let released = |held: &Reservation| stock::changes(Kind::Released, &held.lines, held.id);
            let changes: Vec<_> = expired.iter().flat_map(released).collect();
            if changes.is_empty() {
                return Ok(());
            }
            apply(transaction, Kind::Released, &changes, Some("expired")).await.map(drop)
        })
        .await
}

/// Ends a reservation: its pieces move as `kind` says.
pub(crate) async fn end(
    transaction: &Transaction,
    reservation: &Reservation,
    kind: Kind,
    status: &str,
    reason: Option<&str>,
) -> Result<()> {
    repository::set_status(transaction, reservation.id, status, Timestamp::now()).await?;
    let changes = stock::changes(kind, &reservation.lines, reservation.id);
    apply(transaction, kind, &changes, reason).await.map(drop)
}

/// Takes some pieces of a sold reservation back.
pub(crate) async fn take_back(
    transaction: &Transaction,
    reservation: &Reservation,
    back: &[OrderedItem],
    reason: &str,
) -> Result<()> {
    let back = stock::merged(back);
    let Some(left) = stock::without(&reservation.lines, &back) else {
        return Err(Error::Internal(format!("reservation {}: more comes back than was sold", reservation.id)));
    };
    let status = if left.is_empty() { "returned" } else { "sold" };
    repository::set_lines(transaction, reservation.id, status, &left, Timestamp::now()).await?;
    let changes = stock::changes(Kind::Returned, &back, reservation.id);
    apply(transaction, Kind::Returned, &changes, Some(reason)).await.map(drop)
}
