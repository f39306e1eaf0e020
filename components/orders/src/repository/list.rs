//! SQL of lists: each filter stands on an index, and all of them sort by (created_at, id), the newest first.

use model::{Money, OrderStatus, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use store::{Conditions, Database};
use web::Result;

use super::{ORDER, Order};
use crate::order;

/// What a list is about; everything that is set must hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Filter {
    /// As people read it out. What is no number is nobody's.
    pub(crate) number: Option<String>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) status: Option<OrderStatus>,
    /// Placed then or later.
    pub(crate) from: Option<Timestamp>,
    /// Placed before.
    pub(crate) to: Option<Timestamp>,
    /// Between these, both included.
    pub(crate) min_total: Option<Money>,
    pub(crate) max_total: Option<Money>,
}

/// The place of an order in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place(pub(crate) i64, pub(crate) i64);

impl Place {
    pub(crate) fn of(order: &Order) -> Self {
        Self(order.created_at.0, order.id.0)
    }
}

impl Filter {
    /// What an index finds.
    fn indexed(&self, before: Option<Place>) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(number) = &self.number {
            conditions.add("id =", order::id_of_number(number).map_or(0, |id| id.0));
        }
        // One index at a time: a customer has fewer orders than a state.
        if let Some(user_id) = self.user_id {
            conditions.add("user_id =", user_id.0);
        } else if let Some(status) = self.status {
            conditions.add("status =", status.as_str());
        }
        if let Some(from) = self.from {
            conditions.add("created_at >=", from.0);
        }
        if let Some(to) = self.to {
            conditions.add("created_at <", to.0);
        }
        if let Some(before) = before {
            conditions.add_place("(created_at, id) <", (before.0, before.1));
        }
        conditions
    }

    /// What must be looked at row by row.
    fn add_others(&self, conditions: &mut Conditions) {
        if let (Some(_), Some(status)) = (self.user_id, self.status) {
            // An expression keeps the engine from the index of the status, along which a customer's orders are far apart.
            conditions.add("status || '' =", status.as_str());
        }
        if let Some(min) = self.min_total {
            conditions.add("total >=", min.minor());
        }
        if let Some(max) = self.max_total {
            conditions.add("total <=", max.minor());
        }
    }

    fn has_others(&self) -> bool {
        self.user_id.is_some() && self.status.is_some() || self.min_total.is_some() || self.max_total.is_some()
    }
}

/// How far a page looks for rows that few may be like.
const WINDOW: u32 = 1000;

/// Up to `limit` orders, and, when the look ended before the list did, the place where it ended.
pub(crate) async fn list(
    database: &Database,
    filter: &Filter,
    before: Option<Place>,
    limit: u32,
) -> Result<(Vec<Order>, Option<Place>)> {
    let mut conditions = filter.indexed(before);
    let mut floor = None;
    if filter.has_others() {
        floor = conditions.floor(database, "orders", WINDOW).await?;
        if let Some(floor) = floor {
            conditions.add_place("(created_at, id) >=", floor);
        }
        filter.add_others(&mut conditions);
    }
    let list = format!(
        "SELECT {ORDER} FROM orders WHERE {} ORDER BY created_at DESC, id DESC LIMIT {limit}",
        conditions.sql()
    );
    let rows = database.query(&list, conditions.values()).await?;
    let mut orders = rows.into_iter().map(Order::read).collect::<Result<Vec<_>>>()?;
    if let Some(number) = &filter.number {
        orders.retain(|order| order::number(order.id, order.created_at).eq_ignore_ascii_case(number));
    }
    Ok((orders, floor.map(|(at, id)| Place(at, id))))
}
