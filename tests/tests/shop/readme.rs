//! The purchase that README.md shows works as it stands there.

use std::{fs, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use shop_tests::{Shop, ShopOptions};

/// The `sh` block under a heading of the README.
fn block(heading: &str) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split_once("\n```").unwrap().0.to_owned()
}

/// Waits as a person would who looks again and again: until the order just placed has come to its end.
const UNTIL_IT_IS_OVER: &str = r#"for _ in $(seq 200); do
  case $(curl -s $SHOP/orders/$ORDER -H "Authorization: Bearer $TOKEN") in
    *'"status":"pending"'* | *'"status":"reserved"'*) sleep 0.1 ;;
    *) break ;;
  esac
done"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_purchase_in_the_readme_works() {
    let shop = Shop::start(ShopOptions::default()).await;
    let mug = shop.product(12.5, 10).await;
    let block = block("A purchase");
    assert_eq!(block.matches("\nsleep 1\n").count(), 2, "it waits for each order");
    let script =
        block.replace("http://127.0.0.1:3000", &shop.url()).replace("\nsleep 1\n", &format!("\n{UNTIL_IT_IS_OVER}\n"));
    assert!(!script.contains("127.0.0.1:3000/"), "{script}");
    // Each answer ends with a newline, so that the output can be read line by line.
    let script = format!("curl() {{ command curl --max-time 60 -w '\\n' \"$@\"; }}\n{script}");
    let run = tokio::task::spawn_blocking(|| {
        Command::new("bash").args(["-euo", "pipefail", "-c"]).arg(script).env("no_proxy", "*").output().unwrap()
    });
    let output = tokio::time::timeout(Duration::from_secs(120), run).await.unwrap().unwrap();
    let (text, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {text}\n{errors}", output.status);

    let shown: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let [user, paid, events, failed, check] = &shown[..] else { panic!("{text}\n{errors}") };
    assert_eq!(user["email"], "ada@example.com");
    let summary =
        |order: &Value| json!([order["status"], order["userId"], order["total"], order["items"][0]["productId"]]);
    assert_eq!(summary(paid), json!(["paid", user["id"], 25.0, mug]));
    let types: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ORDER_PLACED", "ORDER_RESERVED", "ORDER_PAID"]);
    assert_eq!(summary(failed), json!(["failed", user["id"], 25.0, mug]));
    assert_eq!((&check["productId"], &check["sufficient"]), (&json!(mug), &json!(true)));
    shop.settle().await;
    assert_eq!(shop.stock(mug).await["available"], 8);
    shop.audit();
}
