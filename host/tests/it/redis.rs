//! Redis: what components can have it do, and what they are told.

use std::sync::{Arc, Mutex};

use bodega_host::{Control, HostCall, Phase, Verdict};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use servers::{Redis, needs};

use crate::fixture::{Answer, Fixture, PROBE, request, start, start_with};

/// The probe, which may connect to these hosts.
pub fn allowing(host: &str) -> String {
    PROBE.replace("\"http://hidden.spin.internal\"", &format!("{host:?}"))
}

pub async fn ask(fixture: &Fixture, address: &str, commands: Value) -> Answer {
    let path = format!("/probe/redis?address={address}");
    fixture.send(request(Method::POST, &path, &commands.to_string())).await
}

#[tokio::test]
async fn carries_out_every_function() {
    needs!("redis-server");
    let redis = Redis::start();
    let fixture = start(&allowing(&redis.url())).await;
    let commands = json!([
        ["get", "k"],
        ["set", "k", "vä"],
        ["get", "k"],
        ["incr", "n"],
        ["incr", "n"],
        ["del", "k", "n", "nothing"],
        ["get", "k"],
        ["sadd", "s", "a", "b"],
        ["sadd", "s", "b"],
        ["srem", "s", "a", "x"],
        ["smembers", "s"],
        ["publish", "nobody", "listens"],
    ]);
    let results = ask(&fixture, &redis.url(), commands).await.json();
    assert_eq!(results, json!([null, "set", "vä", 1, 2, 2, null, 2, 0, 1, ["b"], "published"]));
}

#[tokio::test]
async fn answers_of_other_commands_are_flattened() {
    needs!("redis-server");
    let redis = Redis::start();
    let fixture = start(&allowing(&redis.url())).await;
    let commands = json!([
        ["SET", "k", "v"],
        ["HSET", "h", "number", 7, "text", "x"],
        ["HGETALL", "h"],
        ["MGET", "k", "nothing"],
        ["XADD", "stream", "1-1", "event", "one", "type", "a"],
        ["XADD", "stream", "2-1", "event", "two"],
        ["XGROUP", "CREATE", "stream", "readers", "0"],
        ["XREADGROUP", "GROUP", "readers", "me", "COUNT", 10, "STREAMS", "stream", ">"],
        ["XREADGROUP", "GROUP", "readers", "me", "COUNT", 10, "STREAMS", "stream", ">"],
        ["XACK", "stream", "readers", "1-1"],
        ["XPENDING", "stream", "readers"],
        ["EVAL", "return {1, {'a', {redis.call('INCR', KEYS[1])}}, redis.status_reply('FINE')}", 1, "counter"],
    ]);
    let results = ask(&fixture, &redis.url(), commands).await.json();
    let expected = json!([
        [{ "status": "OK" }],
        [2],
        ["number", "7", "text", "x"],
        ["v", null],
        ["1-1"],
        ["2-1"],
        [{ "status": "OK" }],
        ["stream", "1-1", "event", "one", "type", "a", "2-1", "event", "two"],
        [null],
        [1],
        [1, "2-1", "2-1", "me", "1"],
        [1, "a", 1, { "status": "FINE" }],
    ]);
    assert_eq!(results, expected);
}

#[tokio::test]
async fn errors_are_told_and_the_connection_goes_on() {
    needs!("redis-server");
    let redis = Redis::start();
    let fixture = start(&allowing(&redis.url())).await;
    let commands = json!([
        ["set", "text", "x"],
        ["incr", "text"],
        ["sadd", "text", "member"],
        ["NONSENSE"],
        ["EVAL", "return redis.error_reply('MINE is wrong')", 0],
        ["get", "text"],
    ]);
    let results = ask(&fixture, &redis.url(), commands).await.json();
    for (place, told) in [(1, "not an integer"), (2, "WRONGTYPE"), (3, "unknown command"), (4, "MINE")] {
        let error = results[place]["error"].as_str().unwrap();
        assert!(error.starts_with("Error::Other") && error.contains(told), "{error}");
    }
    assert_eq!((&results[0], &results[5]), (&json!("set"), &json!("x")));
}

