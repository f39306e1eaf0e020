//! Messages of Redis and MQTT: each is handled by an instance of its own, at most once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bodega_host::{Control, HostCall, Options, Phase, Verdict};
use http::Method;
use serde_json::{Value, json};
use servers::{Mosquitto, RabbitMq, Redis, needs};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::fixture::{Fixture, refusal, request, start_with};
use crate::{mqtt, redis};

/// Two components hear Redis on three channels; the probe publishes.
const REDIS: &str = r#"
spin_manifest_version = 2
[application]
name = "fixture"
[application.trigger.redis]
address = "{{ address }}"
[variables]
address = { default = "{address}" }
channel = { default = "news" }
[[trigger.http]]
route = "/probe/..."
component = "probe"
[[trigger.redis]]
channel = "{{ channel }}"
component = "listener"
[[trigger.redis]]
channel = "{{ channel }}"
component = "other"
[[trigger.redis]]
address = "{address}"
channel = "others"
component = "other"
[component.probe]
source = "{probe}"
allowed_outbound_hosts = ["redis://*:*", "mqtt://*:*"]
key_value_stores = ["default"]
[component.listener]
source = "{listener}"
key_value_stores = ["default"]
[component.other]
source = "{listener}"
"#;

/// Nothing but a component that hears MQTT.
const MQTT: &str = r#"
spin_manifest_version = 2
[application]
name = "fixture"
[application.trigger.mqtt]
address = "{{ address }}"
username = "guest"
password = "{{ password }}"
keep_alive_interval = "1"
[variables]
address = { default = "{address}" }
password = { default = "guest", secret = true }
[[trigger.mqtt]]
topic = "orders/#"
qos = "1"
component = "listener"
[component.listener]
source = "{listener}"
key_value_stores = ["default"]
"#;

/// What components print, as `COMPONENT LINE`.
struct Heard(UnboundedReceiver<String>);

impl Heard {
    async fn next(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(20), self.0.recv());
        line.await.unwrap().unwrap()
    }

    /// The next lines, in the order of the alphabet.
    async fn next_sorted(&mut self, number: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..number {
            lines.push(self.next().await);
        }
        lines.sort();
        lines
    }
}

async fn start(manifest: &str, address: &str, adapt: impl FnOnce(&mut Options)) -> (Fixture, Heard) {
    let (sender, heard) = unbounded_channel();
    let manifest = manifest.replace("{address}", address);
    let fixture = start_with(&manifest, |options| {
        options.output = Some(Arc::new(move |component: &str, line: &[u8]| {
            // A test that has heard enough is gone.
            _ = sender.send(format!("{component} {}", String::from_utf8_lossy(line)));
        }));
        adapt(options);
    });
    (fixture.await, Heard(heard))
}

async fn publish(fixture: &Fixture, server: &Redis, messages: &[(&str, &str)]) {
    let commands: Vec<Value> = messages.iter().map(|(channel, text)| json!(["publish", channel, text])).collect();
    redis::ask(fixture, &server.url(), json!(commands)).await.json();
}

#[tokio::test]
async fn every_component_hears_its_channels_with_a_new_instance_each_time() {
    needs!("redis-server");
    let redis = Redis::start();
    let (fixture, mut heard) = start(REDIS, &redis.url(), |_| {}).await;
    let listed = |channel: &str, components: &str| (format!("{}/{channel}", redis.url()), components.to_owned());
    assert_eq!(fixture.host.subscriptions(), [listed("news", "listener, other"), listed("others", "other")]);
    publish(&fixture, &redis, &[("news", "first"), ("nowhere", "lost"), ("others", "second"), ("news", "third")]).await;
    assert_eq!(heard.next_sorted(2).await, ["listener redis: first (1)", "other redis: first (1)"]);
    assert_eq!(heard.next().await, "other redis: second (1)");
    assert_eq!(heard.next_sorted(2).await, ["listener redis: third (1)", "other redis: third (1)"]);
}

#[tokio::test]
async fn only_the_components_that_are_named_hear_anything() {
    needs!("redis-server");
    let redis = Redis::start();
    let only = |id: &str| {
        let components = vec![id.to_owned(), "probe".to_owned()];
        move |options: &mut Options| options.components = components
    };
    let (fixture, mut heard) = start(REDIS, &redis.url(), only("other")).await;
    publish(&fixture, &redis, &[("news", "first"), ("news", "second")]).await;
    assert_eq!(heard.next().await, "other redis: first (1)");
    assert_eq!(heard.next().await, "other redis: second (1)");
    let refused = crate::fixture::try_start(&REDIS.replace("{address}", &redis.url()), only("nobody")).await;
    assert!(refused.err().unwrap().to_string().contains("there is no component \"nobody\""));
}

