//! The access log: a line of JSON on stdout for each request.

use std::{io::Write, net::IpAddr, time::Duration};

use http::{Method, StatusCode};
use model::Timestamp;
use serde::Serialize;

use crate::headers::Trace;

/// As much of a path as is shown.
const LONGEST_PATH: usize = 1024;

/// Which requests have a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessLog {
    /// None.
    Off,
    /// Those from outside.
    Public,
    /// Those of other components, too.
    All,
}

impl AccessLog {
    /// `off`, `on` or `all`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "off" => Some(Self::Off),
            "on" => Some(Self::Public),
            "all" => Some(Self::All),
            _ => None,
        }
    }

    /// Writes the line of a request, if it has one.
    pub(crate) fn write(self, entry: &Entry<'_>) {
        if self == Self::All || (self == Self::Public && !entry.internal) {
            // Whole lines, each in one call to the host. Nobody can be told that stdout is gone.
            _ = std::io::stdout().write_all(&entry.line());
        }
    }
}

/// A request and what it was answered. No query, no header, no body: they may hold what nobody else should know.
pub(crate) struct Entry<'a> {
    pub(crate) service: &'static str,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) status: StatusCode,
    pub(crate) duration: Duration,
    pub(crate) trace: &'a Trace,
    pub(crate) client: Option<IpAddr>,
    pub(crate) internal: bool,
    /// Of the body; none when it is sent as it is made.
    pub(crate) bytes: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: Timestamp,
    service: &'static str,
    method: &'a str,
    path: &'a str,
    status: u16,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    request_id: &'a str,
    traceparent: &'a str,
}

impl Entry<'_> {
    fn line(&self) -> Vec<u8> {
        let line = Line {
            time: Timestamp::now(),
            service: self.service,
            method: self.method.as_str(),
            path: &self.path[..self.path.floor_char_boundary(LONGEST_PATH)],
            status: self.status.as_u16(),
            duration_ms: self.duration.as_micros() as f64 / 1000.0,
            bytes: self.bytes,
            client: self.client.filter(|_| !self.internal),
            internal: self.internal,
            request_id: &self.trace.request_id,
            traceparent: &self.trace.traceparent,
        };
        let mut text = Vec::with_capacity(384);
        if serde_json::to_writer(&mut text, &line).is_err() {
            text.clear();
        }
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_request_is_one_line_of_json() {
        let trace = Trace { request_id: "a\"b".into(), traceparent: "00-1-2-01".into() };
        let path = format!("/x\n\"{}", "ä".repeat(LONGEST_PATH));
        let mut entry = Entry {
            service: "catalog",
            method: &Method::GET,
            path: &path,
            status: StatusCode::NOT_FOUND,
            duration: Duration::from_micros(1250),
            trace: &trace,
            client: "192.0.2.1".parse().ok(),
            internal: false,
            bytes: Some(17),
        };
        let text = String::from_utf8(entry.line()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line["path"].as_str().unwrap().len(), LONGEST_PATH);
        line.as_object_mut().unwrap().retain(|name, _| name != "time" && name != "path");
        let rest = json!({
            "service": "catalog", "method": "GET", "status": 404, "durationMs": 1.25, "bytes": 17,
            "client": "192.0.2.1", "requestId": "a\"b", "traceparent": "00-1-2-01",
        });
        assert_eq!(line, rest);
        entry.internal = true;
        let line: Value = serde_json::from_slice(&entry.line()).unwrap();
        assert_eq!((&line["internal"], &line["client"]), (&json!(true), &Value::Null));
    }

    #[test]
    fn it_is_off_on_or_for_all() {
        assert_eq!(
            ["off", "on", "all"].map(AccessLog::parse).map(Option::unwrap),
            [AccessLog::Off, AccessLog::Public, AccessLog::All]
        );
        assert_eq!(AccessLog::parse("yes"), None);
    }
}
