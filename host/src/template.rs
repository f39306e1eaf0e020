//! Templates such as `{{ payments_url }}` in the manifest.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// Replaces every `{{ name }}` in `template` by the value of that variable.
///
/// # Errors
///
/// If a brace is not closed or a variable is not among `values`.
pub(crate) fn render(template: &str, values: &BTreeMap<String, String>) -> Result<String> {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((literal, tail)) = rest.split_once("{{") {
        let (name, tail) = tail.split_once("}}").with_context(|| format!("'{{{{' is not closed in {template:?}"))?;
        let name = name.trim();
        let value = values.get(name).with_context(|| format!("unknown variable {name:?} in {template:?}"))?;
        rendered.push_str(literal);
        rendered.push_str(value);
        rest = tail;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        [("a", "1"), ("b", "{{ a }}")].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn replaces_names() {
        let rendered = |template| render(template, &values()).unwrap();
        assert_eq!(rendered("plain"), "plain");
        assert_eq!(rendered("x{{ a }}y{{a}}"), "x1y1");
        assert_eq!(rendered("{{ b }}"), "{{ a }}", "values are not templates");
    }

    #[test]
    fn refuses_the_unknown_and_the_open() {
        assert!(render("{{ c }}", &values()).is_err());
        assert!(render("{{ a", &values()).is_err());
    }
}
