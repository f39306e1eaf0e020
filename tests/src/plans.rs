//! No statement scans a table: each that a shop has run is explained once, against the databases that it has left.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
    sync::{Arc, LazyLock, Mutex, Once, PoisonError},
};

use bodega_host::{Control, HostCall, Phase, Verdict};
use rusqlite::{Connection, config::DbConfig};
use servers::note;

use crate::{data, postgres::on_postgres, server::on_spin};

/// A step of a plan that reads a table from its beginning, or sorts, and is as it should be.
struct Fine {
    /// The service; all of them when empty.
    service: &'static str,
    /// What stands in the statement.
    sql: &'static str,
    /// How the step begins.
    step: &'static str,
    /// Why it takes no longer when there are more rows.
    #[expect(dead_code, reason = "for whoever reads the list")]
    because: &'static str,
}

const fn fine(service: &'static str, sql: &'static str, step: &'static str, because: &'static str) -> Fine {
    Fine { service, sql, step, because }
}

const FINE: &[Fine] = &[
    fine("", "SELECT name FROM schema_migrations", "SCAN schema_migrations", "a row for each file in migrations/"),
    fine(
        "",
        "WITH first AS (SELECT d.id, d.subscriber, d.subject, d.due_at FROM deliveries d",
        "SCAN first",
        "the 64 at most that it has just found",
    ),
    fine(
        "",
        "WITH first AS (SELECT d.id, d.subscriber, d.subject, d.due_at FROM deliveries d",
        "USE TEMP B-TREE FOR LAST 2 TERMS OF ORDER BY",
        "what is right behind those 64: 16 of each at most",
    ),
    fine(
        "",
        "FROM audit_log WHERE TRUE ORDER BY at DESC, id DESC LIMIT ",
        "SCAN audit_log USING INDEX audit_log_by_time",
        "it passes nothing over: a page from the end of the index",
    ),
    fine(
        "accounts",
        "FROM signing_keys ORDER BY created_at DESC, kid DESC LIMIT 2",
        "SCAN signing_keys",
        "there are never more than three",
    ),
    fine(
        "accounts",
        "FROM users u WHERE u.deleted_at IS NULL AND TRUE ORDER BY u.id DESC LIMIT ",
        "SCAN u USING INDEX users_by_age",
        "it passes nobody over: a page from the end of the index",
    ),
    fine(
        "catalog",
        "SELECT count(*) FROM categories",
        "SCAN categories USING COVERING INDEX",
        "it is asked for because there may be 2000 of them at most",
    ),
    fine(
        "catalog",
        "WHERE relabelled_to IS NOT NULL ORDER BY id LIMIT 1",
        "SCAN categories USING INDEX categories_renamed",
        "the first of an index of those that are being renamed",
    ),
    fine(
        "carts",
        "UPDATE redemptions SET check_at = $1 WHERE key IN (SELECT key FROM (SELECT key FROM redemptions",
        "SCAN used",
        "that is the inner query, of ten rows",
    ),
    fine("catalog", " DESC LIMIT 1 OFFSET $", "USE TEMP B-TREE", "of what is found, the newest 10,000 are sorted"),
    fine(
        "catalog",
        ") f CROSS JOIN products p ON p.id = f.id ORDER BY",
        "USE TEMP B-TREE",
        "it has been counted before: what is sorted is 10,000 or less",
    ),
    fine(
        "catalog",
        ") f GROUP BY 1 ORDER BY 2 DESC, 1 NULLS FIRST LIMIT $",
        "USE TEMP B-TREE",
        "the newest 10,000 are counted",
    ),
    fine(
        "catalog",
        " f CROSS JOIN product_metadata m INDEXED BY product_metadata_of_product",
        "USE TEMP B-TREE",
        "the newest 10,000 are counted",
    ),
    fine(
        "orders",
        "FROM orders WHERE NOT hidden ORDER BY created_at DESC, id DESC LIMIT ",
        "SCAN orders USING ",
        "it passes nothing over: a page from the end of the index, or the last of a window",
    ),
    fine(
        "orders",
        "FROM orders WHERE NOT hidden AND total ",
        "SCAN orders USING INDEX orders_by_age",
        "it has been asked before: without a window there are fewer than 1000 orders",
    ),
    fine(
        "payments",
        "FROM payments WHERE TRUE ORDER BY created_at DESC, id DESC LIMIT ",
        "SCAN payments USING ",
        "it passes nothing over: a page from the end of the index, or the last of a window",
    ),
    fine(
        "payments",
        "FROM payments WHERE amount ",
        "SCAN payments USING INDEX ",
        "it has been asked before: without a window there are fewer than 1000 payments",
    ),
    fine(
        "payments",
        "FROM payments WHERE provider || ",
        "SCAN payments USING INDEX ",
        "it has been asked before: without a window there are fewer than 1000 payments",
    ),
    fine(
        "payments",
        "INSERT INTO payments ",
        "SCAN ledger",
        "a foreign key's; SQLite takes this step only when one is violated, and payments are never deleted",
    ),
];

