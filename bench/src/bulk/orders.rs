//! Orders, their histories and refunds. How many there are of each status is counted by the database's own triggers.

use std::path::Path;

use anyhow::Result;
use rusqlite::params;

use super::world::CURRENCY;
use super::{World, in_batches};

const ORDER: &str = "INSERT INTO orders (id, user_id, status, reason, lines, subtotal, discount, shipping, tax, total, \
     currency, shipping_address, tracking, refunded, created_at, updated_at, paid_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const HISTORY: &str = "INSERT INTO order_history (order_id, type, status, reason, at) VALUES (?1, ?2, ?3, ?4, ?5)";
const REFUND: &str = "INSERT INTO refunds (id, name, order_id, status, amount, reason, items, restock, created_at, \
     updated_at) VALUES (?1, ?2, ?1, 'succeeded', ?3, ?4, '[]', FALSE, ?5, ?6)";

pub(super) fn write(world: &World, path: &Path) -> Result<()> {
    in_batches(path, "orders", world.size, |database, number| {
        let order = world.order(number);
        let (amount, asked_at) = order.refund().unwrap_or_default();
        database.prepare_cached(ORDER)?.execute(params![
            order.id,
            order.user_id,
            order.status(),
            order.reason(),
            serde_json::to_string(&order.lines)?,
            order.total,
            CURRENCY,
            order.address,
            order.shipped_at().map(|_| format!("T{number:09}")),
            amount,
            order.placed_at,
            order.updated_at(),
            order.paid_at(),
        ])?;
        for (what, status, reason, at) in order.history() {
            database.prepare_cached(HISTORY)?.execute(params![order.id, what, status, reason, at])?;
        }
        if amount > 0 {
            let request = order.refund_request();
            let reason = request.as_ref().map(|_| "scratched");
            let name = request.unwrap_or_else(|| format!("refund/{number}"));
            let refund = params![order.id, name, amount, reason, asked_at, order.updated_at()];
            database.prepare_cached(REFUND)?.execute(refund)?;
        }
        Ok(())
    })
}
