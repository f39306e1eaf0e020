//! Composition of a component with its dependencies, after the rules of Spin's `dependencies`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use wac_graph::types::{ItemKind, Package, SubtypeChecker, WorldId};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

use super::{Part, Parts, componentize, deny};

/// Composes the parts into one component that exports what the main one exports.
///
/// Each dependency's name selects imports of the component: `pkg:name`, `pkg:name@1.0.0`,
/// `pkg:name/interface`, `pkg:name/interface@1.0.0`, or a plain name.
///
/// # Errors
///
/// If a dependency matches no import, two match the same, or an export is missing or of another type.
pub(super) fn compose(parts: &Parts) -> Result<Vec<u8>> {
    let component = componentize(&parts.component)?;
    if parts.dependencies.is_empty() {
        return Ok(component);
    }
    let mut graph = CompositionGraph::new();
    let (world, instance) = register(&mut graph, "bodega:main", component)?;
    let imports: Vec<String> = graph.types()[world].imports.keys().cloned().collect();
    let mut arguments: BTreeMap<&str, (&Part, WorldId, NodeId)> = BTreeMap::new();
    for (index, part) in parts.dependencies.iter().enumerate() {
        let matched = imports.iter().filter(|import| matches(&part.name, import));
        let matched: Vec<&String> = matched.collect();
        ensure!(
            !matched.is_empty(),
            "the dependency {:?} matches no import; there are: {}",
            part.name,
            imports.join(", ")
        );
        let (part_world, part_instance) =
            dependency(&mut graph, index, part).with_context(|| format!("dependency {:?}", part.name))?;
        for import in matched {
            let before = arguments.insert(import, (part, part_world, part_instance));
            if let Some((other, ..)) = before {
                bail!("the dependencies {:?} and {:?} both match the import {import:?}", other.name, part.name);
            }
        }
    }
    for (import, (part, part_world, part_instance)) in arguments {
        let export = part.export.as_deref().unwrap_or(import);
        check_type(&graph, world, import, part_world, export).with_context(|| format!("dependency {:?}", part.name))?;
        let argument = graph.alias_instance_export(part_instance, export)?;
        graph.set_instantiation_argument(instance, import, argument)?;
    }
    export_all(&mut graph, world, instance)?;
    Ok(graph.encode(EncodeOptions::default())?)
}

fn register(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<(WorldId, NodeId)> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())?;
    let world = package.ty();
    let package = graph.register_package(package)?;
    Ok((world, graph.instantiate(package)))
}

/// Adds a dependency whose imports of capabilities that it does not inherit are renamed, so that the
/// host can tell them from its parent's and refuse them.
fn dependency(graph: &mut CompositionGraph, index: usize, part: &Part) -> Result<(WorldId, NodeId)> {
    let bytes = componentize(&part.bytes)?;
    let (world, instance) = register(graph, &format!("bodega:dependency{index}"), bytes)?;
    let imports: Vec<(String, ItemKind)> = graph.types()[world]
        .imports
        .iter()
        .filter(|(name, _)| deny::is_denied(name, &part.inherit))
        .map(|(name, kind)| (name.clone(), *kind))
        .collect();
    for (name, kind) in imports {
        let denied = deny::denied_name(index, &name);
        // The encoder takes imports of interfaces with the same identity for one import, whatever
        // their names; the parent's own import must not stand in for this one.
        if let ItemKind::Instance(interface) = kind {
            graph.types_mut()[interface].id = Some(denied.clone());
        }
        let import = graph.import(denied, kind)?;
        graph.set_instantiation_argument(instance, &name, import)?;
    }
    Ok((world, instance))
}

fn check_type(graph: &CompositionGraph, world: WorldId, import: &str, part_world: WorldId, export: &str) -> Result<()> {
    let types = graph.types();
    let offered = types[part_world].exports.get(export).with_context(|| format!("does not export {export:?}"))?;
    let wanted = types[world].imports.get(import).with_context(|| format!("nobody imports {import:?}"))?;
    SubtypeChecker::new(&mut Default::default())
        .is_subtype(*offered, types, *wanted, types)
        .with_context(|| format!("its export {export:?} does not fit the import {import:?}"))
}

fn export_all(graph: &mut CompositionGraph, world: WorldId, instance: NodeId) -> Result<()> {
    let exports: Vec<String> = graph.types()[world].exports.keys().cloned().collect();
    for name in exports {
        let export = graph.alias_instance_export(instance, &name)?;
        graph.export(export, &name)?;
    }
    Ok(())
}

/// Whether the dependency of this name in the manifest is meant for this import.
fn matches(dependency: &str, import: &str) -> bool {
    let split = |name: &str| {
        let (name, version) = match name.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (name, None),
        };
        let (package, interface) = match name.split_once('/') {
            Some((package, interface)) => (package, Some(interface.to_owned())),
            None => (name, None),
        };
        (package.to_owned(), interface, version)
    };
    let (package, interface, version) = split(dependency);
    let (import_package, import_interface, import_version) = split(import);
    package == import_package
        && (interface.is_none() || interface == import_interface)
        && (version.is_none() || version == import_version)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn names_select_imports() {
        for (dependency, import) in [
            ("a:b", "a:b/c"),
            ("a:b", "a:b/c@0.1.0"),
            ("a:b@0.1.0", "a:b/c@0.1.0"),
            ("a:b/c", "a:b/c@0.1.0"),
            ("a:b/c@0.1.0", "a:b/c@0.1.0"),
            ("plain", "plain"),
        ] {
            assert!(matches(dependency, import), "{dependency} {import}");
        }
        for (dependency, import) in [
            ("a:b", "a:x/c"),
            ("a:b/c", "a:b/d"),
            ("a:b/c@0.1.0", "a:b/c"),
            ("a:b/c@0.1.0", "a:b/c@0.2.0"),
            ("plain", "a:b/plain"),
        ] {
            assert!(!matches(dependency, import), "{dependency} {import}");
        }
    }
}