/// What this process has seen of all its shops: service and statement.
static SEEN: LazyLock<Mutex<HashSet<(String, String)>>> = LazyLock::new(Mutex::default);
static SKIPPED: Once = Once::new();

/// Writes down the statements of one shop that none has run before, and hands every call on.
pub(crate) struct Watch {
    inner: Option<Arc<dyn Control>>,
    fresh: Mutex<BTreeSet<(String, String)>>,
}

impl Watch {
    /// One in front of `inner`.
    pub(crate) fn before(inner: Option<Arc<dyn Control>>) -> Arc<Self> {
        Arc::new(Self { inner, fresh: Mutex::default() })
    }

    /// Fails for a statement that scans a table of the shop whose files are in `root`.
    ///
    /// # Panics
    ///
    /// With the statements and what is wrong with their plans.
    pub(crate) fn explain(&self, root: &Path) {
        if on_spin() {
            SKIPPED
                .call_once(|| note("SKIPPED on spin: what plans statements have needs the test bench: it sees them"));
            return;
        }
        if on_postgres() {
            SKIPPED.call_once(|| {
                note("SKIPPED on postgres: what plans statements have needs SQLite: Postgres has others")
            });
            return;
        }
        let fresh = std::mem::take(&mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner));
        let mut found = Vec::new();
        for (service, statements) in by_service(fresh) {
            let database = Database::open(&data::file(root, &service));
            for sql in statements {
                for step in database.wrong(&sql) {
                    if !is_fine(&service, &sql, &step) {
                        found.push(format!("{service}: {step}\n    {sql}"));
                    }
                }
            }
        }
        assert!(found.is_empty(), "plans that grow with a table:\n{}", found.join("\n"));
    }
}

impl Control for Watch {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        if call.phase == Phase::After
            && (call.interface, call.function) == ("sqlite", "execute")
            && has_plan(call.detail)
        {
            let statement = (call.component.to_owned(), call.detail.to_owned());
            let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.insert(statement.clone()) {
                self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(statement);
            }
        }
        self.inner.as_ref().map_or(Verdict::Proceed, |inner| inner.on_call(call))
    }
}

