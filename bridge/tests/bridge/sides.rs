//! Health, metrics, and what wakes the shop.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use serde_json::{Value, json};
use servers::{Redis, needs};

use crate::support::{Bridge, eventually, get, kafka, lock};

#[test]
fn health_says_which_side_is_not_connected() {
    needs!("redis-server", "java", "mvn");
    let (kafka, mut redis) = (kafka(), Redis::start());
    let brokers = lock(&kafka).brokers();
    let bridge =
        Bridge::start(&format!("[redis]\nurl = '{}'\n[kafka]\nbrokers = '{brokers}'\n[redis_to_kafka]\n", redis.url()));
    let health = || {
        let (status, text) = get(&bridge.url("/health"));
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let well = (200, json!({"status": "up", "sides": {"kafka": "up", "redis": "up"}}));
    eventually("both are connected", || (health() == well).then_some(()));
    redis.kill();
    eventually("redis is down", || {
        let (status, answer) = health();
        (status == 503 && answer["sides"]["redis"] == "down").then_some(())
    });
    redis.start_again();
    eventually("both are connected again", || (health() == well).then_some(()));
    assert!(bridge.metric("bodega_bridge_reconnects_total{side=\"redis\"}") >= 1);
    assert_eq!(bridge.metric("bodega_bridge_connected{side=\"redis\"}"), 1);
}

#[test]
fn the_shop_is_woken_with_its_token() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            // The first round fails.
            let status = if number == 0 { "503 Service Unavailable" } else { "200 OK" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            if sender.send(head).is_err() {
                return;
            }
        }
    });
    let config = format!("[tick]\nurl = 'http://127.0.0.1:{port}/'\ntoken = 's3cret'\nevery = '100ms'\n");
    let bridge = Bridge::start(&config);
    for _ in 0..3 {
        let head = requests.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(head[0], "POST /tick HTTP/1.1");
        assert!(head.iter().any(|line| line.eq_ignore_ascii_case("authorization: Bearer s3cret")), "{head:?}");
    }
    eventually("the shop is well", || (get(&bridge.url("/health")).0 == 200).then_some(()));
    assert_eq!(bridge.metric("bodega_bridge_failures_total{route=\"tick\"}"), 1);
    assert!(!bridge.process.tail().contains("s3cret"));
}
