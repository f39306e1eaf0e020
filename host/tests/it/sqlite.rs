//! SQLite: values, errors, and concurrent writers.

use http::Method;
use serde_json::json;

use crate::fixture::{PROBE, request, start};

#[tokio::test]
async fn statements_have_rows_and_effects() {
    let fixture = start(PROBE).await;
    let result = fixture
        .sql("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB)\nINSERT INTO t(a,b,c) VALUES ('x', 1.5, x'0102'), (NULL, 2, NULL)")
        .await
        .json();
    assert_eq!((&result["changes"], &result["lastInsertRowid"]), (&json!(2), &json!(2)));
    let result = fixture.sql("SELECT * FROM t ORDER BY id").await.json();
    assert_eq!(result["columns"], json!(["id", "a", "b", "c"]));
    let rows = json!([[1, "x", 1.5, [1, 2]], [2, null, 2.0, null]]);
    assert_eq!(result["rows"], rows);
    let returned = fixture.sql("INSERT INTO t(a) VALUES ('y') RETURNING id").await;
    assert_eq!(returned.json()["rows"], json!([[3]]));
}

#[tokio::test]
async fn errors_are_told() {
    let fixture = start(PROBE).await;
    fixture.sql("CREATE TABLE t(id INTEGER PRIMARY KEY)").await.json();
    for (statements, error) in [
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM nowhere", "no such table"),
        ("INSERT INTO t VALUES (1)\nINSERT INTO t VALUES (1)", "UNIQUE"),
        ("SELECT ?1", "parameter"),
        ("ATTACH '/tmp/other.db' AS other", "not authorized"),
    ] {
        let answer = fixture.sql(statements).await;
        assert!(answer.error().contains(error), "{statements}: {}", answer.body);
    }
    let denied = request(Method::POST, "/probe/sql?database=other", "SELECT 1");
    let denied = fixture.send(denied).await;
    assert!(denied.error().contains("AccessDenied"), "{}", denied.body);
}

#[tokio::test]
async fn a_dropped_connection_rolls_back() {
    let fixture = start(PROBE).await;
    fixture.sql("CREATE TABLE t(n INTEGER)").await.json();
    fixture.sql("BEGIN IMMEDIATE\nINSERT INTO t VALUES (1)").await.json();
    let result = fixture.sql("SELECT count(*) FROM t").await.json();
    assert_eq!(result["rows"], json!([[0]]));
}

#[tokio::test]
async fn writers_wait_for_each_other() {
    let fixture = start(PROBE).await;
    fixture.sql("PRAGMA journal_mode=WAL\nCREATE TABLE t(n INTEGER)").await.json();
    let transaction = "BEGIN IMMEDIATE\nINSERT INTO t VALUES (1)\nSLEEP 2\nCOMMIT";
    let all = (0..40).map(|_| fixture.sql(transaction));
    for answer in futures::future::join_all(all).await {
        answer.json();
    }
    let result = fixture.sql("SELECT sum(n) FROM t").await.json();
    assert_eq!(result["rows"], json!([[40]]));
}

#[tokio::test]
async fn a_busy_database_is_an_error_after_the_timeout() {
    let fixture = start(PROBE).await;
    fixture.sql("PRAGMA journal_mode=WAL\nCREATE TABLE t(n INTEGER)").await.json();
    let holder = fixture.sql("BEGIN IMMEDIATE\nSLEEP 500\nCOMMIT");
    let other = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        fixture.sql("PRAGMA busy_timeout=50\nBEGIN IMMEDIATE").await
    };
    let (holder, other) = tokio::join!(holder, other);
    holder.json();
    assert!(other.error().contains("database is locked"), "{}", other.body);
    let timeout = fixture.sql("PRAGMA busy_timeout=50\nPRAGMA busy_timeout").await;
    assert_eq!(timeout.json()["rows"], json!([[50]]));
}
