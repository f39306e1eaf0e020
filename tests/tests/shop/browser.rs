//! The page of the API in a real browser: Debian's `chromium`, without a window.

use std::{io::ErrorKind, process::Command};

use serde_json::Value;
use shop_tests::{Shop, ShopOptions};

/// What a browser has made of a page.
struct Seen {
    /// When its scripts had nothing more to do.
    dom: String,
    /// What it wrote to its console, also what the page's policy has forbidden.
    console: Vec<String>,
}

/// Opens a page. It has half a minute of its own time, which is over as soon as nothing happens any more.
async fn open(url: String) -> Seen {
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("timeout");
    browser.args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server"]);
    browser.args(["--virtual-time-budget=30000", "--enable-logging=stderr", "--v=0", "--dump-dom"]);
    browser.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let output = tokio::task::spawn_blocking(move || browser.output().unwrap()).await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {log}", output.status);
    let console = log.lines().filter(|line| line.contains(":CONSOLE")).map(ToOwned::to_owned).collect();
    Seen { dom: String::from_utf8_lossy(&output.stdout).into_owned(), console }
}

fn has_browser() -> bool {
    match Command::new("chromium").arg("--version").output() {
        Ok(output) => output.status.success(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("chromium: {error}"),
    }
}

/// The operations of a document, by the words that the page knows them by: tag and operation id.
fn operations(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let of = |operation: &Value| {
        let word = |value: &Value| value.as_str().unwrap().replace(' ', "_").replace(':', "\\:");
        format!("id=\"operations-{}-{}\"", word(&operation["tags"][0]), word(&operation["operationId"]))
    };
    operations.filter(|operation| operation["operationId"].is_string()).map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_shows_every_operation_and_the_policy_forbids_nothing_that_the_page_does() {
    if !has_browser() {
        let name = "a_browser_shows_every_operation_and_the_policy_forbids_nothing_that_the_page_does";
        shop_tests::note(&format!("SKIPPED {name}: chromium is not on the PATH"));
        return;
    }
    // That something was forbidden would be seen.
    let forbids = "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"><script>1</script>";
    let forbidden = open(format!("data:text/html,{forbids}")).await.console;
    assert!(forbidden.iter().any(|line| line.contains("Content Security Policy")), "{forbidden:?}");

    let shop = Shop::start(ShopOptions::default()).await;
    let operations = operations(&shop.get("/openapi.json").await.expect(200));
    assert!(operations.len() > 100, "{operations:?}");
    let seen = open(format!("{}/docs", shop.url())).await;
    let missing: Vec<_> = operations.iter().filter(|operation| !seen.dom.contains(*operation)).collect();
    assert!(missing.is_empty(), "{missing:?} of {} are not in {}", operations.len(), seen.dom);
    assert_eq!(seen.console, Vec::<String>::new(), "nothing goes wrong, and nothing is forbidden");
}
