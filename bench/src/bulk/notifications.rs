//! Who has which address, and the mails of the last thirty days.

use std::path::Path;

use anyhow::Result;
use model::event::{Event, OrderCancelled, OrderFailed, OrderPaid, OrderPlaced, OrderRefunded, OrderShipped};
use model::{Currency, Money, PaymentId, Timestamp};
use rusqlite::{Connection, params};

use super::world::{CURRENCY, Ending, Order, uuid};
use super::{World, in_batches};

const USER: &str = "INSERT INTO users (id, email, name, said_at) VALUES (?1, ?2, ?3, ?4)";
const MAIL: &str = "INSERT INTO mails (key, user_id, recipient, kind, reference, data, status, attempts, sends, \
     give_up_after, key_since, sent_at, keep_until, created_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'sent', 1, 1, 8, ?9, ?7, ?8, ?9)";

pub(super) fn write(world: &World, path: &Path) -> Result<()> {
    in_batches(path, "addresses", world.size, |database, number| {
        let user = world.user(number);
        let values = params![user.id, user.email, user.first_name, user.created_at];
        database.prepare_cached(USER)?.execute(values)?;
        Ok(())
    })?;
    in_batches(path, "mails", world.size, |database, number| {
        let order = world.order(number);
        if world.has_mails_of(order.updated_at()) {
            mails(world, database, &order, &world.user(world.customer(number)).email)?;
        }
        Ok(())
    })
}

/// All that is written to the customer of an order.
fn mails(world: &World, database: &Connection, order: &Order, recipient: &str) -> Result<()> {
    let ((order_id, user_id), number) = (order.ids(), order.number());
    let (total, currency) = (Money::from_minor(order.total), CURRENCY.parse::<Currency>()?);
    let mut kind = 10;
    let mut mail = |what: &str, data: String, at: i64| -> Result<()> {
        kind += 1;
        if world.has_mails_of(at) {
            let key = uuid(kind, order.id, at).to_string();
            let about = format!("order/{}", order.id);
            let (sent_at, keep_until) = (at + 5, World::kept_until(at));
            let values = params![key, order.user_id, recipient, what, about, data, sent_at, keep_until, at];
            database.prepare_cached(MAIL)?.execute(values)?;
        }
        Ok(())
    };
    let none = Money::ZERO;
    let (items, subtotal) = (order.sold(), total);
    let placed = OrderPlaced {
        order_id,
        number: number.clone(),
        user_id,
        items: items.clone(),
        subtotal,
        discount: none,
        shipping: none,
        tax: none,
        total,
        currency,
    };
    mail("order-placed", json(&placed)?, order.placed_at)?;
    if let Some(at) = order.paid_at() {
        let payment_id = PaymentId(order.id);
        let paid = OrderPaid { order_id, number: number.clone(), user_id, payment_id, total, currency };
        mail("order-paid", json(&paid)?, at)?;
    }
    if let Some(at) = order.shipped_at() {
        let tracking = Some(format!("T{:09}", order.id));
        mail("order-shipped", json(&OrderShipped { order_id, number: number.clone(), user_id, items, tracking })?, at)?;
    }
    if let (Some(at), Some(reason)) = (order.ended_at(), order.reason()) {
        let (number, reason) = (number.clone(), reason.to_owned());
        if order.ending == Ending::Failed {
            mail("order-failed", json(&OrderFailed { order_id, number, user_id, reason, key: None })?, at)?;
        } else {
            let (cancelled_at, paid) = (Timestamp(at), order.paid_at().is_some());
            let cancelled = OrderCancelled { order_id, number, user_id, reason, cancelled_at, paid };
            mail("order-cancelled", json(&cancelled)?, at)?;
        }
    }
    if let Some((amount, at)) = order.refund() {
        let amount = Money::from_minor(amount);
        let refunded = OrderRefunded { order_id, number, user_id, amount, refunded: amount, total, currency };
        mail("order-refunded", json(&refunded)?, at + 30)?;
    }
    Ok(())
}

fn json(event: &impl Event) -> Result<String> {
    Ok(serde_json::to_string(event)?)
}
