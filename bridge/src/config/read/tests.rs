use std::io::Write;

use super::*;

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value.to_string()));
    Config::read_from(Some(file.path()), variables)
}

fn complaint(text: &str, variables: &[(&str, &str)]) -> String {
    read(text, variables).unwrap_err().to_string()
}

#[test]
fn what_has_no_table_is_not_done() {
    assert!(read("", &[]).unwrap().parts().is_empty());
    let text = "[redis]\nurl = 'redis://x'\n[kafka]\nbrokers = 'k:9092'\n[redis_to_kafka]\n";
    let config = read(text, &[]).unwrap();
    assert_eq!(config.parts(), ["redis_to_kafka"]);
    let route = config.redis_to_kafka.unwrap();
    assert_eq!((route.stream.as_str(), route.group.as_str()), ("bodega:events", "bodega-bridge"));
    assert!(route.consumer.ends_with(&std::process::id().to_string()));
}

#[test]
fn the_environment_goes_before_the_file() {
    let config = read("[http]\nlisten = '127.0.0.1:1'\n", &[("HTTP__LISTEN", "127.0.0.1:2"), ("DRAIN", "3s")]).unwrap();
    assert_eq!(config.http.listen.port(), 2);
    assert_eq!(config.drain, Duration::from_secs(3));
}

#[test]
fn a_password_of_digits_is_a_text() {
    let variables =
        [("MAIL__HOST", "smtp"), ("MAIL__USERNAME", "1"), ("MAIL__PASSWORD", "0042"), ("MAIL__PORT", "2525")];
    let mail = read("", &variables).unwrap().mail.unwrap();
    assert_eq!(mail.password.unwrap().reveal(), "0042");
    assert_eq!(mail.port, Some(2525));
}

#[test]
fn an_unknown_key_is_named() {
    assert!(complaint("[redis]\nurl = 'redis://x'\nurk = 1\n", &[]).contains("urk"));
    assert!(complaint("[cassandra]\n", &[]).contains("cassandra"));
    assert!(
        complaint("", &[("TICK__EVERYY", "3s"), ("TICK__URL", "http://x"), ("TICK__TOKEN", "t")]).contains("everyy")
    );
}

#[test]
fn a_complaint_names_the_key_and_no_value() {
    let text = complaint("[tick]\nurl = 'http://x'\ntoken = 's3cret'\nevery = 's3cret'\n", &[]);
    assert!(text.contains("tick.every"), "{text}");
    let text = complaint("[mail]\nhost = 'x'\nport = 's3cret'\n", &[]);
    assert!(text.contains("mail.port") && !text.contains("s3cret"), "{text}");
    assert!(complaint("[tick]\nurl = 'http://x'\n", &[]).contains("token"));
}

#[test]
fn what_contradicts_itself_is_refused() {
    assert_eq!(complaint("[redis_to_kafka]\n", &[]), "[redis_to_kafka] is there, and no [redis]");
    let kafka = "[kafka]\nbrokers = 'k'\n[kafka.options]\nacks = '1'\n";
    assert!(complaint(kafka, &[]).contains("acks"));
    assert!(complaint("[mail]\nhost = 'x'\nusername = 'x'\n", &[]).contains("mail.password"));
    assert!(complaint("[tick]\nurl = 'ftp://x'\ntoken = 't'\n", &[]).contains("tick.url"));
}

#[test]
fn secrets_are_not_shown() {
    let config = read("[redis]\nurl = 'redis://:s3cret@x'\n[mail]\nhost = 'x'\ntoken = 's3cret'\n", &[]).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn the_example_is_valid() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/bridge.toml");
    assert_eq!(Config::read_from(Some(&example), std::iter::empty()).unwrap().parts().len(), 6);
}