/// Transactions, settings and migrations have none.
fn has_plan(sql: &str) -> bool {
    let word = sql.split_whitespace().next().unwrap_or_default();
    ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn is_fine(service: &str, sql: &str, step: &str) -> bool {
    let of = |fine: &&Fine| fine.service.is_empty() || fine.service == service;
    FINE.iter().filter(of).any(|fine| sql.contains(fine.sql) && step.starts_with(fine.step))
}

fn by_service(statements: BTreeSet<(String, String)>) -> Vec<(String, Vec<String>)> {
    let mut services: Vec<(String, Vec<String>)> = Vec::new();
    for (service, sql) in statements {
        match services.last_mut() {
            Some((last, of)) if *last == service => of.push(sql),
            _ => services.push((service, vec![sql])),
        }
    }
    services
}

/// A database whose plans are looked at.
struct Database {
    connection: Connection,
}

impl Database {
    /// The services share their names with their databases.
    fn open(file: &Path) -> Self {
        assert!(file.exists(), "{} is missing: whose statements are these?", file.display());
        Self::of(Connection::open(file).unwrap())
    }

    fn of(connection: Connection) -> Self {
        connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        // The steps of triggers are explained with those of the statement that fires them.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP, true).unwrap();
        Self { connection }
    }

    /// The steps of a statement's plan that read all of a table or of an index, or sort.
    fn wrong(&self, sql: &str) -> Vec<String> {
        let explain = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"));
        let mut explain = match explain {
            Ok(explain) => explain,
            Err(error) => return vec![format!("it cannot be explained: {error}")],
        };
        let parameters =
            rusqlite::params_from_iter(std::iter::repeat_n(rusqlite::types::Null, explain.parameter_count()));
        let steps = explain.query_map(parameters, |row| row.get::<_, Option<String>>("detail")).unwrap();
        // Where a trigger's steps begin and end there is nothing to tell.
        steps.filter_map(Result::unwrap).filter(|step| is_wrong(step, sql)).collect()
    }
}

/// Whether a step of the plan of `sql` takes longer the more rows a table has.
fn is_wrong(step: &str, sql: &str) -> bool {
    if step.starts_with("USE TEMP B-TREE") || step.contains("AUTOMATIC") {
        return true;
    }
    let Some(what) = step.strip_prefix("SCAN ") else { return false };
    if let Some((_, index)) = what.split_once(" VIRTUAL TABLE INDEX ") {
        // Of FTS5: it looks up words (M) or a row (=). Of `json_each` and `json_tree`: they read the value that they are
        // given (1), below a path (3).
        return !(index.contains('M') || index.contains('=') || index == "1:" || index == "3:");
    }
    let name = what.split(' ').next().unwrap_or(what);
    let constant = what.contains("CONSTANT ROW") || what.ends_with("-ROW VALUES CLAUSE");
    let sql = format!("{sql} ");
    let subquery = name.starts_with('(') || [") ", ") AS "].iter().any(|end| sql.contains(&format!("{end}{name} ")));
    let expression = ["WITH ", "WITH RECURSIVE ", "), "].iter().any(|before| {
        let defined = format!("{before}{name} ");
        sql.split(&defined).skip(1).any(|after| after.starts_with("AS (") || after.starts_with('('))
    });
    !(constant || subquery || expression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(sql: &str) -> Vec<String> {
        let connection = Connection::open_in_memory().unwrap();
        let schema = "CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER, c INTEGER); CREATE INDEX a_by_b ON a (b);
            CREATE TABLE child (a_id INTEGER REFERENCES a (id));
            CREATE VIRTUAL TABLE words USING fts5 (text);
            CREATE TABLE log (at INTEGER);
            CREATE TRIGGER a_insert AFTER INSERT ON a BEGIN DELETE FROM log WHERE at < new.id; END;";
        connection.execute_batch(schema).unwrap();
        Database::of(connection).wrong(sql)
    }

    #[test]
    fn what_scans_a_table_is_found_in_every_part_of_a_statement() {
        for (sql, step) in [
            ("SELECT id FROM a WHERE c = $1", "SCAN a"),
            ("SELECT x.id FROM a x WHERE x.c = $1", "SCAN x"),
            ("UPDATE a SET c = 1 WHERE id IN (SELECT y.id FROM a y ORDER BY y.id LIMIT 5)", "SCAN y"),
            ("WITH z AS (SELECT id FROM a WHERE c = $1) SELECT id FROM z", "SCAN a"),
            ("SELECT rowid FROM words WHERE text = $1", "SCAN words VIRTUAL TABLE INDEX 0:"),
            ("SELECT id FROM a WHERE b = $1 ORDER BY c", "USE TEMP B-TREE FOR ORDER BY"),
            ("DELETE FROM a WHERE id = $1", "SCAN child"),
            ("INSERT INTO a (b) VALUES ($1)", "SCAN log"),
        ] {
            assert!(wrong(sql).iter().any(|wrong| wrong.starts_with(step)), "{sql}: {:?}", wrong(sql));
        }
    }

    #[test]
    fn what_reads_only_what_it_shows_is_fine() {
        for sql in [
            "SELECT c FROM a WHERE b = $1 ORDER BY id DESC LIMIT 3",
            "SELECT f.id FROM (SELECT id FROM a WHERE b > $1 LIMIT 3) f",
            "SELECT count(*) FROM (SELECT id FROM a WHERE b > $1 LIMIT 3) AS some",
            "WITH change (id, c) AS (VALUES ($1, $2), ($3, $4)) UPDATE a SET c = change.c FROM change WHERE a.id = change.id",
            "SELECT rowid FROM words WHERE words MATCH $1 ORDER BY rowid DESC",
            "SELECT a.id FROM json_each($1) e JOIN a ON a.id = e.value",
            "SELECT 1",
        ] {
            assert_eq!(wrong(sql), Vec::<String>::new(), "{sql}");
        }
    }
}
