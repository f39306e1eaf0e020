//! The choke point: observing, delaying, failing, and killing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bodega_host::{Control, HostCall, Phase, Verdict};
use http::StatusCode;
use serde_json::json;

use crate::fixture::{Fixture, PROBE, start_with};

/// Decides by a closure, and remembers every call.
struct Script<F> {
    decide: F,
    seen: Mutex<Vec<String>>,
}

impl<F: Fn(&HostCall<'_>) -> Verdict + Send + Sync> Control for Script<F> {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        let line = format!("{} {}.{} {} {:?}", call.component, call.interface, call.function, call.detail, call.phase);
        self.seen.lock().unwrap().push(line);
        (self.decide)(call)
    }
}

impl<F> Script<F> {
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn controlled<F>(decide: F) -> (Fixture, Arc<Script<F>>)
where
    F: Fn(&HostCall<'_>) -> Verdict + Send + Sync + 'static,
{
    let script = Arc::new(Script { decide, seen: Mutex::default() });
    let control = script.clone();
    let fixture = start_with(PROBE, |options| options.control = Some(control)).await;
    (fixture, script)
}

/// Kills at the call with this detail, in this phase.
fn kill_at(detail: &'static str, phase: Phase) -> impl Fn(&HostCall<'_>) -> Verdict {
    move |call| {
        if call.detail == detail && call.phase == phase { Verdict::Kill } else { Verdict::Proceed }
    }
}

#[tokio::test]
async fn sees_every_call() {
    let (fixture, script) = controlled(|_| Verdict::Proceed).await;
    fixture.sql("SELECT 1").await.json();
    fixture.get("/probe/set?key=k&value=v").await.json();
    fixture.get("/probe/variable?name=greeting").await.json();
    fixture.get("/probe/fetch?url=http://hidden.spin.internal/get?key=k").await.json();
    let before: Vec<String> =
        script.seen().into_iter().filter_map(|line| line.strip_suffix(" Before").map(str::to_owned)).collect();
    assert_eq!(
        before,
        [
            "probe sqlite.open default",
            "probe sqlite.execute SELECT 1",
            "probe key-value.open default",
            "probe key-value.set k",
            "probe variables.get greeting",
            "probe http.send GET http://hidden.spin.internal/get?key=k",
            "hidden key-value.open default",
            "hidden key-value.get k",
        ]
    );
    assert_eq!(script.seen().len(), 2 * before.len());
}

#[tokio::test]
async fn killing_before_a_statement_prevents_it() {
    let insert = "INSERT INTO t VALUES (1)";
    let (fixture, _) = controlled(kill_at(insert, Phase::Before)).await;
    fixture.sql("CREATE TABLE t(n)").await.json();
    let killed = fixture.sql(insert).await;
    assert_eq!(killed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let count = fixture.sql("SELECT count(*) FROM t").await.json();
    assert_eq!(count["rows"], json!([[0]]));
}

#[tokio::test]
async fn killing_after_a_statement_keeps_its_effect() {
    let insert = "INSERT INTO t VALUES (1)";
    let (fixture, _) = controlled(kill_at(insert, Phase::After)).await;
    fixture.sql("CREATE TABLE t(n)").await.json();
    let killed = fixture.sql(insert).await;
    assert_eq!(killed.status, StatusCode::INTERNAL_SERVER_ERROR);
    let count = fixture.sql("SELECT count(*) FROM t").await.json();
    assert_eq!(count["rows"], json!([[1]]));
}

#[tokio::test]
async fn killing_in_a_transaction_rolls_it_back() {
    for phase in [Phase::Before, Phase::After] {
        for at in ["BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)", "COMMIT"] {
            let (fixture, _) = controlled(kill_at(at, phase)).await;
            fixture.sql("PRAGMA journal_mode=WAL\nCREATE TABLE t(n)").await.json();
            let work = "BEGIN IMMEDIATE\nINSERT INTO t VALUES (1)\nCOMMIT";
            let killed = fixture.sql(work).await;
            assert_eq!(killed.status, StatusCode::INTERNAL_SERVER_ERROR);
            // The lock is free at once, and only a commit that was done has an effect.
            let count =
                fixture.sql("PRAGMA busy_timeout=100\nINSERT INTO t VALUES (0)\nSELECT sum(n) FROM t").await.json();
            let committed = i64::from(at == "COMMIT" && phase == Phase::After);
            assert_eq!(count["rows"], json!([[committed]]), "{at} {phase:?}");
        }
    }
}

#[tokio::test]
async fn killing_at_an_http_call() {
    const URL: &str = "GET http://hidden.spin.internal/set?key=k&value=v";
    for (phase, effect) in [(Phase::Before, json!(null)), (Phase::After, json!("v"))] {
        let (fixture, _) = controlled(kill_at(URL, phase)).await;
        let url = "http%3A%2F%2Fhidden.spin.internal%2Fset%3Fkey%3Dk%26value%3Dv";
        let killed = fixture.get(&format!("/probe/fetch?url={url}")).await;
        assert_eq!(killed.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(fixture.get("/probe/get?key=k").await.json(), effect);
        assert_eq!(fixture.get("/probe/served").await.json(), 2);
    }
}

#[tokio::test]
async fn killing_ends_everything_that_the_instance_does() {
    let (fixture, _) = controlled(kill_at("die", Phase::Before)).await;
    fixture.get("/probe/spawn?ms=150&key=spawned").await.json();
    let sleeper = fixture.get("/probe/sleep?ms=5000");
    let killer = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fixture.get("/probe/get?key=die").await
    };
    let begin = Instant::now();
    let (sleeper, killer) = tokio::join!(sleeper, killer);
    assert_eq!(sleeper.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(killer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(begin.elapsed() < Duration::from_secs(2));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(fixture.get("/probe/get?key=spawned").await.json().is_null());
}

#[tokio::test]
async fn a_call_can_fail() {
    let (fixture, _) = controlled(|call| match (call.interface, call.phase) {
        ("key-value", Phase::After) if call.function == "set" => Verdict::Fail("no disk".into()),
        ("sqlite", Phase::Before) if call.function == "execute" => Verdict::Fail("no disk".into()),
        ("variables", Phase::Before) => Verdict::Fail("no provider".into()),
        ("http", Phase::Before) => Verdict::Fail("no network".into()),
        _ => Verdict::Proceed,
    })
    .await;
    assert!(fixture.get("/probe/set?key=k&value=v").await.error().contains("no disk"));
    assert_eq!(fixture.get("/probe/get?key=k").await.json(), "v");
    assert!(fixture.sql("SELECT 1").await.error().contains("no disk"));
    assert!(fixture.get("/probe/variable?name=greeting").await.error().contains("no provider"));
    let fetched = fixture.get("/probe/fetch?url=http://hidden.spin.internal/served").await;
    assert!(fetched.error().contains("no network"), "{}", fetched.body);
}

#[tokio::test]
async fn a_call_can_be_delayed() {
    let (fixture, _) = controlled(|call| match call.phase {
        Phase::Before if call.function == "get" => Verdict::Delay(Duration::from_millis(200)),
        _ => Verdict::Proceed,
    })
    .await;
    let begin = Instant::now();
    fixture.get("/probe/get?key=k").await.json();
    assert!(begin.elapsed() >= Duration::from_millis(200));
}
