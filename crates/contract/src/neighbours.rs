//! What a document takes from those of other services, such as the order that a checkout is answered with: it refers to it
//! as if it were its own, and in the document of the whole shop it is.

use std::path::Path;

use serde_json::Value;

/// The components of a document, and what it refers to of those of the services beside it.
pub(crate) fn components(service: &Path, document: &Value) -> Value {
    let mut components = document["components"].clone();
    let mut open = Vec::new();
    references(document, &mut open);
    while let Some(name) = open.pop() {
        if components["schemas"].get(&name).is_none() {
            let schema = beside(service, &name);
            references(&schema, &mut open);
            components["schemas"][name] = schema;
        }
    }
    components
}

/// The names of the schemas that are referred to.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let name =
                fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix("#/components/schemas/"));
            found.extend(name.map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn beside(service: &Path, name: &str) -> Value {
    let services = std::fs::read_dir(service.join("..")).unwrap().map(|entry| entry.unwrap().path());
    let texts = services.filter_map(|path| std::fs::read_to_string(path.join("openapi.json")).ok());
    let mut documents = texts.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let schema = documents.find_map(|document| document["components"]["schemas"].get(name).cloned());
    schema.unwrap_or_else(|| panic!("no service has a schema {name} in its openapi.json"))
}
