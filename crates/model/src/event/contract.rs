//! What is told of events in `docs/`: the table of topics, and a JSON Schema of each. Compared with the code in a test;
//! `make openapi` writes them.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{Event, shapes};
use crate::topic;

/// What a payload looks like.
pub(super) struct Shape {
    event_type: &'static str,
    version: u32,
    /// What it is about, such as `order`.
    kind: &'static str,
    about: &'static str,
    payload: Value,
    parts: Map<String, Value>,
}

impl Shape {
    pub(super) fn of<E: Event + ToSchema>(kind: &'static str, about: &'static str) -> Self {
        let mut parts = Vec::new();
        E::schemas(&mut parts);
        let value = |schema| serde_json::to_value(schema).unwrap();
        Self {
            event_type: E::TYPE,
            version: E::VERSION,
            kind,
            about: about.trim(),
            payload: value(E::schema()),
            parts: parts.into_iter().map(|(name, schema)| (name, value(schema))).collect(),
        }
    }

    /// The whole message: the envelope with the attributes of CloudEvents beside it.
    fn schema(&self) -> Value {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": format!("urn:bodega:event:{}:{}", self.event_type, self.version),
            "title": self.event_type,
            "description": self.about,
            "type": "object",
            "properties": {
                "eventId": { "type": "string", "format": "uuid" },
                "eventType": { "const": self.event_type },
                "eventVersion": { "const": self.version },
                "occurredAt": { "type": "string", "format": "date-time" },
                "producer": { "type": "string" },
                "subject": { "type": "string", "pattern": format!("^{}/[1-9][0-9]*$", self.kind) },
                "traceparent": { "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$" },
                "specversion": { "const": "1.0" },
                "id": { "type": "string", "format": "uuid" },
                "source": { "type": "string", "pattern": "^/bodega/[a-z]+$" },
                "type": { "const": self.event_type },
                "time": { "type": "string", "format": "date-time" },
                "datacontenttype": { "const": "application/json" },
                "data": self.payload,
            },
            "required": [
                "eventId", "eventType", "eventVersion", "occurredAt", "producer", "subject",
                "specversion", "id", "source", "type", "time", "datacontenttype", "data"
            ],
            "$defs": self.parts,
        });
        let text = schema.to_string().replace("#/components/schemas/", "#/$defs/");
        let mut schema: Value = serde_json::from_str(&text).unwrap();
        schema.sort_all_objects();
        schema
    }
}

/// The table of topics, in Markdown.
fn table() -> String {
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let rows = shapes().into_iter().map(|shape| {
        let topics = topic::of(shape.event_type).unwrap();
        let further = [topics.channels, topics.streams].concat();
        let (event, version) = (shape.event_type, shape.version);
        let name = format!("[`{event}`](events/{event}.schema.json)");
        format!(
            "| {name} | {version} | `{}/…` | {} | {} | {} |\n",
            shape.kind,
            list(topics.kafka),
            list(topics.queues),
            list(&further)
        )
    });
    let head =
        "| event | version | subject | Kafka topics | queues | Redis alone |\n| --- | --- | --- | --- | --- | --- |\n";
    format!("{head}{}", rows.collect::<String>())
}

fn compare(file: &Path, fresh: &str) {
    if std::env::var("BODEGA_WRITE_OPENAPI").is_ok_and(|value| value == "1") {
        fs::write(file, fresh).unwrap();
        return;
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    assert!(fresh == written, "{} is not what the code says: run `make openapi` and commit it", file.display());
}

#[test]
fn the_documents_say_what_the_code_says() {
    const BEGIN: &str = "<!-- topics: generated -->\n";
    const END: &str = "<!-- /topics -->";
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = docs.join("events.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    compare(&page, &format!("{before}{BEGIN}{}{END}{after}", table()));
    for shape in shapes() {
        let file = docs.join(format!("events/{}.schema.json", shape.event_type));
        compare(&file, &format!("{:#}\n", shape.schema()));
    }
    let files = fs::read_dir(docs.join("events")).unwrap().count();
    assert_eq!(files, shapes().len(), "a file for each type of event, and no other");
}
