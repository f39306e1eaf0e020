//! What is known of an event from its JSON: CloudEvents' attributes, in structured mode.

use bytes::Bytes;
use rdkafka::message::{Headers, Message};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

/// The shop's own events begin so.
const OWN: &str = "/bodega/";

/// What headers and key are made of.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Attributes {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    time: Option<String>,
    subject: Option<String>,
    datacontenttype: Option<String>,
    traceparent: Option<String>,
}

/// The headers and the key of an event in Kafka.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Events of one subject have one key, and so one partition.
    pub subject: Option<String>,
    /// In the order in which they are sent.
    pub headers: Vec<(&'static str, String)>,
}

/// Reads the attributes of an event.
///
/// # Errors
///
/// If it is not an object in JSON, or an attribute is not a text; in words for people, without its content.
pub fn envelope(event: &[u8]) -> Result<Envelope, String> {
    let attributes: Attributes = object(event)?;
    let subject = attributes.subject.clone();
    let headers = [
        ("ce_specversion", attributes.specversion),
        ("ce_id", attributes.id),
        ("ce_source", attributes.source),
        ("ce_type", attributes.kind),
        ("ce_time", attributes.time),
        ("ce_subject", attributes.subject),
        ("content-type", Some(attributes.datacontenttype.unwrap_or_else(|| "application/json".into()))),
        ("traceparent", attributes.traceparent),
    ];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Ok(Envelope { subject, headers })
}

/// Where an error is, not what is there: that may be somebody's address.
fn object<'a, T: Deserialize<'a>>(event: &'a [u8]) -> Result<T, String> {
    if !event.trim_ascii_start().starts_with(b"{") {
        return Err("it is not a JSON object".into());
    }
    serde_json::from_slice(event).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => format!("an attribute is not a text (column {})", error.column()),
        _ => format!("it is not JSON (line {}, column {})", error.line(), error.column()),
    })
}

/// What to do with a message of Kafka.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Hand it to the shop.
    Pass(Bytes),
    /// It is the shop's own.
    Own,
    /// It is no event, and why.
    Poison(String),
}

/// Judges a message of Kafka. One whose attributes are in headers (binary mode) becomes one that has them in its JSON.
pub fn inbound(message: &impl Message) -> Inbound {
    let headers: Vec<(&str, &str)> = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().filter_map(|header| Some((header.key, std::str::from_utf8(header.value?).ok()?))).collect()
    });
    judge(&headers, message.payload().unwrap_or_default())
}

fn judge(headers: &[(&str, &str)], payload: &[u8]) -> Inbound {
    let header = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    if header("ce_source").is_some_and(|source| source.starts_with(OWN)) {
        return Inbound::Own;
    }
    let fields: Map<String, Value> = match object(payload) {
        Ok(fields) => fields,
        Err(reason) => return Inbound::Poison(reason),
    };
    if fields.get("source").and_then(Value::as_str).is_some_and(|source| source.starts_with(OWN)) {
        return Inbound::Own;
    }
    let (Some(_), Some(_), false) = (header("ce_id"), header("ce_type"), fields.contains_key("specversion")) else {
        return Inbound::Pass(Bytes::copy_from_slice(payload));
    };
    structured(headers, payload)
}

/// The attributes of the headers beside the data, whose bytes stay as they are.
fn structured(headers: &[(&str, &str)], payload: &[u8]) -> Inbound {
    let mut event: Map<String, Value> = Map::new();
    event.insert("specversion".into(), "1.0".into());
    event.insert("datacontenttype".into(), "application/json".into());
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("ce_") {
            Some(attribute) => event.insert(attribute.to_owned(), (*value).into()),
            None if name == "content-type" => event.insert("datacontenttype".into(), (*value).into()),
            None if name == "traceparent" => event.insert(name, (*value).into()),
            None => None,
        };
    }
    #[derive(serde::Serialize)]
    struct Structured<'a> {
        #[serde(flatten)]
        attributes: Map<String, Value>,
        data: &'a RawValue,
    }
    let event = serde_json::from_slice::<&RawValue>(payload)
        .and_then(|data| serde_json::to_vec(&Structured { attributes: event, data }));
    event.map_or_else(|error| Inbound::Poison(error.to_string()), |event| Inbound::Pass(event.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_are_headers_and_the_subject_is_the_key() {
        let event = json!({
            "specversion": "1.0", "id": "1", "eventId": "1", "source": "/bodega/orders", "type": "ORDER_PAID",
            "time": "2026-01-01T00:00:00Z", "subject": "order/17", "traceparent": "00-a-b-01", "data": {"orderId": 17},
        });
        let envelope = envelope(event.to_string().as_bytes()).unwrap();
        assert_eq!(envelope.subject.as_deref(), Some("order/17"));
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", "1"),
            ("ce_source", "/bodega/orders"),
            ("ce_type", "ORDER_PAID"),
            ("ce_time", "2026-01-01T00:00:00Z"),
            ("ce_subject", "order/17"),
            ("content-type", "application/json"),
            ("traceparent", "00-a-b-01"),
        ];
        assert_eq!(envelope.headers, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_is_no_event_is_told_without_its_content() {
        for event in ["", "s3cret", "[\"s3cret\"]", "{\"s3cret", "{\"type\": [\"s3cret\"]}"] {
            let reason = envelope(event.as_bytes()).unwrap_err();
            assert!(!reason.contains("s3cret"), "{reason}");
        }
    }

    #[test]
    fn the_shops_own_events_are_told_by_header_or_field() {
        assert_eq!(judge(&[("ce_source", "/bodega/orders")], b"whatever"), Inbound::Own);
        assert_eq!(judge(&[], br#"{"source": "/bodega/orders"}"#), Inbound::Own);
        assert!(matches!(judge(&[], br#"{"source": "/bodegas"}"#), Inbound::Pass(_)));
        assert!(matches!(judge(&[], b"whatever"), Inbound::Poison(_)));
        assert!(matches!(judge(&[], b""), Inbound::Poison(_)));
    }

    #[test]
    fn attributes_of_headers_are_brought_into_the_event() {
        let headers =
            [("ce_id", "7"), ("ce_type", "PAYMENT"), ("ce_source", "/acme"), ("content-type", "application/json")];
        let Inbound::Pass(event) = judge(&headers, br#"{"amount": 1.10}"#) else { panic!() };
        let text = std::str::from_utf8(&event).unwrap();
        assert!(text.ends_with(r#""data":{"amount": 1.10}}"#), "{text}");
        let event: Value = serde_json::from_str(text).unwrap();
        assert_eq!(
            (&event["id"], &event["type"], &event["specversion"]),
            (&json!("7"), &json!("PAYMENT"), &json!("1.0"))
        );
        let plain = br#"{"specversion": "1.0", "id": "8"}"#;
        assert_eq!(judge(&headers, plain), Inbound::Pass(Bytes::from_static(plain)));
    }
}
