//! How suites read refusals.

use serde_json::Value;
use shop_tests::Answer;

/// A refusal in problem details, with this status and this word for programs; `what` was asked for.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let problem = &answer.body;
    assert_eq!((&problem["status"], &problem["code"]), (&Value::from(status), &Value::from(code)), "{what}");
    assert_eq!(problem["type"], format!("urn:bodega:problem:{code}"), "{what}");
    for text in ["title", "detail"] {
        assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{what}: {text}");
    }
}

/// A refusal because of these fields and no others, each with a sentence.
#[track_caller]
pub fn assert_invalid(answer: &Answer, fields: &[&str], what: &str) {
    assert_problem(answer, 422, "invalid", what);
    let errors = answer.body["errors"].as_array().unwrap();
    let mut named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, fields, "{what}: {}", answer.text);
    assert!(errors.iter().all(|error| !error["message"].as_str().unwrap().is_empty()), "{what}: {}", answer.text);
}

/// A refusal in the shape of older shops, at a path outside of `/api/v1`; `what` was asked for.
#[track_caller]
pub fn assert_message(answer: &Answer, status: u16, message: &str, what: &str) {
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert_eq!(answer.body["message"], message, "{what}");
    let others =
        answer.body.as_object().unwrap().keys().filter(|field| !["errors", "message"].contains(&field.as_str()));
    assert_eq!(others.count(), 0, "{what}: {}", answer.text);
}

/// A refusal at any path, by this word for programs where there are problems, with a message otherwise.
#[track_caller]
pub fn assert_told(answer: &Answer, path: &str, status: u16, code: &str, what: &str) {
    if path == "/api/v1" || path.starts_with("/api/v1/") {
        return assert_problem(answer, status, code, what);
    }
    let message = answer.body["message"].as_str().unwrap_or_else(|| panic!("{what}: {}", answer.text));
    assert_message(answer, status, message, what);
    assert!(!message.is_empty(), "{what}");
}
