//! The audit log: what admins did, written by each service into its own database, in the transaction that does it.

use std::{fmt::Display, time::Duration};

use garde::Validate;
use model::{Role, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Conditions, Database, Place, Row, Transaction};
use utoipa::ToSchema;

use crate::{Caller, Result};

/// How long entries are kept.
const KEPT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Who did something, as the service is told that does it for an admin who asked elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The account.
    #[garde(skip)]
    pub user_id: UserId,
    /// What it may do.
    #[garde(skip)]
    pub role: Role,
    /// The request, by the id that its answer carries.
    #[garde(length(max = 128))]
    pub request_id: String,
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self { user_id: caller.user_id, role: caller.role, request_id: caller.request_id.clone() }
    }
}

/// Writes down that `caller` does `action` to `subject`, if and when `transaction` commits. Nothing, and no statement, when
/// the caller is no admin. `details` have no secrets, and of persons only their ids.
pub async fn record(
    transaction: &Transaction,
    caller: &Caller,
    action: &str,
    subject: impl Display,
    details: Value,
) -> Result<()> {
    if !caller.role.administers() {
        return Ok(());
    }
    record_all(transaction, &caller.into(), action, &[(subject.to_string(), details)]).await
}

/// The same for several subjects, with one statement.
pub async fn record_all(
    transaction: &Transaction,
    actor: &Actor,
    action: &str,
    done: &[(String, Value)],
) -> Result<()> {
    const COLUMNS: usize = 8;
    if done.is_empty() || !actor.role.administers() {
        return Ok(());
    }
    let trace = events::trace::current().map(|trace| trace.traceparent.clone());
    let now = Timestamp::now().0;
    let mut values = Vec::with_capacity(done.len() * COLUMNS);
    let mut rows = Vec::with_capacity(done.len());
    for (subject, details) in done {
        let first = values.len() + 1;
        let places: Vec<_> = (first..first + COLUMNS).map(|place| format!("${place}")).collect();
        rows.push(format!("({})", places.join(", ")));
        values.extend(store::params![
            now,
            actor.user_id.0,
            actor.role.as_str(),
            action,
            subject.as_str(),
            serde_json::to_string(details)?,
            actor.request_id.as_str(),
            trace.clone()
        ]);
    }
    let insert = format!(
        "INSERT INTO audit_log (at, actor, role, action, subject, details, request_id, traceparent) VALUES {}",
        rows.join(", ")
    );
    Ok(transaction.execute(&insert, values).await?)
}

/// What to look for in the log of one service; everything that is set must hold.
#[derive(Debug, Default, Clone, Serialize, Deserialize, Validate)]
#[serde(rename_all = "camelCase")]
pub struct Search {
    /// The account that did it.
    #[garde(skip)]
    pub actor: Option<UserId>,
    /// What was done.
    #[garde(length(max = 200))]
    pub action: Option<String>,
    /// To what.
    #[garde(length(max = 200))]
    pub subject: Option<String>,
    /// Then or later.
    #[garde(skip)]
    pub from: Option<Timestamp>,
    /// Before.
    #[garde(skip)]
    pub to: Option<Timestamp>,
    /// Older than the entry of that time and id.
    #[garde(skip)]
    pub before: Option<(i64, i64)>,
    /// How many at most.
    #[garde(range(max = 101))]
    pub limit: u32,
}

/// What an admin did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub struct Entry {
    /// Unique in its service.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor_id: UserId,
    /// As what.
    pub role: Role,
    /// What, such as `order.shipped`.
    #[schema(example = "order.status")]
    pub action: String,
    /// To what, such as `order/17`.
    #[schema(example = "order/17")]
    pub subject: String,
    /// Further facts.
    #[schema(value_type = Object, example = json!({"to": "shipped"}))]
    pub details: Value,
    /// The request, by the id that its answer carried.
    #[schema(example = "8f14e45fceea467f9575")]
    pub request_id: String,
    /// The request's trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    pub traceparent: Option<String>,
}

