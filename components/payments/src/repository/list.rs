//! SQL of lists: each filter stands on an index, and all of them sort by (created_at, id), the newest first.

use model::{Money, OrderId, PaymentStatus, Timestamp, UserId};
use store::{Conditions, Database, Place};
use web::Result;

use super::{PAYMENT, Payment};

/// What a list is about; everything that is set must hold.
#[derive(Debug, Default, Clone)]
pub(crate) struct Filter {
    pub(crate) order_id: Option<OrderId>,
    pub(crate) user_id: Option<UserId>,
    pub(crate) status: Option<PaymentStatus>,
    /// Who has answered.
    pub(crate) provider: Option<String>,
    /// Made then or later.
    pub(crate) from: Option<Timestamp>,
    /// Made before.
    pub(crate) to: Option<Timestamp>,
    /// Between these, both included.
    pub(crate) min_amount: Option<Money>,
    pub(crate) max_amount: Option<Money>,
}

impl Filter {
    /// What an index finds. One at a time: an order has one payment, and a customer fewer than a state.
    fn indexed(&self, after: Option<Place>) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(order_id) = self.order_id {
            conditions.add("order_id =", order_id.0);
        } else if let Some(user_id) = self.user_id {
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
        // Expressions keep the engine from another index than that of the order or the customer, and from sorting.
        if self.order_id.is_some() {
            conditions.add_some("user_id + 0 =", self.user_id.map(|user_id| user_id.0));
        }
        if self.order_id.is_some() || self.user_id.is_some() {
            conditions.add_some("status || '' =", self.status.map(PaymentStatus::as_str));
        }
        conditions.add_some("provider || '' =", self.provider.as_deref());
        conditions.add_some("amount >=", self.min_amount.map(Money::minor));
        conditions.add_some("amount <=", self.max_amount.map(Money::minor));
        conditions
    }
}

/// Up to `limit` payments, and, when the look ended before the list did, the place where it ended.
pub(crate) async fn list(
    database: &Database,
    filter: &Filter,
    after: Option<Place>,
    limit: u32,
) -> Result<(Vec<Payment>, Option<Place>)> {
    let others = filter.others();
    let few = filter.order_id.is_none() && !others.is_empty();
    let (rows, end) = filter.indexed(after).find_newest(others, few, database, ("payments", PAYMENT), limit).await?;
    Ok((rows.into_iter().map(Payment::read).collect::<Result<_>>()?, end))
}

/// Up to `limit` payments of a customer after `offset` others, the newest first.
pub(crate) async fn slice(database: &Database, user_id: UserId, offset: u32, limit: u32) -> Result<Vec<Payment>> {
    let own = Filter { user_id: Some(user_id), ..Filter::default() }.indexed(None);
    let mut values = own.values();
    values.extend([limit.into(), offset.into()]);
    let rows = database.query(&own.newest("payments", PAYMENT, "$2 OFFSET $3"), values).await?;
    rows.into_iter().map(Payment::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(database: &rusqlite::Connection, sql: &str) -> Vec<String> {
        let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        // Only the statement matters, not what its parameters are.
        let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get::<_, String>(3).unwrap());
        }
        steps
    }

    #[test]
    fn no_list_of_payments_is_sorted_or_goes_along_the_wrong_index() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        database.execute_batch(crate::FILES.get_file("0001_payments.sql").unwrap().contents_utf8().unwrap()).unwrap();
        let (now, money) = (Some(Timestamp(7)), Some(Money::from_minor(7)));
        for place in 0..128 {
            let has = |bit: u32| place & (1 << bit) != 0;
            let filter = Filter {
                order_id: has(0).then_some(OrderId(7)),
                user_id: has(1).then_some(UserId(7)),
                status: has(2).then_some(PaymentStatus::Failed),
                from: now.filter(|_| has(3)),
                to: now.filter(|_| has(4)),
                min_amount: money.filter(|_| has(5)),
                max_amount: money.filter(|_| has(5)),
                provider: has(6).then(|| "sandbox".to_owned()),
            };
            let mut first = filter.indexed(None);
            first.append(filter.others());
            let first = steps(&database, &first.newest("payments", PAYMENT, "2"));
            assert!(first.len() == 1 && first[0].contains(" USING "), "{filter:?}: {first:?}");
            let mut conditions = filter.indexed(Some(Place(7, 7)));
            conditions.append(filter.others());
            let sql = conditions.newest("payments", PAYMENT, "20");
            let steps = steps(&database, &sql);
            let index = match (filter.order_id, filter.user_id, filter.status) {
                (Some(_), ..) => "sqlite_autoindex_payments_1 (order_id=?",
                (None, Some(_), _) => "payments_of_user (user_id=?",
                (None, None, Some(_)) => "payments_by_status (status=?",
                _ => "payments_by_age (created_at",
            };
            assert_eq!(steps.len(), 1, "{sql}: {steps:?}");
            assert!(steps[0].starts_with("SEARCH payments USING") && steps[0].contains(index), "{sql}: {steps:?}");
        }
    }
}