#[tokio::test]
async fn a_handler_has_the_grants_of_its_component() {
    needs!("redis-server");
    let redis = Redis::start();
    let (fixture, mut heard) = start(REDIS, &redis.url(), |_| {}).await;
    // The other component has no store: it fails.
    publish(&fixture, &redis, &[("news", "keep k")]).await;
    assert_eq!(heard.next().await, "listener redis: keep k (1)");
    assert_eq!(fixture.get("/probe/get?key=k").await.json(), "kept");
}

#[tokio::test]
async fn a_handler_that_fails_does_not_hold_up_later_messages() {
    needs!("redis-server");
    let redis = Redis::start();
    let (fixture, mut heard) = start(REDIS, &redis.url(), |options| {
        options.request_timeout = Duration::from_millis(500);
    })
    .await;
    let messages = [("others", "fail"), ("others", "trap"), ("others", "wait 60000"), ("others", "goes on")];
    publish(&fixture, &redis, &messages).await;
    assert_eq!(heard.next().await, "other redis: goes on (1)");
}

/// Kills the first instance that is about to set a key, and lets the first that has set one lose its answer.
struct Faults(Mutex<Vec<(Phase, Verdict)>>);

impl Control for Faults {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        let mut faults = self.0.lock().unwrap();
        let matching = faults.iter().position(|(phase, _)| call.function == "set" && call.phase == *phase);
        matching.map_or(Verdict::Proceed, |place| faults.remove(place).1)
    }
}

#[tokio::test]
async fn handlers_can_be_killed_and_fail_by_control() {
    needs!("redis-server");
    let redis = Redis::start();
    let faults = vec![(Phase::Before, Verdict::Kill), (Phase::After, Verdict::Fail("lost".into()))];
    let (fixture, mut heard) = start(REDIS, &redis.url(), |options| {
        options.control = Some(Arc::new(Faults(Mutex::new(faults))));
    })
    .await;
    publish(&fixture, &redis, &[("news", "keep a"), ("news", "keep b"), ("news", "keep c")]).await;
    assert_eq!(heard.next().await, "listener redis: keep c (1)");
    for (key, value) in [("a", json!(null)), ("b", json!("kept")), ("c", json!("kept"))] {
        assert_eq!(fixture.get(&format!("/probe/get?key={key}")).await.json(), value, "{key}");
    }
}

#[tokio::test]
async fn the_host_tells_that_redis_is_gone() {
    needs!("redis-server");
    let mut redis = Redis::start();
    let (mut fixture, _) = start(REDIS, &redis.url(), |_| {}).await;
    redis.kill();
    let failed = tokio::time::timeout(Duration::from_secs(20), fixture.host.failed()).await.unwrap();
    assert!(format!("{failed:#}").contains(&format!("disconnected from {}", redis.url())), "{failed:#}");
    // Everything else goes on.
    fixture.get("/probe/served").await.json();
}

#[tokio::test]
async fn stopping_lets_a_handler_finish() {
    needs!("redis-server");
    let redis = Redis::start();
    let (fixture, mut heard) = start(REDIS, &redis.url(), |_| {}).await;
    publish(&fixture, &redis, &[("others", "begun"), ("others", "wait 500"), ("others", "too late")]).await;
    assert_eq!(heard.next().await, "other redis: begun (1)");
    tokio::time::sleep(Duration::from_millis(100)).await;
    fixture.host.stop().await.unwrap();
    assert_eq!(heard.next().await, "other redis: wait 500 (1)");
    assert_eq!(heard.0.recv().await, None);
}

#[tokio::test]
async fn mqtt_is_heard_by_topic_without_any_http() {
    needs!("mosquitto");
    let mosquitto = Mosquitto::start();
    // Who has the address serves something else.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (fixture, mut heard) =
        start(MQTT, &mosquitto.url(), |options| options.listen = taken.local_addr().unwrap()).await;
    let listed = (format!("{}/orders/#", mosquitto.url()), "listener".to_owned());
    assert_eq!(fixture.host.subscriptions(), [listed]);
    let publisher = crate::fixture::start(&redis::allowing(&mosquitto.url())).await;
    let address = format!("{}?client_id=probe", mosquitto.url());
    let long = format!("long {}", "x".repeat(5_000));
    let messages = json!([
        ["orders/placed", "one", 1],
        ["carts/left", "lost", 1],
        ["orders", "two", 0],
        ["orders/a/b", "fail", 2],
        ["orders/a/b", "trap", 2],
        ["orders/a/b", long, 2],
    ]);
    mqtt::publish(&publisher, &address, messages).await.json();
    assert_eq!(heard.next().await, "listener mqtt orders/placed: one (1)");
    assert_eq!(heard.next().await, "listener mqtt orders: two (1)");
    assert_eq!(heard.next().await, format!("listener mqtt orders/a/b: {long} (1)"));
}

