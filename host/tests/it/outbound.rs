//! Service chaining, outbound HTTP, and what may not be called.

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::{Fixture, PROBE, echoed, start};

async fn fetch(fixture: &Fixture, url: &str) -> crate::fixture::Answer {
    fixture.get(&format!("/probe/fetch?url={url}")).await
}

#[tokio::test]
async fn chains_to_what_is_allowed() {
    let fixture = start(PROBE).await;
    let answer = fetch(&fixture, "http://hidden.spin.internal/a/echo").await.json();
    assert_eq!(answer["status"], 200);
    let echo: serde_json::Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    for (header, value) in [
        ("spin-client-addr", "0.0.0.0:0"),
        ("spin-full-url", "http://localhost/a/echo"),
        ("spin-path-info", "/a/echo"),
        ("spin-raw-component-route", "/..."),
    ] {
        assert_eq!(echoed(&echo, header), [value], "{header}");
    }
    assert_eq!(echo["uri"], "http://hidden.spin.internal/a/echo");
}

#[tokio::test]
async fn refuses_what_is_not_allowed() {
    let fixture = start(PROBE).await;
    for url in [
        "http://probe.spin.internal/echo",
        "https://hidden.spin.internal/echo",
        "http://hidden.spin.internal:81/echo",
        "http://127.0.0.1:9/",
        "http://self.alt/probe/echo",
    ] {
        let answer = fetch(&fixture, url).await;
        assert!(answer.error().to_lowercase().contains("denied"), "{url}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_failure_of_the_callee_is_a_500_to_the_caller() {
    let fixture = start(PROBE).await;
    let answer = fetch(&fixture, "http://hidden.spin.internal/trap").await.json();
    assert_eq!(answer["status"], 500);
    assert_eq!(fixture.get("/probe/served").await.json(), 2);
}

#[tokio::test]
async fn a_wildcard_allows_every_component_and_self() {
    let manifest = PROBE.replace("http://hidden.spin.internal\"", "http://*.spin.internal\", \"http://self\"");
    let fixture = start(&manifest).await;
    let answer = fetch(&fixture, "http://probe.spin.internal/served").await.json();
    assert_eq!(answer["status"], 200);
    let answer = fetch(&fixture, "http://self.alt/probe/served").await.json();
    assert_eq!(answer["status"], 200);
    let answer = fetch(&fixture, "http://nobody.spin.internal/").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn calls_other_hosts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let read = stream.read(&mut head).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let manifest = PROBE.replace("http://hidden.spin.internal", &format!("http://{address}"));
    let fixture = start(&manifest).await;
    let answer = fetch(&fixture, &format!("http://{address}/x")).await.json();
    assert_eq!((&answer["status"], &answer["body"]), (&200.into(), &"hi".into()));
    let head = served.await.unwrap();
    assert!(head.starts_with("GET /x HTTP/1.1"), "{head}");
    assert!(head.contains(&format!("host: {address}")), "{head}");
}
