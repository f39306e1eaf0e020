//! The way of mails.

use serde_json::{Value, json};
use servers::{Smtp, needs};

use crate::support::{Bridge, eventually, get, request};

fn config(smtp: &Smtp, password: &str) -> String {
    format!(
        "[mail]\nhost = 'localhost'\nport = {}\nca_file = '{}'\nusername = 'shop'\npassword = '{password}'\n\
         token = 'mail-token'\n",
        smtp.port(),
        smtp.ca_file().display()
    )
}

fn send(bridge: &Bridge, token: &str, key: &str, email: &Value) -> (u16, Value) {
    let url = bridge.url("/emails");
    let (status, text) =
        request(|client| client.post(&url).bearer_auth(token).header("idempotency-key", key).json(email));
    (status, serde_json::from_str(&text).unwrap())
}

fn email(to: &str) -> Value {
    json!({
        "from": "Bodega <shop@example.com>", "to": [to], "subject": "Grüße\r\nBcc: eve@example.com",
        "text": "Danke für alles", "html": "<p>Danke für alles</p>",
    })
}

#[test]
fn a_mail_is_accepted_when_the_server_has_it_and_refused_as_it_refuses() {
    needs!("python3");
    let mut smtp = Smtp::start();
    let bridge = Bridge::start(&config(&smtp, "s3cret"));
    eventually("it is connected", || (get(&bridge.url("/health")).0 == 200).then_some(()));
    let (status, answer) = send(&bridge, "mail-token", "one", &email("ann@example.com"));
    assert_eq!(status, 200, "{answer}");
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    let id = answer["id"].as_str().unwrap();
    assert!(mails[0].contains(&format!("Message-ID: <{id}@example.com>")), "{}", mails[0]);
    assert!(mails[0].contains("multipart/alternative") && mails[0].contains("X-RcptTo: ann@example.com"));
    assert!(!mails[0].lines().any(|line| line.starts_with("Bcc:")), "{}", mails[0]);
    // The same key is the same mail.
    assert_eq!(send(&bridge, "mail-token", "one", &email("ann@example.com")).1["id"], id);
    assert_ne!(send(&bridge, "mail-token", "two", &email("ann@example.com")).1["id"], id);

    let refusal = |to: &str| send(&bridge, "mail-token", "three", &email(to));
    assert_eq!(refusal("busy@example.com").0, 503);
    let (status, answer) = refusal("nobody@example.com");
    assert_eq!((status, &answer["name"]), (422, &json!("validation_error")));
    assert!(answer["message"].as_str().unwrap().contains("No such user"), "{answer}");
    assert_eq!(refusal("ann@example.com\r\nRCPT TO:<eve@example.com>").0, 422);
    assert_eq!(send(&bridge, "wrong", "four", &email("ann@example.com")).0, 401);
    let mut more = email("ann@example.com");
    more["cc"] = json!("eve@example.com");
    assert_eq!(send(&bridge, "mail-token", "five", &more).0, 422, "what would be left out is refused");

    assert_eq!(smtp.mails().len(), 3);
    smtp.kill();
    assert_eq!(refusal("ann@example.com").0, 503);
    smtp.start_again();
    eventually("mails are taken again", || (refusal("ann@example.com").0 == 200).then_some(()));
}

#[test]
fn a_wrong_password_is_something_that_somebody_may_put_right() {
    needs!("python3");
    let smtp = Smtp::start();
    let bridge = Bridge::start(&config(&smtp, "wrong"));
    let (status, answer) = send(&bridge, "mail-token", "one", &email("ann@example.com"));
    assert_eq!((status, &answer["name"]), (403, &json!("invalid_access")));
    assert!(smtp.mails().is_empty());
    assert_eq!(get(&bridge.url("/health")).0, 503);
    assert!(!bridge.process.tail().contains("ann@example.com"), "nobody is named in the log");
}
