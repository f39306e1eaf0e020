//! How long instances live, what they finish, and how the host stops.

use std::time::{Duration, Instant};

use http::StatusCode;

use crate::fixture::{PROBE, start, start_with};

#[tokio::test]
async fn an_instance_serves_many_requests_and_not_too_many() {
    let fixture = start_with(PROBE, |options| options.max_instance_reuse = 3).await;
    let mut served = Vec::new();
    for _ in 0..6 {
        served.push(fixture.get("/probe/served").await.json().as_u64().unwrap());
    }
    assert_eq!(served, [1, 2, 3, 1, 2, 3]);
}

/// How many requests each of four had seen in its instance, all four being served at the same time.
async fn four_at_a_time(max_concurrent: usize) -> Vec<u64> {
    let fixture = start_with(PROBE, |options| options.max_concurrent = max_concurrent).await;
    let sleeps = (0..4).map(async |number| {
        // One after the other, so that the instances there are get their chance.
        tokio::time::sleep(Duration::from_millis(50 * number)).await;
        fixture.get("/probe/sleep?ms=400").await
    });
    let answers = futures::future::join_all(sleeps).await;
    answers.iter().map(|answer| answer.json().as_u64().unwrap()).collect()
}

#[tokio::test]
async fn an_instance_serves_requests_at_the_same_time_and_not_too_many() {
    assert_eq!(four_at_a_time(1).await, [1, 1, 1, 1]);
    assert_eq!(four_at_a_time(2).await, [1, 2, 1, 2]);
    assert_eq!(four_at_a_time(16).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn spawned_work_goes_on_after_the_response() {
    let fixture = start(PROBE).await;
    let begin = Instant::now();
    fixture.get("/probe/spawn?ms=300&key=done").await.json();
    assert!(begin.elapsed() < Duration::from_millis(250));
    assert!(fixture.get("/probe/get?key=done").await.json().is_null());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fixture.get("/probe/get?key=done").await.json(), "done");
}

#[tokio::test]
async fn spawned_work_outlives_the_last_request_of_an_instance() {
    let fixture = start_with(PROBE, |options| options.max_instance_reuse = 1).await;
    fixture.get("/probe/spawn?ms=1500&key=done").await.json();
    tokio::time::sleep(Duration::from_millis(1800)).await;
    assert_eq!(fixture.get("/probe/get?key=done").await.json(), "done");
}

#[tokio::test]
async fn a_request_has_a_deadline() {
    let fixture = start_with(PROBE, |options| {
        options.request_timeout = Duration::from_millis(300);
    });
    let fixture = fixture.await;
    for path in ["/probe/sleep?ms=5000", "/probe/compute?ms=5000"] {
        let begin = Instant::now();
        let answer = fixture.get(path).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_computing_guest_does_not_hold_up_others() {
    let fixture = start(PROBE).await;
    let begin = Instant::now();
    let computing = fixture.get("/probe/compute?ms=1000");
    let other = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fixture.call("hidden", "/served").await;
        begin.elapsed()
    };
    let (_, other) = tokio::join!(computing, other);
    assert!(other < Duration::from_millis(800), "{other:?}");
}

#[tokio::test]
async fn stopping_lets_requests_and_spawned_work_finish() {
    let fixture = start(PROBE).await;
    fixture.get("/probe/spawn?ms=400&key=done").await.json();
    let data = fixture.data();
    fixture.host.stop().await.unwrap();
    let store = rusqlite::Connection::open(data).unwrap();
    let query = "SELECT CAST(value AS TEXT) FROM spin_key_value WHERE key = 'done'";
    let value: String = store.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(value, "done");
}

#[tokio::test]
async fn stopping_is_bounded() {
    let fixture = start_with(PROBE, |options| {
        options.stop_timeout = Duration::from_millis(200);
    });
    let fixture = fixture.await;
    fixture.get("/probe/spawn?ms=60000&key=done").await.json();
    let begin = Instant::now();
    fixture.host.stop().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn ticks_come_on_a_timer() {
    let manifest = PROBE.to_owned() + "[component.hidden.tool.bodega]\ntick = \"/set?key=ticked&value=yes\"\n";
    let fixture = start_with(&manifest, |options| {
        options.tick_interval = Some(Duration::from_millis(50));
    });
    let fixture = fixture.await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(fixture.get("/probe/get?key=ticked").await.json(), "yes");
    let fixture = start(&manifest).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(fixture.get("/probe/get?key=ticked").await.json().is_null());
}
