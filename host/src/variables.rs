//! Application variables: where their values come from, and what each component sees of them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::manifest::Manifest;
use crate::template;

/// The prefix of the environment variables that set application variables.
const PREFIX: &str = "SPIN_VARIABLE_";

/// Finds the value of every application variable: given on the command line, else in the
/// environment, else in the file `.env` beside the manifest, else the default.
///
/// # Errors
///
/// If a value has no variable in the manifest, or a required variable has no value.
pub(crate) fn resolve(
    manifest: &Manifest,
    given: &BTreeMap<String, String>,
    directory: &Path,
) -> Result<BTreeMap<String, String>> {
    for name in given.keys() {
        ensure!(
            manifest.variables.contains_key(name),
            "the variable {name:?} was given, but the manifest has no such [variables] entry"
        );
    }
    let file = dotenv(&directory.join(".env"))?;
    let mut values = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, variable) in &manifest.variables {
        check_name(name).map_err(anyhow::Error::msg)?;
        ensure!(
            !(variable.required && variable.default.is_some()),
            "the variable {name:?} is required and has a default: it can have one of them"
        );
        let key = format!("{PREFIX}{}", name.to_ascii_uppercase());
        let value = given
            .get(name)
            .cloned()
            .or_else(|| std::env::var(&key).ok())
            .or_else(|| file.get(&key).cloned())
            .or_else(|| variable.default.clone());
        match value {
            Some(value) => drop(values.insert(name.clone(), value)),
            None if variable.required => missing.push(name.as_str()),
            None => bail!("the variable {name:?} needs `default` or `required = true`"),
        }
    }
    if let Some(first) = missing.first() {
        bail!(
            "no value for the required variable(s) {}; give one with --variable {first}=… or in \
             the environment as {PREFIX}{}",
            missing.join(", "),
            first.to_ascii_uppercase()
        );
    }
    Ok(values)
}

fn dotenv(path: &Path) -> Result<HashMap<String, String>> {
    if !path.exists() {
        return Ok(HashMap::new());
    }
    dotenvy::from_path_iter(path).and_then(Iterator::collect).with_context(|| format!("cannot read {}", path.display()))
}

/// What a component gets for its own `variables`, by name.
///
/// # Errors
///
/// If a name is not valid or a template names an unknown variable.
pub(crate) fn of_component(
    templates: &BTreeMap<String, String>,
    values: &BTreeMap<String, String>,
) -> Result<HashMap<String, String>> {
    let rendered = templates.iter().map(|(name, text)| {
        check_name(name).map_err(anyhow::Error::msg)?;
        Ok((name.clone(), template::render(text, values)?))
    });
    rendered.collect()
}

/// Checks the name of a variable by Spin's rule, so that it maps to environment variables and back.
///
/// # Errors
///
/// With what is wrong.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let problem = if name.is_empty() {
        "must not be empty"
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        "must start with a lowercase ASCII letter"
    } else if name.ends_with('_') {
        "must not end with an underscore"
    } else if name.contains("__") {
        "must not contain two underscores in a row"
    } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        "must consist of lowercase ASCII letters, digits and underscores"
    } else {
        return Ok(());
    };
    Err(format!("{name:?}: a variable's name {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "database_url", "a1_b2"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "A", "1a", "_a", "a_", "a__b", "a-b", "a b"] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