#[tokio::test]
async fn a_password_and_a_database_are_part_of_the_address() {
    needs!("redis-server");
    let redis = Redis::start_with(&[("requirepass", "s3cret")]);
    let fixture = start(&allowing(&redis.url())).await;
    let address = |user: &str| format!("redis://{user}127.0.0.1:{}/1", redis.port());
    let results = ask(&fixture, &address(":s3cret@"), json!([["set", "k", "v"], ["SELECT", 0], ["get", "k"]])).await;
    assert_eq!(results.json(), json!(["set", [{ "status": "OK" }], null]));
    for wrong in [":wrong@", "nobody:s3cret@"] {
        let refused = ask(&fixture, &address(wrong), json!([])).await;
        assert!(refused.error().contains("Other"), "{}", refused.body);
    }
}

#[tokio::test]
async fn only_what_is_allowed_can_be_connected_to() {
    needs!("redis-server");
    let redis = Redis::start();
    let elsewhere = format!("redis://127.0.0.1:{}", servers::free_port());
    for hosts in ["http://*:*", "rediss://*:*", &elsewhere, "redis://*.example.com:*", ""] {
        let fixture = start(&allowing(hosts)).await;
        let refused = ask(&fixture, &redis.url(), json!([])).await;
        assert!(refused.error().contains("InvalidAddress"), "{hosts}: {}", refused.body);
    }
    let fixture = start(&allowing("redis://*:*")).await;
    ask(&fixture, &redis.url(), json!([])).await.json();
    for bad in ["", "http://127.0.0.1:6379", "redis://"] {
        let refused = ask(&fixture, bad, json!([])).await;
        assert!(refused.error().contains("InvalidAddress"), "{bad}: {}", refused.body);
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error() {
    needs!("redis-server");
    let mut redis = Redis::start();
    let fixture = start(&allowing(&redis.url())).await;
    // The connection is there, and the command is under way when the server dies.
    let url = redis.url();
    let waiting = ask(&fixture, &url, json!([["BLPOP", "nothing", 0], ["get", "k"]]));
    let killing = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        redis.kill();
    };
    let (answer, ()) = tokio::join!(waiting, killing);
    let results = answer.json();
    assert!(results[0]["error"].is_string() && results[1]["error"].is_string(), "{results}");
    let refused = ask(&fixture, &redis.url(), json!([])).await;
    assert!(refused.error().contains("Other"), "{}", refused.body);
    redis.start_again();
    ask(&fixture, &redis.url(), json!([["get", "k"]])).await.json();
}

/// Notes every call, fails what comes after `INCR`, and kills who is about to publish.
#[derive(Default)]
struct Faults(Mutex<Vec<String>>);

impl Control for Faults {
    fn on_call(&self, call: &HostCall<'_>) -> Verdict {
        match (call.function, call.detail, call.phase) {
            (_, "INCR", Phase::After) => return Verdict::Fail("lost".into()),
            ("publish", _, Phase::Before) => return Verdict::Kill,
            (_, _, Phase::After) => {}
            _ => self.0.lock().unwrap().push(format!("{}.{} {}", call.interface, call.function, call.detail)),
        }
        Verdict::Proceed
    }
}

#[tokio::test]
async fn control_sees_calls_without_secrets_and_can_fault_them() {
    needs!("redis-server");
    let redis = Redis::start_with(&[("requirepass", "s3cret")]);
    let faults = Arc::new(Faults::default());
    let fixture = start_with(&allowing(&redis.url()), |options| options.control = Some(faults.clone())).await;
    let address = format!("redis://:s3cret@127.0.0.1:{}", redis.port());
    let commands = json!([["AUTH", "s3cret"], ["INCR", "n"], ["get", "n"], ["del", "a", "b"]]);
    let results = ask(&fixture, &address, commands).await.json();
    assert!(results[1]["error"].as_str().unwrap().contains("lost"), "{results}");
    assert_eq!((&results[2], &results[3]), (&json!("1"), &json!(0)));
    let open = format!("redis.open {}", redis.url());
    let seen = std::mem::take(&mut *faults.0.lock().unwrap());
    assert_eq!(seen, [&open, "redis.execute AUTH", "redis.execute INCR", "redis.get n", "redis.del a b"]);
    let killed = ask(&fixture, &address, json!([["set", "n", "5"], ["publish", "c", "x"], ["set", "n", "6"]])).await;
    assert_eq!(killed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(ask(&fixture, &address, json!([["get", "n"]])).await.json(), json!(["5"]));
}
