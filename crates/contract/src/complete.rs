//! What follows from an operation by itself: the refusals and headers that `web` and its extractors give to all of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};
use web::{
    FieldError,
    classic::{self, ClassicError},
    openapi::Problem,
};

use crate::{
    operations,
    refusals::{REFUSALS, refusal},
};

/// A whole document, of one or more with one tag each.
pub(crate) fn document(apis: impl IntoIterator<Item = Value>) -> Value {
    let mut whole = Value::Null;
    for mut api in apis {
        tag(&mut api);
        if whole.is_null() {
            whole = api;
        } else {
            join(&mut whole, api, "");
        }
    }
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&mut whole) {
        complete(&name, operation);
        // One handler may serve two methods.
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let id = if ids.contains(&id) && name.starts_with("PUT ") { format!("{id}ByPut") } else { id };
        operation["operationId"] = id.clone().into();
        assert!(ids.insert(id), "{name} has the operationId of another one");
    }
    add_components(&mut whole);
    refer(&mut whole);
    whole
}

/// utoipa writes the items of a generic type out, though they have a name, and a default of `null` for what may be absent.
/// Its `oneOf` is that of serde, which takes the first that fits.
fn refer(document: &mut Value) {
    fn replace(value: &mut Value, named: &Map<String, Value>) {
        if let Some(items) = value.get_mut("items").filter(|items| items["type"] == "object")
            && let Some((name, _)) = named.iter().find(|(_, schema)| *schema == items)
        {
            *items = json!({"$ref": format!("#/components/schemas/{name}")});
        }
        match value {
            Value::Object(fields) => {
                if fields.get("default").is_some_and(Value::is_null) {
                    fields.remove("default");
                }
                if let Some(choices) = fields.remove("oneOf") {
                    fields.insert("anyOf".to_owned(), choices);
                }
                fields.values_mut().for_each(|field| replace(field, named));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| replace(item, named)),
            _ => {}
        }
    }
    let named = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    replace(document, &named);
}

/// The families of older shops: the tags of their operations, which other families may share.
const FAMILIES: [(&str, &str); 4] = [
    (
        "classic: items",
        "Classic: `/api/items`, and orders with a `state`. For clients of an older shop; errors are `{message}`.",
    ),
    (
        "classic: cart shop",
        "Classic: `/cart`, `/order`, `/product`. For clients of an older shop; errors are `{message}`.",
    ),
    (
        "classic: order desk",
        "Classic: `/api/products`, and orders with a `status`. For clients of an older shop; errors are `{message}`.",
    ),
    ("classic: micro", "Classic: `/carts/me`, `/orders/me`. For clients of an older shop; errors are `{message}`."),
];

/// An operation has the tag of its document, and those of other families that share it.
fn tag(api: &mut Value) {
    let mut tags = api["tags"].as_array().cloned().unwrap_or_default();
    assert_eq!(tags.len(), 1, "the derive of OpenApi wants exactly one tag: {tags:?}");
    if let Some((_, description)) = FAMILIES.iter().find(|(name, _)| tags[0]["name"] == *name) {
        tags[0]["description"] = (*description).into();
    }
    api["tags"] = json!(tags);
    for (_, operation) in operations(api) {
        let others = operation["tags"].as_array().cloned().unwrap_or_default();
        let shared =
            others.into_iter().filter(|tag| FAMILIES.iter().any(|(name, _)| tag == name) && *tag != tags[0]["name"]);
        operation["tags"] = std::iter::once(tags[0]["name"].clone()).chain(shared).collect();
    }
}

/// Puts one document into another. What both have under one name must be the same.
fn join(whole: &mut Value, part: Value, place: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                let place = format!("{place}/{key}");
                match whole.get_mut(&key) {
                    Some(known) if place != "/info" => join(known, value, &place),
                    Some(_) => {}
                    None => drop(whole.insert(key, value)),
                }
            }
        }
        (Value::Array(whole), Value::Array(part)) if place == "/tags" => {
            whole.extend(part.into_iter().filter(|tag| !whole.contains(tag)).collect::<Vec<_>>());
        }
        (whole, part) => assert_eq!(*whole, part, "two things are called {place}: give one another name (`as = …`)"),
    }
}

