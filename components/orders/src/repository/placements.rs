//! SQL of placements: which key became which order.

use model::OrderId;
use store::{Database, Row, Transaction, params};
use uuid::Uuid;
use web::Result;

const FIND: &str = "SELECT order_id FROM placements WHERE key = $1";

/// What became of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// This order.
    Order(OrderId),
    /// Nothing, and nothing will.
    Forgotten,
}

fn placed(mut row: Row) -> Result<Placed> {
    Ok(row.next::<Option<i64>>()?.map_or(Placed::Forgotten, |id| Placed::Order(OrderId(id))))
}

pub(crate) async fn find(database: &Database, key: Uuid) -> Result<Option<Placed>> {
    database.query_one(FIND, params![key.to_string()]).await?.map(placed).transpose()
}

pub(crate) async fn find_in(transaction: &Transaction, key: Uuid) -> Result<Option<Placed>> {
    transaction.query_one(FIND, params![key.to_string()]).await?.map(placed).transpose()
}

/// Writes down what becomes of a placement; false when that is decided already.
pub(crate) async fn decide(transaction: &Transaction, key: Uuid, placed: Placed) -> Result<bool> {
    let order_id = match placed {
        Placed::Order(id) => Some(id.0),
        Placed::Forgotten => None,
    };
    let insert = "INSERT INTO placements (key, order_id) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING RETURNING key";
    Ok(transaction.query_one(insert, params![key.to_string(), order_id]).await?.is_some())
}
