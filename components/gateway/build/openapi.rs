//! Joins the OpenAPI documents of all components into the one of the shop.

use std::{
    env,
    error::Error,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Set to 1 while the files are being made (`make openapi`): until all of them are, they may contradict each other.
const BEING_WRITTEN: &str = "BODEGA_WRITE_OPENAPI";

/// Writes `openapi.json`, and `openapi.etag` with its `ETag`. Fails when two components call different things by one name.
pub(crate) fn write() -> Result<()> {
    println!("cargo::rerun-if-changed=build/openapi.rs");
    println!("cargo::rerun-if-env-changed={BEING_WRITTEN}");
    let being_written = env::var(BEING_WRITTEN).is_ok_and(|value| value == "1");
    let mut shop = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bodega",
            "description": "A shop: accounts, products, stock, carts, orders, payments, notifications. Errors are problems \
                            after RFC 9457, lists have cursors, and a POST that creates something takes an \
                            `Idempotency-Key`.",
            "version": env::var("CARGO_PKG_VERSION")?,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The shop that this document comes from."}],
    });
    for file in files()? {
        println!("cargo::rerun-if-changed={}", file.display());
        let mut part: Value = serde_json::from_slice(&fs::read(&file)?)?;
        if let Some(part) = part.as_object_mut() {
            part.retain(|name, _| !["openapi", "info", "servers"].contains(&name.as_str()));
        }
        if let Err(place) = join(&mut shop, part, "")
            && !being_written
        {
            let file = file.display();
            return Err(
                format!("{file}: {place} is another one than that of another component: rename it (`as = …`)").into()
            );
        }
    }
    let text = shop.to_string();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("openapi.etag"), format!("W/\"{:016x}\"", hasher.finish()))?;
    Ok(fs::write(out.join("openapi.json"), text)?)
}

/// In an order that is always the same.
fn files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for component in fs::read_dir(Path::new(&env::var("CARGO_MANIFEST_DIR")?).join(".."))? {
        files.push(component?.path().join("openapi.json"));
    }
    files.retain(|file| file.exists());
    files.sort();
    Ok(files)
}

/// Puts one document into another; the place of what contradicts what is there.
fn join(whole: &mut Value, part: Value, place: &str) -> std::result::Result<(), String> {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                match whole.get_mut(&name) {
                    Some(known) => join(known, value, &format!("{place}/{name}"))?,
                    None => drop(whole.insert(name, value)),
                }
            }
            Ok(())
        }
        (Value::Array(whole), Value::Array(part)) if place == "/tags" => {
            let new: Vec<_> = part.into_iter().filter(|tag| !whole.contains(tag)).collect();
            whole.extend(new);
            Ok(())
        }
        (whole, part) if *whole == part => Ok(()),
        _ => Err(place.to_owned()),
    }
}
