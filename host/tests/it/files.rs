//! Files that a component is given.

use std::fs;
use std::path::Path;

use bodega_host::Options;
use http::StatusCode;

use crate::fixture::{Fixture, PROBE, start_with, try_start};

/// Writes the files that the tests mount, beside the manifest.
fn write(options: &mut Options) {
    let directory = options.manifest.parent().unwrap();
    for (path, text) in [
        ("config/orders.toml", "limit = 1"),
        ("config/more/deep/carts.toml", "limit = 2"),
        ("config/notes.md", "notes"),
        ("config/.hidden", "hidden"),
        ("secret.txt", "secret"),
    ] {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn manifest(fields: &str) -> String {
    PROBE.replace("[component.probe]", &format!("[component.probe]\n{fields}"))
}

async fn open(fields: &str) -> Fixture {
    start_with(&manifest(fields), write).await
}

async fn refused(fields: &str) -> String {
    match try_start(&manifest(fields), write).await {
        Ok(_) => panic!("it started: {fields}"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn a_component_sees_the_files_it_is_given_and_no_others() {
    let all = ["/config/.hidden", "/config/more/deep/carts.toml", "/config/notes.md", "/config/orders.toml"];
    let toml = ["/config/more/deep/carts.toml", "/config/orders.toml"];
    for (fields, seen) in [
        (r#"files = [{ source = "config", destination = "/config" }]"#, &all[..]),
        (r#"files = ["config/**/*"]"#, &all),
        (r#"files = ["config/**/*.toml"]"#, &toml),
        (r#"files = ["config/*.toml"]"#, &toml[1..]),
        (r#"files = ["config/orders.toml"]"#, &toml[1..]),
        (r#"files = ["config/[op]*.toml", "config/notes.md"]"#, &all[2..]),
        (
            r#"files = [{ source = "config/orders.toml", destination = "/a/b.toml" }, { source = "config/more", destination = "c" }]"#,
            &["/a/b.toml", "/c/deep/carts.toml"],
        ),
        (r#"files = [{ source = "config/more", destination = "/" }]"#, &["/deep/carts.toml"]),
        (
            "files = [{ source = \"config\", destination = \"/config\" }]\n\
             exclude_files = [\"config/.*\", \"**/*.md\"]",
            &toml,
        ),
        (r#"files = ["nothing/**/*"]"#, &[]),
    ] {
        let fixture = open(fields).await;
        assert_eq!(fixture.get("/probe/files").await.json(), serde_json::json!(seen), "{fields}");
    }
}

#[tokio::test]
async fn files_can_be_read_and_not_be_changed() {
    let fixture = open(r#"files = ["config/orders.toml"]"#).await;
    let read = async |path: &str| fixture.get(&format!("/probe/read?path={path}")).await;
    assert_eq!(read("/config/orders.toml").await.json(), "limit = 1");
    for path in ["/secret.txt", "/spin.toml", "/config/../../spin.toml", "/../spin.toml", "/etc/passwd"] {
        assert_eq!(read(path).await.status, StatusCode::CONFLICT, "{path}");
    }
    for deed in ["write?path=/config/orders.toml", "write?path=/config/new", "remove?path=/config/orders.toml"] {
        assert_eq!(fixture.get(&format!("/probe/{deed}")).await.status, StatusCode::CONFLICT, "{deed}");
    }
    assert_eq!(read("/config/orders.toml").await.json(), "limit = 1");
    // Another component has none of them.
    assert!(!fixture.call("hidden", "/files").await.body.contains("config"));
}

#[tokio::test]
async fn copies_are_made_at_the_start_and_go_with_the_host() {
    let mut original = None;
    let fixture = start_with(&manifest(r#"files = ["config/*.toml"]"#), |options| {
        write(options);
        original = Some(options.manifest.with_file_name("config").join("orders.toml"));
    })
    .await;
    fs::write(original.unwrap(), "limit = 9").unwrap();
    assert_eq!(fixture.get("/probe/read?path=/config/orders.toml").await.json(), "limit = 1");
}

#[tokio::test]
async fn what_cannot_be_mounted_is_refused_by_name() {
    let outside = Path::new("/etc");
    for (fields, told) in [
        (r#"files = ["missing.txt"]"#, "\"missing.txt\": there is no such file"),
        (r#"files = [{ source = "missing", destination = "/" }]"#, "no such file or directory"),
        (r#"files = [{ source = "secret.txt", destination = "/" }]"#, "must name a file"),
        (r#"files = [{ source = "config", destination = "/../x" }]"#, "`..`"),
        (r#"files = ["../*"]"#, "`..`"),
        (&format!("files = [{{ source = {outside:?}, destination = \"/\" }}]"), "inside the application's directory"),
        (r#"files = ["config"]"#, "spin up"),
        ("files = [\"config/*\"]\nexclude_files = [\"[\"]", "exclude_files"),
        (r#"files = [{ source = "config", destination = "/", mode = "rw" }]"#, "files"),
        ("files = \"config\"", "files"),
    ] {
        let error = refused(fields).await;
        assert!(error.contains(told), "{fields}: {error}");
    }
}
