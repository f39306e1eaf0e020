//! Stock, what orders have held of it, and how it came to be what it is.

use std::path::Path;

use anyhow::Result;
use rusqlite::params;

use super::world::Tally;
use super::{World, in_batches};

const STOCK: &str = "INSERT INTO stock (product_id, supplier_id, announced, for_sale, on_hand, reserved, threshold, \
     version, discontinued, updated_at) VALUES (?1, ?2, TRUE, ?3, ?4, 0, ?5, ?6, FALSE, ?7)";
const RESERVATION: &str = "INSERT INTO reservations (id, order_id, status, lines, created_at, updated_at) \
     VALUES (?1, ?1, ?2, ?3, ?4, ?5)";
const MOVEMENT: &str = "INSERT INTO movements (product_id, kind, on_hand_delta, reserved_delta, reservation_id, reason, at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

pub(super) fn write(world: &World, tallies: &[Tally], path: &Path) -> Result<()> {
    in_batches(path, "stock", world.size, |database, number| {
        let product = world.product(number);
        let tally = tallies.get(usize::try_from(number)?).copied().unwrap_or_default();
        let received = product.left + tally.sold;
        let (threshold, version) = ((received / 10).max(5), 1 + tally.movements);
        let updated_at = tally.last_at.max(product.created_at);
        let (supplier, for_sale) = (product.supplier_id, product.status == "active");
        let stock = params![product.id, supplier, for_sale, product.left, threshold, version, updated_at];
        database.prepare_cached(STOCK)?.execute(stock)?;
        let movement = params![product.id, "received", received, 0, None::<i64>, None::<&str>, product.created_at];
        database.prepare_cached(MOVEMENT)?.execute(movement)?;
        Ok(())
    })?;
    in_batches(path, "reservations", world.size, |database, number| {
        let order = world.order(number);
        let (items, movements) = (order.ordered(), order.movements());
        let (status, updated_at) = movements.last().copied().unwrap_or_default();
        let lines = serde_json::to_string(&items)?;
        let reservation = params![order.id, status, lines, order.reserved_at(), updated_at];
        database.prepare_cached(RESERVATION)?.execute(reservation)?;
        for (kind, at) in movements {
            for item in &items {
                let quantity = i64::from(item.quantity);
                let (on_hand, reserved) = match kind {
                    "reserved" => (0, quantity),
                    "released" => (0, -quantity),
                    "sold" => (-quantity, -quantity),
                    _ => (quantity, 0),
                };
                let reason = if matches!(kind, "released" | "returned") { order.reason() } else { None };
                let movement = params![item.product_id.0, kind, on_hand, reserved, order.id, reason, at];
                database.prepare_cached(MOVEMENT)?.execute(movement)?;
            }
        }
        Ok(())
    })
}