#[tokio::test]
async fn a_slow_handler_does_not_cost_the_connection() {
    needs!("mosquitto");
    let mosquitto = Mosquitto::start();
    let (_fixture, mut heard) = start(MQTT, &mosquitto.url(), |_| {}).await;
    let publisher = crate::fixture::start(&redis::allowing(&mosquitto.url())).await;
    let address = format!("{}?client_id=probe", mosquitto.url());
    // The broker drops who says nothing for one and a half times the interval, which is a second.
    mqtt::publish(&publisher, &address, json!([["orders/1", "wait 4000", 1]])).await.json();
    assert_eq!(heard.next().await, "listener mqtt orders/1: wait 4000 (1)");
    mqtt::publish(&publisher, &address, json!([["orders/1", "still there", 1]])).await.json();
    assert_eq!(heard.next().await, "listener mqtt orders/1: still there (1)");
}

#[tokio::test]
async fn the_host_tells_that_the_mqtt_broker_is_gone() {
    needs!("mosquitto");
    let mut mosquitto = Mosquitto::start();
    let (mut fixture, _) = start(MQTT, &mosquitto.url(), |_| {}).await;
    mosquitto.kill();
    let failed = tokio::time::timeout(Duration::from_secs(20), fixture.host.failed()).await.unwrap();
    assert!(format!("{failed:#}").contains(&format!("disconnected from {}", mosquitto.url())), "{failed:#}");
}

#[tokio::test]
async fn rabbitmq_is_heard_and_its_password_counts() {
    needs!("rabbitmq-server");
    let rabbitmq = RabbitMq::start();
    let (_fixture, mut heard) = start(MQTT, &rabbitmq.url(), |_| {}).await;
    let publisher = crate::fixture::start(&redis::allowing(&rabbitmq.url())).await;
    let address = format!("{}?client_id=probe", rabbitmq.url());
    mqtt::publish(&publisher, &address, json!([["orders/placed", "one", 1]])).await.json();
    assert_eq!(heard.next().await, "listener mqtt orders/placed: one (1)");
    let wrong = MQTT.replace("{address}", &rabbitmq.url()).replace("default = \"guest\"", "default = \"wr0ng\"");
    let error = refusal(&wrong).await;
    assert!(error.contains("cannot subscribe") && !error.contains("wr0ng"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_heard_is_refused_at_start() {
    let address = format!("127.0.0.1:{}", servers::free_port());
    let redis = REDIS.replace("{address}", &format!("redis://:s3cret@{address}"));
    let mqtt = MQTT.replace("{address}", &format!("mqtt://{address}"));
    for (manifest, told) in [
        (redis.clone(), format!("cannot connect to redis://{address}")),
        (mqtt.clone(), format!("cannot subscribe to \"orders/#\" of mqtt://{address}")),
        (redis.replace("redis://:s3cret@", "http://:s3cret@"), "not that of a server".into()),
        (redis.replace("address = \"{{ address }}\"", "adress = \"x\""), "adress".into()),
        (
            redis.replace("[application.trigger.redis]\naddress = \"{{ address }}\"", ""),
            "[[trigger.redis]] needs an address".into(),
        ),
        (redis.replace("channel = \"{{ channel }}\"\n", ""), "channel".into()),
        (redis.replace("component = \"other\"", "component = \"nobody\""), "nobody".into()),
        (redis.replace("{{ channel }}", "{{ chanel }}"), "chanel".into()),
        (redis.replace("\"{listener}\"", "\"{probe}\""), "does not export spin:redis/inbound-redis".into()),
        (mqtt.replace("\"{listener}\"", "\"{probe}\""), "does not export handle-message".into()),
        (mqtt.replace("qos = \"1\"", "qos = \"3\""), "not \"3\"".into()),
        (mqtt.replace("qos = \"1\"", "qos = 1"), "qos".into()),
        (mqtt.replace("interval = \"1\"", "interval = \"soon\""), "keep_alive_interval: \"soon\"".into()),
        (mqtt.replace("mqtt://", "ftp://"), "the scheme ftp".into()),
        (
            mqtt.replace("[application.trigger.mqtt]", "[application.trigger.mqtt.x]"),
            "in [application.trigger.mqtt]".into(),
        ),
    ] {
        let error = refusal(&manifest).await;
        assert!(error.contains(&told) && !error.contains("s3cret"), "{told}: {error}");
    }
}

#[tokio::test]
async fn a_host_without_brokers_never_says_that_one_is_gone() {
    let mut fixture = crate::fixture::start(crate::fixture::PROBE).await;
    let waited = tokio::time::timeout(Duration::from_millis(100), fixture.host.failed()).await;
    assert!(waited.is_err());
    fixture.send(request(Method::GET, "/probe/served", "")).await.json();
}
