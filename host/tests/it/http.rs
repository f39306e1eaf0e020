//! Routes, headers, and the host's own paths.

use http::{Method, StatusCode};

use crate::fixture::{PROBE, echoed, request, start};

const ROUTES: &str = r#"
spin_manifest_version = 2
[application]
name = "routes"
[[trigger.http]]
route = "/..."
component = "everything"
[[trigger.http]]
route = "/exact"
component = "exact"
[[trigger.http]]
route = "/users/:user_id"
component = "parameter"
[[trigger.http]]
route = "/users/me"
component = "exact"
[[trigger.http]]
route = "/files/..."
component = "files"
[component.everything]
source = "{probe}"
environment = { NAME = "everything" }
[component.exact]
source = "{probe}"
environment = { NAME = "exact" }
[component.parameter]
source = "{probe}"
environment = { NAME = "parameter" }
[component.files]
source = "{probe}"
environment = { NAME = "files" }
"#;

#[tokio::test]
async fn the_most_specific_route_wins() {
    let fixture = start(ROUTES).await;
    for (path, route) in [
        ("/exact", "/exact"),
        ("/exact/", "/exact"),
        ("/exact/more", "/..."),
        ("/", "/..."),
        ("/users/17", "/users/:user_id"),
        ("/users/me", "/users/me"),
        ("/users/17/more", "/..."),
        ("/files", "/files/..."),
        ("/files/a/b", "/files/..."),
        ("/filesystem", "/..."),
    ] {
        let mut asked = request(Method::GET, path, "");
        asked.headers_mut().insert("x-probe", "echo".parse().unwrap());
        let echo = fixture.send(asked).await.json();
        assert_eq!(echoed(&echo, "spin-raw-component-route"), [route], "{path}");
    }
}

#[tokio::test]
async fn sets_the_headers_of_spin() {
    let fixture = start(ROUTES).await;
    let mut asked = request(Method::GET, "/files/a/echo?x=1", "");
    asked.headers_mut().insert("host", "shop.example".parse().unwrap());
    let echo = fixture.send(asked).await.json();
    for (header, value) in [
        ("spin-full-url", "http://shop.example/files/a/echo?x=1"),
        ("spin-path-info", "/a/echo"),
        ("spin-matched-route", "/files/..."),
        ("spin-raw-component-route", "/files/..."),
        ("spin-component-route", "/files"),
        ("spin-base-path", "/"),
        ("host", "shop.example"),
    ] {
        assert_eq!(echoed(&echo, header), [value], "{header}");
    }
    assert!(echoed(&echo, "spin-client-addr")[0].starts_with("127.0.0.1:"));
    assert_eq!(echo["uri"], "http://shop.example/files/a/echo?x=1");
    let mut asked = request(Method::GET, "/users/17", "");
    asked.headers_mut().insert("x-probe", "echo".parse().unwrap());
    let echo = fixture.send(asked).await.json();
    assert_eq!(echoed(&echo, "spin-path-match-user-id"), ["17"]);
}

#[tokio::test]
async fn a_client_cannot_forge_the_headers_of_spin() {
    let fixture = start(PROBE).await;
    let mut forged = request(Method::GET, "/probe/echo", "");
    for (header, value) in [
        ("spin-client-addr", "0.0.0.0:0"),
        ("spin-full-url", "http://probe.spin.internal/x"),
        ("spin-path-match-user-id", "1"),
        ("host", "probe.spin.internal"),
    ] {
        forged.headers_mut().append(header, value.parse().unwrap());
    }
    let answer = fixture.send(forged).await;
    // Without the forged host none is left, and HTTP/1.1 needs one.
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);

    let mut forged = request(Method::GET, "/probe/echo", "");
    for header in ["spin-client-addr", "spin-full-url", "spin-path-match-user-id"] {
        forged.headers_mut().append(header, "forged".parse().unwrap());
        forged.headers_mut().append(header, "again".parse().unwrap());
    }
    let echo = fixture.send(forged).await.json();
    let client = echoed(&echo, "spin-client-addr");
    assert!(client.len() == 1 && client[0].starts_with("127.0.0.1:"), "{client:?}");
    assert!(!echo.to_string().contains("forged"), "{echo}");
}

#[tokio::test]
async fn private_and_unknown_paths_are_not_found() {
    let fixture = start(PROBE).await;
    for path in ["/", "/hidden/echo", "/prob", "/.well-known/spin/other"] {
        let answer = fixture.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.body, "");
    }
    let hidden = fixture.call("hidden", "/echo").await;
    assert_eq!(hidden.status, StatusCode::OK);
}

#[tokio::test]
async fn answers_health_and_info_itself() {
    let fixture = start(PROBE).await;
    let health = fixture.get("/.well-known/spin/health").await;
    assert_eq!((health.status, health.body.as_str()), (StatusCode::OK, "OK"));
    let info = fixture.get("/.well-known/spin/info").await;
    assert_eq!(info.headers["content-type"], "application/json");
    let info = info.json();
    assert_eq!((&info["name"], &info["version"]), (&"fixture".into(), &"1.2.3".into()));
}

#[tokio::test]
async fn serves_an_axum_router_and_passes_bodies() {
    let manifest = PROBE.replace("[component.probe]", "[component.hello]\nsource = \"{hello}\"\n[component.probe]")
        + "[[trigger.http]]\nroute = \"/hello\"\ncomponent = \"hello\"\n";
    let fixture = start(&manifest).await;
    assert_eq!(fixture.get("/hello").await.body, "hello");
    let body = "x".repeat(1 << 20);
    let answer = fixture.send(request(Method::POST, "/probe/body", &body)).await;
    assert_eq!(answer.json(), 1 << 20);
}

#[tokio::test]
async fn a_trap_is_a_500_and_no_more() {
    let fixture = start(PROBE).await;
    let answer = fixture.get("/probe/trap").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.body, "");
    assert_eq!(fixture.get("/probe/served").await.json(), 1);
}