fn complete(name: &str, operation: &mut Value) {
    for field in ["operationId", "summary"] {
        assert!(operation[field].as_str().is_some_and(|text| !text.trim().is_empty()), "{name} has no {field}");
    }
    let read = name.starts_with("GET ") && !operation["responses"]["200"]["content"]["application/json"].is_null();
    if read {
        add_parameter(operation, json!({"$ref": "#/components/parameters/If-None-Match"}));
    }
    for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
        not_null(&mut parameter["schema"]);
        // Indexing has made one.
        if parameter["schema"].is_null() {
            parameter.as_object_mut().expect("a parameter").remove("schema");
        }
    }
    // A body may be left out, but it is not null then.
    if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") {
        not_null(schema);
    }
    let taken = |header| parameters(operation, "header").any(|parameter| parameter["name"] == header);
    let (once, versioned) = (taken("Idempotency-Key"), read || taken("If-Match"));
    let implied = implied(name, operation);
    let summary = operation["summary"].clone();
    let responses = operation["responses"].as_object_mut().expect("responses");
    for status in implied {
        responses.entry(status).or_insert_with(|| json!({"description": ""}));
    }
    if read {
        responses.insert("304".into(), json!({"$ref": "#/components/responses/NotModified"}));
    }
    for (status, response) in responses {
        match status.as_bytes()[0] {
            _ if response.get("$ref").is_some() => {}
            // One with a body of its own is no problem.
            b'4' | b'5' if response["content"].is_null() => refusal(name, status, response),
            _ => {
                let mut headers = everywhere();
                if versioned && status == "200" {
                    headers.push("ETag");
                }
                if once {
                    headers.push("Idempotent-Replayed");
                }
                add_headers(response, &headers);
                let described = response["description"].as_str().is_some_and(|text| !text.is_empty());
                if !described {
                    response["description"] = summary.clone();
                }
            }
        }
    }
}

fn parameters<'a>(operation: &'a Value, place: &'a str) -> impl Iterator<Item = &'a Value> {
    operation["parameters"].as_array().into_iter().flatten().filter(move |parameter| parameter["in"] == place)
}

/// A parameter is there or not, and never null.
fn not_null(schema: &mut Value) {
    let mut kinds = schema.get("type").and_then(Value::as_array).into_iter().flatten().filter(|kind| *kind != "null");
    if let Some(kind) = kinds.next().cloned() {
        schema["type"] = kind;
    }
    let choices = schema.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let (nulls, others): (Vec<_>, Vec<_>) = choices.into_iter().partition(|choice| choice["type"] == "null");
    if let (false, [only]) = (nulls.is_empty(), others.as_slice()) {
        *schema = only.clone();
    }
}