impl Search {
    /// Each combination stands on one index. A thing is not touched often: what else is asked of it is looked at row by
    /// row.
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.add_some("subject =", self.subject.as_deref());
        // The words of the index that is meant; of no index, where that of the subject is.
        let (actor, action) = match (&self.subject, self.actor, &self.action) {
            (Some(_), ..) => ("actor * 1 =", "'' || action ="),
            (None, Some(_), Some(_)) => ("actor =", "action ="),
            _ => ("actor + 0 =", "action || '' ="),
        };
        conditions.add_some(actor, self.actor.map(|actor| actor.0));
        conditions.add_some(action, self.action.as_deref());
        conditions.add_some("at >=", self.from.map(|from| from.0));
        conditions.add_some("at <", self.to.map(|to| to.0));
        if let Some(before) = self.before {
            conditions.add_place("(at, id) <", Place(before.0, before.1));
        }
        conditions
    }
}

/// Entries of one service, newest first.
pub(crate) async fn search(database: &Database, search: &Search) -> Result<Vec<Entry>> {
    let conditions = search.conditions();
    let query = statement(&conditions, search.limit);
    database.query(&query, conditions.values()).await?.into_iter().map(read).collect()
}

fn statement(conditions: &Conditions, limit: u32) -> String {
    format!(
        "SELECT id, at, actor, role, action, subject, details, request_id, traceparent FROM audit_log WHERE {} \
         ORDER BY at DESC, id DESC LIMIT {limit}",
        conditions.sql()
    )
}

fn read(mut row: Row) -> Result<Entry> {
    Ok(Entry {
        id: row.next()?,
        at: Timestamp(row.next()?),
        actor_id: UserId(row.next()?),
        role: row.next::<String>()?.parse().map_err(|error| crate::Error::Internal(format!("audit_log: {error}")))?,
        action: row.next()?,
        subject: row.next()?,
        details: serde_json::from_str(&row.next::<String>()?)?,
        request_id: row.next()?,
        traceparent: row.next()?,
    })
}

/// Forgets entries that are old, a bounded number at a time.
pub(crate) async fn prune(database: &Database, now: Timestamp) -> Result<()> {
    Ok(database.prune("audit_log", "id", "at < $1", store::params![now.before(KEPT).0]).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_search_goes_along_an_index_and_none_is_sorted() {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        let tables = events::MIGRATIONS.1.get_file("0003_audit.sql").unwrap();
        database.execute_batch(tables.contents_utf8().unwrap()).unwrap();
        for place in 0..32 {
            let has = |bit: u32| place & (1 << bit) != 0;
            let search = Search {
                actor: has(0).then_some(UserId(7)),
                action: has(1).then(|| "x".into()),
                subject: has(2).then(|| "x".into()),
                from: has(3).then_some(Timestamp(7)),
                to: has(4).then_some(Timestamp(7)),
                before: Some((7, 7)),
                limit: 21,
            };
            let sql = statement(&search.conditions(), search.limit);
            let mut plan = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            // Only the statement matters, not what its parameters are.
            let (mut rows, mut steps) = (plan.raw_query(), Vec::new());
            while let Some(row) = rows.next().unwrap() {
                steps.push(row.get::<_, String>(3).unwrap());
            }
            let index = match (has(2), has(0), has(1)) {
                (true, ..) => "audit_log_of_subject (subject=? AND at",
                (_, true, true) => "audit_log_of_both (actor=? AND action=? AND at",
                (_, true, false) => "audit_log_of_actor (<expr>=? AND at",
                (_, false, true) => "audit_log_of_action (<expr>=? AND at",
                _ => "audit_log_by_time (at",
            };
            assert_eq!(steps.len(), 1, "{sql}: {steps:?}");
            assert!(steps[0].starts_with("SEARCH") && steps[0].contains(index), "{sql}: {steps:?}");
        }
    }
}
