//! Component dependencies, and what they inherit.

use crate::fixture::{Fixture, refusal, start};

fn manifest(inherit: &str) -> String {
    format!(
        r#"
spin_manifest_version = 2
[application]
name = "composition"
[[trigger.http]]
route = "/..."
component = "consumer"
[[trigger.http]]
route = {{ private = true }}
component = "other"
[component.consumer]
source = "{{consumer}}"
key_value_stores = ["default"]
sqlite_databases = ["default"]
allowed_outbound_hosts = ["http://other.spin.internal"]
environment = {{ MODE = "test" }}
variables = {{ greeting = "hello" }}
[component.consumer.dependencies]
"bodega:fixture/touch@0.1.0" = {{ component = "provider"{inherit} }}
[component.provider]
source = "{{provider}}"
[component.other]
source = "{{probe}}"
"#
    )
}

async fn touch(fixture: &Fixture, what: &str) -> String {
    let path = format!("/{what}?http://other.spin.internal/served");
    fixture.get(&path).await.body
}

#[tokio::test]
async fn inherits_nothing_by_default() {
    for inherit in ["", ", inherit_configuration = false", ", inherit_configuration = []"] {
        let fixture = start(&manifest(inherit)).await;
        assert_eq!(touch(&fixture, "key-value").await, r#"Err("Error::AccessDenied")"#, "{inherit}");
        assert_eq!(touch(&fixture, "sqlite").await, r#"Err("Error::AccessDenied")"#);
        let variable = touch(&fixture, "variable").await;
        assert!(variable.contains("does not inherit"), "{variable}");
        let fetched = touch(&fixture, "fetch").await;
        assert!(fetched.starts_with("Err"), "{fetched}");
        assert_eq!(touch(&fixture, "environment").await, "[]");
        assert_eq!(touch(&fixture, "own-key-value").await, "opened");
    }
}

#[tokio::test]
async fn inherits_what_it_names() {
    let inherit = r#", inherit_configuration = ["key_value_stores", "environment"]"#;
    let fixture = start(&manifest(inherit)).await;
    assert_eq!(touch(&fixture, "key-value").await, r#"Ok("set")"#);
    assert_eq!(touch(&fixture, "environment").await, r#"["MODE"]"#);
    assert_eq!(touch(&fixture, "sqlite").await, r#"Err("Error::AccessDenied")"#);
}

#[tokio::test]
async fn inherits_everything() {
    let fixture = start(&manifest(", inherit_configuration = true")).await;
    assert_eq!(touch(&fixture, "key-value").await, r#"Ok("set")"#);
    assert_eq!(touch(&fixture, "sqlite").await, r#"Ok("1 row")"#);
    assert_eq!(touch(&fixture, "variable").await, r#"Ok("hello")"#);
    assert_eq!(touch(&fixture, "fetch").await, r#"Ok("1")"#);
    assert_eq!(touch(&fixture, "environment").await, r#"["MODE"]"#);
}

#[tokio::test]
async fn files_are_inherited_like_everything_else() {
    for (inherit, seen) in [
        ("", "[]"),
        (", inherit_configuration = [\"environment\"]", "[]"),
        (", inherit_configuration = [\"files\"]", "[\"spin.toml\"]"),
        (", inherit_configuration = true", "[\"spin.toml\"]"),
    ] {
        let manifest =
            manifest(inherit).replace("[component.consumer]", "[component.consumer]\nfiles = [\"spin.toml\"]");
        let fixture = start(&manifest).await;
        assert_eq!(touch(&fixture, "files").await, seen, "{inherit}");
    }
}

#[tokio::test]
async fn dependencies_must_fit() {
    let unmatched = manifest("").replace("bodega:fixture/touch@0.1.0", "bodega:other/touch");
    let error = refusal(&unmatched).await;
    assert!(error.contains("matches no import"), "{error}");
    let wrong = manifest(", export = \"bodega:fixture/nothing\"");
    let error = refusal(&wrong).await;
    assert!(error.contains("does not export"), "{error}");
    let missing = manifest("").replace("component = \"provider\"", "component = \"nobody\"");
    let error = refusal(&missing).await;
    assert!(error.contains("does not exist"), "{error}");
    let configured =
        manifest("").replace("[component.provider]", "[component.provider]\nkey_value_stores = [\"default\"]");
    let error = refusal(&configured).await;
    assert!(error.contains("takes its configuration"), "{error}");
    let none = manifest("");
    let start = none.find("[component.consumer.dependencies]").unwrap();
    let end = none.find("[component.provider]").unwrap();
    let error = refusal(&(none[..start].to_owned() + &none[end..])).await;
    assert!(error.contains("the import bodega:fixture/touch@0.1.0"), "{error}");
}
