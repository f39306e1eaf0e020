//! Payments, refunds, the ledger, and the books of the provider.

use std::path::Path;

use anyhow::Result;
use rusqlite::params;
use serde_json::json;

use super::world::{CURRENCY, Ending, Order, uuid};
use super::{World, in_batches};

const PAYABLE: &str =
    "INSERT INTO payable_orders (order_id, user_id, amount, currency, revision, closed) VALUES (?1, ?2, ?3, ?4, 0, ?5)";
const PAYMENT: &str = "INSERT INTO payments (id, order_id, user_id, amount, currency, refunded, status, reason, charge_key, \
     operation, reference, provider, created_at, updated_at) \
     VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'charge', ?9, 'sandbox', ?10, ?11)";
const REFUND: &str = "INSERT INTO refunds (id, payment_id, request_id, amount, status, reason, refund_key, reference, \
     created_at, updated_at) VALUES (?1, ?1, ?2, ?3, 'succeeded', ?4, ?5, ?6, ?7, ?8)";
const LEDGER: &str = "INSERT INTO ledger (posting, order_id, payment_id, account, amount, currency, created_at) \
     VALUES (?1, ?2, ?2, ?3, ?4, ?6, ?7), (?1, ?2, ?2, ?5, -?4, ?6, ?7)";
/// Spin's own, which our host has, too.
const STORE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (store TEXT NOT NULL, key TEXT NOT NULL, \
     value BLOB NOT NULL, PRIMARY KEY (store, key))";
const ENTRY: &str = "INSERT INTO spin_key_value (store, key, value) VALUES ('provider-sandbox', ?1, ?2)";

fn charge_key(order: &Order) -> String {
    uuid(7, order.id, order.reserved_at() + 5).to_string()
}

/// The provider's name for a refund, how much it is, and when it was asked for.
fn refund(order: &Order) -> Option<(String, i64, i64)> {
    order.refund().map(|(amount, at)| (uuid(8, order.id, at).to_string(), amount, at + 5))
}

pub(super) fn write(world: &World, path: &Path) -> Result<()> {
    in_batches(path, "payments", world.size, |database, number| {
        let order = world.order(number);
        let payable = params![order.id, order.user_id, order.total, CURRENCY, order.ended_at().is_some()];
        database.prepare_cached(PAYABLE)?.execute(payable)?;
        let status = match order.ending {
            Ending::Expired => return Ok(()),
            Ending::Failed => "failed",
            _ if order.refund().is_some_and(|(amount, _)| amount == order.total) => "refunded",
            _ => "succeeded",
        };
        let failed = order.ending == Ending::Failed;
        let (key, refund) = (charge_key(&order), refund(&order));
        let refunded = refund.as_ref().map_or(0, |(_, amount, _)| *amount);
        database.prepare_cached(PAYMENT)?.execute(params![
            order.id,
            order.user_id,
            order.total,
            CURRENCY,
            refunded,
            status,
            failed.then_some("card-declined"),
            key,
            (!failed).then(|| format!("sandbox-{key}")),
            order.reserved_at() + 5,
            refund.as_ref().map_or(order.charged_at(), |(_, _, at)| at + 10),
        ])?;
        if !failed {
            let posting = format!("capture/{number}");
            let both = params![posting, order.id, "provider", order.total, "revenue", CURRENCY, order.charged_at()];
            database.prepare_cached(LEDGER)?.execute(both)?;
        }
        if let Some((key, amount, at)) = refund {
            let (request, reference) = (order.refund_request(), format!("sandbox-{key}"));
            let reason = if request.is_some() { "scratched" } else { "the order is over" };
            let refund = params![order.id, request, amount, reason, key, reference, at, at + 10];
            database.prepare_cached(REFUND)?.execute(refund)?;
            let posting = format!("refund/{number}");
            let both = params![posting, order.id, "refunds", amount, "provider", CURRENCY, at + 10];
            database.prepare_cached(LEDGER)?.execute(both)?;
        }
        Ok(())
    })
}

pub(super) fn write_books(world: &World, path: &Path) -> Result<()> {
    // The host makes the file when the provider is first asked for anything.
    rusqlite::Connection::open(path)?.execute(STORE, [])?;
    in_batches(path, "provider", world.size, |database, number| {
        let order = world.order(number);
        let (token, ending) = match order.ending {
            Ending::Expired => return Ok(()),
            Ending::Failed => ("tok_declined", json!({ "Declined": "card-declined" })),
            _ => ("tok_visa", json!("Approved")),
        };
        let key = charge_key(&order);
        let charge = json!({
            "token": token, "amount": order.total, "currency": CURRENCY, "ending": ending, "first_refund": null,
        });
        let enter = |entry: String, value: serde_json::Value| {
            database.prepare_cached(ENTRY)?.execute(params![entry, serde_json::to_vec(&value)?])?;
            anyhow::Ok(())
        };
        enter(format!("charge/{key}"), charge)?;
        if let Some((refund, amount, _)) = refund(&order) {
            let entry = json!({ "charge_key": key, "amount": amount, "ending": "Approved", "comes_back": false });
            enter(format!("refund/{refund}"), entry)?;
        }
        Ok(())
    })
}
