//! Each server keeps what it was told when it is killed, and ends with the value that stands for it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{Mosquitto, RabbitMq, Redis, find, needs};

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "not within 20 seconds: {what}");
        sleep(Duration::from_millis(20));
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Has Redis carry out commands, and returns all that it answers.
fn ask(redis: &Redis, commands: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("{commands}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.strip_suffix("+OK\r\n").unwrap().to_owned()
}

#[test]
fn redis_keeps_what_it_acknowledged() {
    needs!("redis-server");
    let mut redis = Redis::start();
    assert_eq!(ask(&redis, "SET key value"), "+OK\r\n");
    redis.kill();
    assert!(!listens(redis.port()));
    redis.start_again();
    assert_eq!(ask(&redis, "GET key"), "$5\r\nvalue\r\n");
    assert_eq!(ask(&redis, "CONFIG GET appendfsync"), "*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n");
    let port = redis.port();
    drop(redis);
    assert!(!listens(port));
}

#[test]
fn redis_takes_settings() {
    needs!("redis-server");
    let mut redis = Redis::start_with(&[("appendfsync", "everysec"), ("requirepass", "secret")]);
    for _ in 0..2 {
        let answer = ask(&redis, "AUTH secret\r\nCONFIG GET appendfsync");
        assert_eq!(answer, "+OK\r\n*2\r\n$11\r\nappendfsync\r\n$8\r\neverysec\r\n");
        redis.start_again();
    }
}

/// Runs one of Mosquitto's clients.
fn client(program: &str, port: u16, arguments: &[&str]) -> Output {
    let mut command = Command::new(find(program).unwrap());
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "news"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}

/// Subscribes in a session that outlasts its connection.
const REMEMBERED: [&str; 3] = ["-c", "-i", "reader"];

fn subscribe(port: u16) {
    client("mosquitto_sub", port, &[&REMEMBERED[..], &["-E"]].concat());
}

fn receive(port: u16) -> String {
    let output = client("mosquitto_sub", port, &[&REMEMBERED[..], &["-C", "1", "-W", "20"]].concat());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn mosquitto_keeps_messages_for_who_is_away() {
    needs!("mosquitto", "mosquitto_sub", "mosquitto_pub");
    let mut mosquitto = Mosquitto::start();
    subscribe(mosquitto.port());
    client("mosquitto_pub", mosquitto.port(), &["-m", "precious"]);
    eventually("the message is on disk", || mosquitto.has_saved("precious"));
    mosquitto.kill();
    assert!(!listens(mosquitto.port()));
    mosquitto.start_again();
    assert_eq!(receive(mosquitto.port()), "precious\n");
    let port = mosquitto.port();
    drop(mosquitto);
    assert!(!listens(port));
}

#[test]
fn rabbitmq_keeps_messages_and_leaves_nothing_behind() {
    needs!("rabbitmq-server", "mosquitto_sub", "mosquitto_pub");
    let mut rabbitmq = RabbitMq::start();
    let named = format!("bodega-{}@", rabbitmq.port());
    assert!(runs(&named));
    subscribe(rabbitmq.port());
    client("mosquitto_pub", rabbitmq.port(), &["-u", "guest", "-P", "guest", "-m", "precious"]);
    rabbitmq.kill();
    assert!(!listens(rabbitmq.port()));
    eventually("nothing of it runs", || !runs(&named));
    rabbitmq.start_again();
    assert_eq!(receive(rabbitmq.port()), "precious\n");
    let mapper = rabbitmq.mapper_port();
    drop(rabbitmq);
    assert!(!listens(mapper));
    eventually("nothing of it runs", || !runs(&named));
}

/// Whether a process has this in its arguments or its environment.
fn runs(named: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.filter_map(Result::ok).any(|process| {
        let read = |file| std::fs::read(process.path().join(file)).unwrap_or_default();
        // Our own environment does not have it; that of the children has.
        [read("cmdline"), read("environ")].concat().windows(named.len()).any(|text| text == named.as_bytes())
    })
}