fn add_parameter(operation: &mut Value, parameter: Value) {
    match operation.get_mut("parameters").and_then(Value::as_array_mut) {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

/// What is never too often.
const PROBES: [&str; 3] = [" /health", " /livez", " /readyz"];

/// The refusals that follow from what an operation takes and whom it serves.
fn implied(name: &str, operation: &Value) -> Vec<&'static str> {
    let mut statuses = vec!["414", "431", "503"];
    if !PROBES.iter().any(|probe| name.ends_with(probe)) {
        statuses.push("429");
    }
    let security = operation["security"].as_array().map(Vec::as_slice).unwrap_or_default();
    let roles: Vec<_> = security.iter().filter_map(|scheme| scheme.get("bearer")?.as_array()).collect();
    if security.iter().any(|scheme| scheme.as_object().is_some_and(|scheme| !scheme.is_empty())) {
        statuses.push("401");
    }
    if roles.iter().any(|roles| !roles.is_empty()) {
        statuses.push("403");
    }
    // A token may be that of no cart.
    if name.contains('{') || security.iter().any(|scheme| scheme.get("cartToken").is_some()) {
        statuses.push("404");
    }
    if parameters(operation, "query").next().is_some() {
        statuses.extend(["400", "422"]);
    }
    if parameters(operation, "header").any(|parameter| parameter["name"] == "Idempotency-Key") {
        statuses.push("400");
    }
    if parameters(operation, "header").any(|parameter| parameter["name"] == "If-Match") {
        statuses.push("412");
    }
    let body = &operation["requestBody"]["content"];
    if !body.is_null() {
        statuses.extend(["408", "415"]);
    }
    // Others are streams, whose lines are refused one by one.
    if !body["application/json"].is_null() {
        statuses.extend(["400", "413", "422"]);
    }
    if is_classic(name) {
        // One status for all that is wrong with fields; 422 is left for a key that was used with another request.
        let keyed = parameters(operation, "header").any(|parameter| parameter["name"] == "Idempotency-Key");
        statuses.retain(|status| keyed || *status != "422");
    }
    statuses
}

/// Whether it is an operation of an older shop: `GET /api/orders`.
pub(crate) fn is_classic(name: &str) -> bool {
    name.split(' ').nth(1).is_some_and(classic::is_path)
}

/// The headers of all answers.
pub(crate) fn everywhere() -> Vec<&'static str> {
    vec!["X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
}

pub(crate) fn add_headers(response: &mut Value, names: &[&str]) {
    for name in names {
        response["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
}

/// What all documents share.
fn add_components(document: &mut Value) {
    let mut responses = Map::new();
    for refusal in REFUSALS {
        let mut response = json!({"description": refusal.description});
        let mut classic = response.clone();
        refusal.write(&mut response);
        responses.insert(refusal.name.into(), response);
        refusal.write_classic(&mut classic);
        responses.insert(format!("Classic{}", refusal.name), classic);
    }
    let mut unchanged = json!({"description": "The client has this version."});
    add_headers(&mut unchanged, &[&everywhere()[..], &["ETag"]].concat());
    responses.insert("NotModified".into(), unchanged);

    let problem = |schema: utoipa::openapi::RefOr<utoipa::openapi::Schema>| serde_json::to_value(schema).unwrap();
    let shared = json!({
        "schemas": {
            Problem::name(): problem(Problem::schema()),
            FieldError::name(): problem(FieldError::schema()),
            ClassicError::name(): problem(ClassicError::schema()),
        },
        "responses": responses,
        "parameters": {
            "If-None-Match": {
                "name": "If-None-Match",
                "in": "header",
                "description": "The `ETag` of the version that the client has.",
                "schema": {"type": "string"},
                "example": "W/\"6c1c7f101f1b0198\"",
            },
        },
        "headers": headers(),
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The access token of a sign-in. The roles of an operation are those that may call it; none \
                                are named where everybody who is signed in may.",
            },
            "cartToken": {
                "type": "apiKey",
                "in": "header",
                "name": "X-Cart-Token",
                "description": "The `token` of an anonymous cart.",
            },
        },
    });
    if document["components"].is_null() {
        document["components"] = json!({});
    }
    join(&mut document["components"], shared, "/components");
}

fn headers() -> Value {
    // Requests are not counted where there is no database to count in.
    let count = |description: &str, example: u32| {
        let schema = json!({"type": "integer", "minimum": 0});
        json!({"description": description, "required": false, "schema": schema, "example": example})
    };
    let text = |description: &str, required: bool, example: &str| json!({"description": description, "required": required, "schema": {"type": "string"}, "example": example});
    json!({
        "X-Request-Id": text("The name of the request: the client's own, or a new one.", true, "8f14e45fceea467f9575"),
        "X-RateLimit-Limit": count("So many requests are served in a window.", 120),
        "X-RateLimit-Remaining": count("So many are left.", 119),
        "X-RateLimit-Reset": count("When the next window begins, in Unix seconds.", 1_795_420_860),
        "ETag": text("The version of what is answered, for `If-None-Match`.", true, "W/\"6c1c7f101f1b0198\""),
        "Idempotent-Replayed": text("`true` when the request was done before, under the same key.", false, "true"),
        "Retry-After": count("So many seconds later it is worth another try.", 1),
        "WWW-Authenticate": text("How to say who one is.", true, "Bearer"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_parts_share_must_be_the_same() {
        let mut whole = json!({"schemas": {"A": {"type": "string"}}});
        join(&mut whole, json!({"schemas": {"A": {"type": "string"}, "B": {}}}), "");
        assert_eq!(whole, json!({"schemas": {"A": {"type": "string"}, "B": {}}}));
    }

    #[test]
    #[should_panic(expected = "/schemas/A/type")]
    fn two_things_of_one_name_are_noticed() {
        join(&mut json!({"schemas": {"A": {"type": "string"}}}), json!({"schemas": {"A": {"type": "null"}}}), "");
    }
}
