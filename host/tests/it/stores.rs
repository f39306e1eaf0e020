//! Variables, environment, key-value stores, randomness and the clock.

use std::time::Duration;

use bodega_host::Clock;

use crate::fixture::{PROBE, start, start_with, try_start};

#[tokio::test]
async fn variables_have_their_values() {
    let fixture = start(PROBE).await;
    let value = fixture.get("/probe/variable?name=greeting").await.json();
    assert_eq!(value, "hello, world");
    let given = [("greeting".to_owned(), "hi".to_owned())];
    let fixture = start_with(PROBE, |options| options.variables = given.into()).await;
    let value = fixture.get("/probe/variable?name=greeting").await.json();
    assert_eq!(value, "hi, world");
    let unknown = fixture.get("/probe/variable?name=other").await;
    assert!(unknown.error().contains("Undefined"), "{}", unknown.body);
    let invalid = fixture.get("/probe/variable?name=NOT-A-NAME").await;
    assert!(invalid.error().contains("InvalidName"), "{}", invalid.body);
}

#[tokio::test]
async fn a_file_beside_the_manifest_has_values() {
    let fixture = start_with(PROBE, |options| {
        let file = options.manifest.with_file_name(".env");
        std::fs::write(file, "SPIN_VARIABLE_GREETING=\"from a file\"\nOTHER=x\n").unwrap();
    });
    let value = fixture.await.get("/probe/variable?name=greeting").await.json();
    assert_eq!(value, "from a file, world");
}

#[tokio::test]
async fn a_required_variable_must_have_a_value() {
    let manifest = PROBE.replace("default = \"hello\"", "required = true");
    let error = try_start(&manifest, |_| {}).await.err().unwrap().to_string();
    assert!(error.contains("--variable greeting=") && error.contains("SPIN_VARIABLE_GREETING"));
    let given = [("greeting".to_owned(), "hi".to_owned())];
    assert!(try_start(&manifest, |options| options.variables = given.into()).await.is_ok());
    let unknown = [("greting".to_owned(), "hi".to_owned())];
    let error = try_start(PROBE, |options| options.variables = unknown.into()).await;
    assert!(error.err().unwrap().to_string().contains("greting"));
}

#[tokio::test]
async fn the_environment_is_what_the_manifest_says() {
    let fixture = start(PROBE).await;
    let environment = fixture.get("/probe/environment").await.json();
    assert_eq!(environment, serde_json::json!({ "MODE": "test" }));
}

#[tokio::test]
async fn key_value_stores_keep_values() {
    let fixture = start(PROBE).await;
    assert!(fixture.get("/probe/get?key=a").await.json().is_null());
    fixture.get("/probe/set?key=a&value=1").await.json();
    fixture.get("/probe/set?key=b&value=2").await.json();
    fixture.get("/probe/set?key=a&value=3").await.json();
    assert_eq!(fixture.get("/probe/get?key=a").await.json(), "3");
    assert_eq!(fixture.get("/probe/keys").await.json(), serde_json::json!(["a", "b"]));
    assert_eq!(fixture.call("hidden", "/get?key=a").await.json(), "3");
    fixture.get("/probe/delete?key=a").await.json();
    assert_eq!(fixture.get("/probe/exists?key=a").await.json(), false);
    let denied = fixture.get("/probe/get?store=other&key=a").await;
    assert!(denied.error().contains("AccessDenied"), "{}", denied.body);
}

#[tokio::test]
async fn the_clock_moves_when_it_is_told_to() {
    let clock = Clock::new();
    let fixture = start_with(PROBE, |options| options.clock = clock.clone()).await;
    let before = fixture.get("/probe/time").await.json().as_u64().unwrap();
    clock.advance(Duration::from_secs(86_400));
    let after = fixture.get("/probe/time").await.json().as_u64().unwrap();
    let passed = after - before;
    assert!((86_400_000..86_460_000).contains(&passed), "{passed}");
}

#[tokio::test]
async fn a_seed_determines_the_random_numbers() {
    async fn random(seed: Option<u64>) -> serde_json::Value {
        let fixture = start_with(PROBE, |options| options.random_seed = seed).await;
        fixture.get("/probe/random").await.json()
    }
    assert_eq!(random(Some(7)).await, random(Some(7)).await);
    assert_ne!(random(Some(7)).await, random(Some(8)).await);
    assert_ne!(random(None).await, random(None).await);
}
