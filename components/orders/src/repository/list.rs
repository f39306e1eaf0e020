//! SQL of lists: each filter stands on an index, and all of them sort by (created_at, id), the newest first.

use model::{Money, OrderStatus, Timestamp, UserId};
use store::{Conditions, Database, Place};
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

impl Filter {
    /// What an index finds.
    fn indexed(&self, after: Option<Place>) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.add_flag("NOT hidden");
        if let Some(number) = &self.number {
            conditions.add("id =", order::id_of_number(number).map_or(0, |id| id.0));
        }
        // One index at a time: a customer has fewer orders than a state.
        if let Some(user_id) = self.user_id {
            conditions.add("user_id =", user_id.0);
        } else if let Some(status) = self.status {
            conditions.add("status =", status.as_str());
        }
        conditions.add_age(self.from.map(|from| from.0), self.to.map(|to| to.0), after);
        conditions
    }

    /// What must be looked at row by row.
    fn others(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if self.user_id.is_some() {
            // An expression keeps the engine from the index of the status, along which a customer's orders are far apart.
            conditions.add_some("status || '' =", self.status.map(OrderStatus::as_str));
        }
        conditions.add_some("total >=", self.min_total.map(Money::minor));
        conditions.add_some("total <=", self.max_total.map(Money::minor));
        conditions
    }
}

/// Up to `limit` orders behind the newest `offset`: a user's, or everybody's.
pub(crate) async fn slice(database: &Database, user_id: Option<UserId>, offset: u32, limit: u32) -> Result<Vec<Order>> {
    let wanted = Filter { user_id, ..Filter::default() }.indexed(None);
    let part = format!("{limit} OFFSET {offset}");
    let rows = database.query(&wanted.newest("orders", ORDER, &part), wanted.values()).await?;
    rows.into_iter().map(Order::read).collect()
}

/// Up to `limit` orders, and, when the look ended before the list did, the place where it ended.
pub(crate) async fn list(
    database: &Database,
    filter: &Filter,
    after: Option<Place>,
    limit: u32,
) -> Result<(Vec<Order>, Option<Place>)> {
    let others = filter.others();
    let few = !others.is_empty();
    let (rows, end) = filter.indexed(after).find_newest(others, few, database, ("orders", ORDER), limit).await?;
    let mut orders = rows.into_iter().map(Order::read).collect::<Result<Vec<_>>>()?;
    if let Some(number) = &filter.number {
        orders.retain(|order| order::number(order.id, order.created_at).eq_ignore_ascii_case(number));
    }
    Ok((orders, end))
}
