//! Examples of bodies and answers: put together from those of their fields, and checked against their schemas.

use serde_json::{Map, Value, json};

use crate::operations;

/// Gives every parameter, JSON body and JSON answer an example, unless it has one of its own.
pub(crate) fn fill(document: &mut Value, components: &Value) {
    for (name, operation) in operations(document) {
        for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
            if parameter.get("schema").is_some() && parameter.get("example").is_none() {
                // An example of what may be left out helps nobody who does not know it.
                let example = example(components, &parameter["schema"], 0);
                match (example, parameter["required"] == true) {
                    (Some(example), true) => parameter["example"] = example,
                    (None, true) => panic!("{name}: the parameter {} has no example", parameter["name"]),
                    _ => {}
                }
            }
        }
        fill_content(components, &format!("{name}: the body"), &mut operation["requestBody"]);
        for (status, response) in operation["responses"].as_object_mut().expect("responses") {
            fill_content(components, &format!("{name}: the answer {status}"), response);
        }
        if operation["requestBody"].is_null() {
            operation.as_object_mut().expect("an operation").remove("requestBody");
        }
        if operation["parameters"].is_null() {
            operation.as_object_mut().expect("an operation").remove("parameters");
        }
    }
}

fn fill_content(components: &Value, name: &str, holder: &mut Value) {
    let Some(content) = holder.get_mut("content").and_then(Value::as_object_mut) else { return };
    for (kind, media) in content {
        if kind.contains("json") && media.get("example").is_none() && media.get("examples").is_none() {
            let Some(example) = example(components, &media["schema"], 0) else {
                panic!("{name} ({kind}) has no example: add `example = …` to the fields that are texts");
            };
            media["example"] = example;
        }
    }
}

/// An example of what a schema describes; `None` for a text that nobody has given one.
fn example(components: &Value, schema: &Value, depth: usize) -> Option<Value> {
    assert!(depth < 16, "a schema that contains itself needs an example of its own: {schema}");
    let inner = |schema: &Value| example(components, schema, depth + 1);
    if let Some(given) = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema["enum"].get(0)) {
        return Some(given.clone());
    }
    if let Some(name) = schema["$ref"].as_str() {
        return inner(components.pointer(name.strip_prefix("#/components")?)?);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            whole.extend(inner(part)?.as_object()?.clone());
        }
        return Some(Value::Object(whole));
    }
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return choices.iter().filter(|choice| choice["type"] != "null").find_map(inner);
    }
    let kind = schema["type"]
        .as_str()
        .or_else(|| schema["type"].as_array()?.iter().find_map(|kind| kind.as_str().filter(|kind| *kind != "null")))?;
    match kind {
        "object" => {
            let required: Vec<_> = schema["required"].as_array().into_iter().flatten().collect();
            let mut whole = Map::new();
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                match inner(field) {
                    Some(value) => drop(whole.insert(name.clone(), value)),
                    None if required.iter().any(|required| *required == name) => return None,
                    None => {}
                }
            }
            Some(Value::Object(whole))
        }
        "array" => Some(json!([inner(&schema["items"])?])),
        "boolean" => Some(json!(true)),
        "integer" => {
            Some(schema.get("minimum").filter(|minimum| minimum.as_i64() > Some(0)).cloned().unwrap_or(json!(1)))
        }
        _ => None,
    }
}

/// Panics when an example contradicts its schema.
pub(crate) fn check(document: &Value, components: &Value) {
    let mut found = Vec::new();
    collect(document, "", &mut found);
    for (place, schema, example) in found {
        // References in a schema are to the whole document.
        let mut root = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]});
        root["components"] = components.clone();
        let validator = jsonschema::options().should_validate_formats(true).build(&root).expect("a schema");
        let errors: Vec<_> =
            validator.iter_errors(example).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "the example at {place} is none: {errors:#?}\n{example}");
    }
}

/// Each example of the document, with its place and schema.
fn collect<'a>(value: &'a Value, place: &str, found: &mut Vec<(String, &'a Value, &'a Value)>) {
    match value {
        Value::Object(fields) => {
            if let (Some(schema), Some(example)) = (fields.get("schema"), fields.get("example")) {
                found.push((place.to_owned(), schema, example));
            }
            fields.iter().for_each(|(name, field)| collect(field, &format!("{place}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, &format!("{place}/{index}"), found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_put_together_from_its_parts() {
        let components = json!({"schemas": {"Name": {"type": "string", "examples": ["Ann"]}}});
        let schema = json!({"type": "object", "required": ["name"], "properties": {
            "name": {"$ref": "#/components/schemas/Name"},
            "ages": {"type": "array", "items": {"type": ["null", "integer"], "minimum": 18}},
            "left": {"oneOf": [{"type": "null"}, {"type": "boolean"}]},
            "unknown": {"type": "string"},
        }});
        let wanted = json!({"name": "Ann", "ages": [18], "left": true});
        assert_eq!(example(&components, &schema, 0), Some(wanted));
        assert_eq!(
            example(
                &components,
                &json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
                0
            ),
            None
        );
    }

    #[test]
    #[should_panic(expected = "/x is none")]
    fn an_example_that_contradicts_its_schema_is_noticed() {
        let referred = json!({"$ref": "#/components/schemas/A"});
        let components = json!({"schemas": {"A": {"type": "string"}}});
        check(&json!({"x": {"schema": referred, "example": 1}}), &components);
    }
}
