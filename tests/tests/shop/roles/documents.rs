//! The table has what is documented: every operation, and no other.

use std::{collections::BTreeSet, fs, path::Path};

use super::rows;

/// A path without its query and the names of its parameters.
fn shape(path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn what_people_read_names_every_path_of_the_table() {
    let docs = fs::read_to_string(repository().join("docs/api.md")).unwrap();
    let lines = docs.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let quoted = lines.filter_map(|line| line.split(" | ").nth(1)).flat_map(|cell| cell.split('`'));
    let documented: BTreeSet<_> = quoted.filter(|text| text.starts_with('/')).map(shape).collect();
    let below = |url: &str| url.strip_prefix("/api/v1").map(shape);
    let tested: BTreeSet<_> = rows().filter_map(|row| below(&row.url())).collect();
    assert!(documented.len() > 20, "{documented:?}");
    assert_eq!(documented.difference(&tested).collect::<Vec<_>>(), [""; 0], "in docs/api.md, and not in the table");
    assert_eq!(tested.difference(&documented).collect::<Vec<_>>(), [""; 0], "in the table, and not in docs/api.md");
}
