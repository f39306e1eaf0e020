//! Migrations: files `NNNN_what.sql`, embedded in the component, applied in order, each once.
//!
//! In a file, statements end with `;` before an empty line (so the body of a trigger can be written as usual).

use std::time::{SystemTime, UNIX_EPOCH};

use include_dir::Dir;

use crate::{Error, Result, params, sqlite::Connection};

/// A folder of migrations and the name it is known by in `schema_migrations`.
pub type Migrations = (&'static str, &'static Dir<'static>);

/// Brings the schema up to date. Instances that start together may all call this: one does the work, the others find it
/// done. Fails with [`Error::Busy`] when another is at it right now.
pub(crate) async fn apply(connection: &Connection, folders: &[Migrations]) -> Result<()> {
    let wanted = wanted(folders);
    if missing(connection, &wanted)?.is_empty() {
        return Ok(());
    }
    connection.use_wal().await?;
    connection.execute("BEGIN IMMEDIATE", params![]).await?;
    let applied = match apply_missing(connection, &wanted) {
        Ok(()) => connection.execute("COMMIT", params![]).await.map(drop),
        Err(error) => Err(error),
    };
    if applied.is_err() {
        connection.execute("ROLLBACK", params![]).await?;
    }
    applied
}

struct Migration {
    name: String,
    sql: &'static str,
}

/// All embedded migrations, folder by folder, each folder in the order of its numbers.
fn wanted(folders: &[Migrations]) -> Vec<Migration> {
    let mut wanted = Vec::new();
    for (folder, files) in folders {
        let mut files: Vec<_> = files.files().collect();
        files.sort_by_key(|file| file.path());
        for file in files {
            if let Some(sql) = file.contents_utf8() {
                wanted.push(Migration { name: format!("{folder}/{}", file.path().display()), sql });
            }
        }
    }
    wanted
}

fn missing<'a>(connection: &Connection, wanted: &'a [Migration]) -> Result<Vec<&'a Migration>> {
    let applied = match connection.query("SELECT name FROM schema_migrations", params![]) {
        Ok(rows) => rows.into_iter().map(|mut row| row.next::<String>()).collect::<Result<Vec<_>>>()?,
        Err(Error::Engine(message)) if message.contains("no such table") => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(wanted.iter().filter(|migration| !applied.contains(&migration.name)).collect())
}

fn apply_missing(connection: &Connection, wanted: &[Migration]) -> Result<()> {
    connection.query(
        "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL)",
        params![],
    )?;
    // Looked up again: another instance may have applied them before this one got the lock.
    for migration in missing(connection, wanted)? {
        for statement in statements(migration.sql) {
            connection
                .query(statement, params![])
                .map_err(|error| Error::Engine(format!("migration {}: {error}", migration.name)))?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        connection.query(
            "INSERT INTO schema_migrations (name, applied_at) VALUES ($1, $2)",
            params![migration.name.as_str(), i64::try_from(now).unwrap_or(i64::MAX)],
        )?;
    }
    Ok(())
}

fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(";\n\n").map(|statement| statement.trim().trim_end_matches(';')).filter(|statement| !statement.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_before_an_empty_line() {
        let sql = "CREATE TABLE a (b);\n\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\nEND;\n";
        let all: Vec<_> = statements(sql).collect();
        assert_eq!(all, ["CREATE TABLE a (b)", "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\nEND"]);
    }
}
