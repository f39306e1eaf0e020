//! What is documented is what the table says: its operations, who may call them, and how they answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::{CALLERS, Row, all_rows, config, role, rows};

/// Whoever brings these is let in by what the body or a header says, and not by a sign-in.
const OTHER_PASSES: [&str; 6] = [
    "POST /api/auth/login",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/events",
    "POST /api/v1/payments/webhooks/{}",
    "POST /auth/login",
];
/// Creates something, and takes no key: its answer holds a secret that is told once.
const WITHOUT_KEY: &str = "POST /api/v1/carts";
/// Nothing is parked in the shop of the table; the suite `admin` has events that are.
const NOTHING_THERE: &str = "POST /api/v1/admin/events/parked/{}/{}/replay";

/// A path without its query and the names of its parameters.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn operation(row: &Row) -> String {
    format!("{} {}", row.method, shape(&row.url()))
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The operations of the documents of all services.
fn documented() -> BTreeMap<String, Value> {
    let mut operations = BTreeMap::new();
    for component in fs::read_dir(repository().join("components")).unwrap() {
        let Ok(text) = fs::read_to_string(component.unwrap().path().join("openapi.json")) else { continue };
        let document: Value = serde_json::from_str(&text).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = format!("{} {}", method.to_uppercase(), shape(path));
                assert!(operations.insert(name, operation.clone()).is_none(), "{method} {path} is there twice");
            }
        }
    }
    assert!(operations.len() > 80, "{:?}", operations.keys());
    operations
}

/// The ways in which an operation lets callers in; none where it lets everybody in.
fn passes(operation: &Value) -> Vec<&Value> {
    let all: Vec<_> = operation["security"].as_array().into_iter().flatten().collect();
    if all.iter().any(|pass| pass.as_object().unwrap().is_empty()) { Vec::new() } else { all }
}

/// Whether an operation looks at who calls, if only sometimes, and may find that it does not hold.
fn knows_callers(name: &str, operation: &Value) -> bool {
    !operation["security"].is_null() || OTHER_PASSES.contains(&name)
}

/// The roles of which one is needed; none where any will do.
fn roles(operation: &Value) -> Vec<&str> {
    let bearer = passes(operation).into_iter().find_map(|pass| pass["bearer"].as_array());
    bearer.into_iter().flatten().map(|role| role.as_str().unwrap()).collect()
}

#[test]
fn the_table_has_every_operation_of_the_openapi_documents_and_no_other() {
    let documented: BTreeSet<_> = documented().into_keys().collect();
    let tested: BTreeSet<_> = all_rows().map(|row| operation(&row)).collect();
    let missing: Vec<_> = documented.difference(&tested).collect();
    assert!(missing.is_empty(), "documented, and not in the table: {missing:?}");
    let others: Vec<_> = tested.difference(&documented).collect();
    assert!(others.is_empty(), "in the table, and not documented: {others:?}");
}

#[test]
fn every_answer_of_the_table_is_documented() {
    let documented = documented();
    let mut wrong = Vec::new();
    for row in all_rows() {
        let name = operation(&row);
        let statuses: BTreeSet<_> = row.outcome.into_iter().collect();
        for status in statuses.iter().filter(|status| documented[&name]["responses"][status.to_string()].is_null()) {
            wrong.push(format!("{name}: {status}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn who_must_sign_in_and_in_which_role_is_documented_as_it_is() {
    let documented = documented();
    let mut wrong = Vec::new();
    let mut served = BTreeSet::new();
    for row in all_rows() {
        let name = operation(&row);
        let (passes, roles) = (passes(&documented[&name]), roles(&documented[&name]));
        let refused = row.outcome[0] == 401;
        if refused && !knows_callers(&name, &documented[&name]) || !refused && !passes.is_empty() {
            wrong.push(format!("{name}: {} for nobody, with {passes:?}", row.outcome[0]));
        }
        for (caller, status) in CALLERS.into_iter().zip(row.outcome).skip(1) {
            let role = role(caller);
            if status < 300 {
                served.insert((name.clone(), role));
            }
            if !roles.is_empty() && !roles.contains(&role) && status != 403 {
                wrong.push(format!("{name}: {status} for {caller}, who is a {role}; documented is {roles:?}"));
            }
        }
    }
    for (name, operation) in &documented {
        if operation["responses"]["401"].is_null() == knows_callers(name, operation) {
            wrong.push(format!("{name}: 401 {}, with {}", operation["responses"]["401"], operation["security"]));
        }
        let unserved = |role: &&str| name != NOTHING_THERE && !served.contains(&(name.clone(), *role));
        for role in roles(operation).into_iter().filter(unserved) {
            wrong.push(format!("{name}: documented for {role}, who is never served"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_creates_something_does_it_once_for_each_idempotency_key() {
    for (name, operation) in documented() {
        let creates = name.starts_with("POST ") && !operation["responses"]["201"].is_null();
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let takes_key = parameters.any(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(creates && !takes_key, name == WITHOUT_KEY, "{name}");
    }
}

#[test]
fn an_operation_has_a_name_of_its_own_and_its_bodies_have_examples() {
    let mut names = BTreeSet::new();
    for (name, operation) in documented() {
        assert!(
            names.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{name}: {}",
            operation["operationId"]
        );
        let tags = operation["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Older shops share paths.
        let shared = tags.len() > 1 && tags.iter().all(|tag| tag.as_str().unwrap().starts_with("classic: "));
        assert!(tags.len() == 1 || shared, "{name}: {tags:?}");
        let bodies = operation["responses"].as_object().unwrap().values().chain([&operation["requestBody"]]);
        for (kind, content) in bodies.filter_map(|body| body["content"].as_object()).flatten() {
            let given = ["example", "examples"].iter().any(|field| !content[field].is_null());
            assert!(given || !kind.contains("json"), "{name}: a body of {kind} without an example");
        }
    }
}

/// The paths of the tables in a document, without the names of their parameters.
fn paths_in(document: &str) -> BTreeSet<String> {
    let docs = fs::read_to_string(repository().join(document)).unwrap();
    let lines = docs.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let quoted = lines.filter_map(|line| line.split(" | ").nth(1)).flat_map(|cell| cell.split('`'));
    quoted.filter(|text| text.starts_with('/')).map(shape).collect()
}

#[test]
fn what_people_read_names_every_path_of_the_tables() {
    for (document, tested) in [
        // What the gateway does itself is told in sentences.
        ("docs/api.md", rows().filter_map(|row| row.url().strip_prefix("/api/v1").map(shape)).collect::<BTreeSet<_>>()),
        ("docs/classic-api.md", crate::classic::rows().chain(config::rows()).map(|row| shape(&row.url())).collect()),
    ] {
        let documented = paths_in(document);
        assert_eq!(documented.difference(&tested).collect::<Vec<_>>(), [""; 0], "in {document}, and not in the table");
        assert_eq!(tested.difference(&documented).collect::<Vec<_>>(), [""; 0], "in the table, and not in {document}");
    }
}
