//! What the gateway answers itself: probes, and where to go from `/`.

use std::time::{Duration, Instant};

use bodega_host::{Phase, Verdict};
use reqwest::Method;
use serde_json::json;
use shop_tests::{Script, Shop, ShopOptions, needs_bench};

use crate::support::assert_message;

#[tokio::test]
async fn the_root_says_what_this_is_and_where_the_rest_is() {
    let shop = Shop::start(ShopOptions::default()).await;
    let index = shop.get("/").await.expect(200);
    assert_eq!(index["name"], "bodega");
    assert!(index["version"].as_str().is_some_and(|version| !version.is_empty()), "{index}");
    for link in ["documentation", "health", "metrics"] {
        let path = index["links"][link].as_str().unwrap();
        assert_eq!(shop.get(path).await.status, 200, "{path}");
    }
    for (method, path) in [(Method::GET, "/nowhere"), (Method::GET, "/healthz"), (Method::GET, "/docs/nowhere")] {
        let said = if path.starts_with("/docs") { "file not found" } else { &format!("Route not found: GET {path}") };
        assert_message(&shop.request(method, path).await, 404, said, path);
    }
    for path in ["/", "/livez", "/readyz", "/metrics"] {
        assert_message(&shop.delete(path).await, 405, "this resource does not do that", path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_is_alive_also_when_it_is_not_ready() {
    needs_bench!("it makes services fail");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    let ready = shop.get("/readyz").await;
    assert_eq!(ready.header("cache-control"), Some("no-store"));
    assert_eq!(ready.expect(200), shop.get("/health").await.expect(200));

    // Not even somebody who never answers is waited for.
    script.rule(|call| match call.phase {
        Phase::Before if call.interface == "http" && call.component == "gateway" => {
            Verdict::Delay(Duration::from_secs(60))
        }
        _ => Verdict::Proceed,
    });
    script.record();
    let began = Instant::now();
    let alive = shop.get("/livez").await;
    assert_eq!(alive.header("cache-control"), Some("no-store"));
    assert_eq!(alive.expect(200), json!({ "status": "up" }));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let asked = script.recorded();
    assert!(!asked.iter().any(|call| call.component == "gateway" && call.interface == "http"), "{asked:?}");

    shop.clock.advance(Duration::from_secs(1));
    let began = Instant::now();
    let ready = shop.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.header("cache-control")), (503, Some("no-store")));
    assert_eq!((&ready.body["status"], &ready.body["services"]["orders"]), (&json!("down"), &json!("down")));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

/// The files that the page names.
fn named(page: &str) -> Vec<String> {
    let attributes = page.split([' ', '>']).filter_map(|part| {
        let value = part.strip_prefix("src=").or_else(|| part.strip_prefix("href="))?;
        Some(value.trim_matches('"').to_owned())
    });
    attributes.filter(|path| path.starts_with("/docs/")).collect()
}

#[tokio::test]
async fn the_documentation_comes_from_our_own_files_under_a_strict_policy() {
    let shop = Shop::start(ShopOptions::default()).await;
    let page = shop.get("/docs").await;
    assert_eq!(shop.get("/docs/").await.text, page.text, "with and without a slash");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text.contains("<div id=\"swagger-ui\">"), "{}", page.text);
    // What the policy would not let run.
    for inline in ["<style", " style=", "javascript:", " onload=", "<base", "<form"] {
        assert!(!page.text.contains(inline), "{inline}");
    }
    assert!(page.text.split("<script").skip(1).all(|script| script.starts_with(" src=\"/docs/")));
    assert!(!page.text.contains("//"), "nothing from elsewhere");
    let files = named(&page.text);
    assert_eq!(files.len(), 5, "{files:?}");

    let client = shop_tests::client().build().unwrap();
    for path in ["/docs"].into_iter().chain(files.iter().map(String::as_str)) {
        let whole = client.get(format!("{}{path}", shop.url())).send().await.unwrap();
        assert_eq!(whole.status(), 200, "{path}");
        let header = |name: &str| whole.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let policy = header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
        assert!(header("cache-control").is_some() && header("content-encoding").is_none(), "{path}");
        let (tag, vary) = (header("etag").unwrap(), header("vary"));
        let length = whole.bytes().await.unwrap().len();
        assert!(length > 10, "{path}");

        let again = client.get(format!("{}{path}", shop.url())).header("if-none-match", tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.bytes().await.unwrap().len()), (304, 0), "{path}");

        let short = client.get(format!("{}{path}", shop.url())).header("accept-encoding", "br, gzip").send();
        let short = short.await.unwrap();
        let gzip = short.headers().get("content-encoding").is_some_and(|value| value == "gzip");
        let text = short.headers()["content-type"].to_str().unwrap().starts_with("text/");
        let bytes = short.bytes().await.unwrap();
        assert_eq!(gzip, vary.is_some_and(|vary| vary == "accept-encoding"), "{path}");
        if gzip {
            assert_eq!(bytes[..2], [0x1f, 0x8b], "{path}");
            let unpacked = u32::from_le_bytes(bytes[bytes.len() - 4..].try_into().unwrap());
            assert_eq!(unpacked as usize, length, "{path}");
            assert!(!text || bytes.len() < length / 3, "{path}: {} of {length}", bytes.len());
        } else {
            assert_eq!(bytes.len(), length, "{path}");
        }
    }
    for (path, said) in [
        ("/docs/nowhere", "file not found"),
        ("/docs/swagger-ui.js", "file not found"),
        ("/docs/..%2fdocs", "file not found"),
        ("/docs/page.js/more", "Route not found: GET /docs/page.js/more"),
    ] {
        assert_message(&shop.get(path).await, 404, said, path);
    }
}
