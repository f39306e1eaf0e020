//! The command line.

use std::{fs, process::Command};

fn check(config: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bridge.toml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bodega-bridge"));
    command.arg("--check").arg("--config").arg(file).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_configuration_can_be_checked_without_a_server() {
    let config = "[redis]\nurl = 'redis://:s3cret@127.0.0.1:1'\n[kafka]\nbrokers = '127.0.0.1:1'\n[redis_to_kafka]\n";
    let (code, text) = check(config, &[("BODEGA_BRIDGE_TICK__URL", "http://x"), ("BODEGA_BRIDGE_TICK__TOKEN", "0042")]);
    assert_eq!((code, text.as_str()), (Some(0), "The configuration is valid. It does: redis_to_kafka, tick\n"));
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_by_its_key_and_no_secret_is() {
    let kafka = "[kafka]\nbrokers = '127.0.0.1:1'\n";
    let cases = [
        ("[redis]\nurl = 's3cret'\n".to_owned(), "redis.url"),
        ("[redis]\nurl = 'redis://x'\nuri = 's3cret'\n".to_owned(), "uri"),
        ("[mqtt]\nurl = 'http://u:s3cret@x'\n".to_owned(), "mqtt.url"),
        ("[redis_to_kafka]\n".to_owned(), "[redis]"),
        ("drain = 's3cret'\n".to_owned(), "drain"),
        (format!("{kafka}[kafka.options]\n'no.such' = 's3cret'\n"), "no.such"),
        (format!("{kafka}[kafka.options]\n'enable.idempotence' = 'false'\n"), "enable.idempotence"),
        ("[mail]\nhost = 'x'\nca_file = '/nowhere'\n".to_owned(), "mail.ca_file"),
    ];
    for (config, key) in cases {
        let (code, text) = check(&config, &[]);
        assert_eq!(code, Some(2), "{config}: {text}");
        assert!(text.contains(key) && !text.contains("s3cret"), "{config}: {text}");
    }
    let (code, text) = check("", &[("BODEGA_BRIDGE_REDYS__URL", "redis://x")]);
    assert!(code == Some(2) && text.contains("redys"), "{text}");
}
