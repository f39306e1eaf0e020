//! Capabilities that a dependency does not inherit from its parent.
//!
//! Composition gives such an import another name; here the host defines it, with functions that
//! refuse in the terms of their own type: an error such as `access-denied`, an empty list, nothing.

use anyhow::{Context as _, Result};
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, Linker, ResourceType, Val};

use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi_http::p2::bindings::http::types as p2_types;
use wasmtime_wasi_http::{p2, p3};

use crate::manifest::Inherit;

/// Comes before the namespace of a denied import, with the number of the dependency.
const PREFIX: &str = "denied";

/// The interfaces that each grant of the manifest opens, without their versions. Sockets are not among
/// them: this host gives none to anybody. Without preopened directories there is nothing to open files in.
const CAPABILITIES: &[(&str, &[&str])] = &[
    ("ai_models", &["fermyon:spin/llm"]),
    (
        "allowed_outbound_hosts",
        &[
            "fermyon:spin/http",
            "fermyon:spin/mqtt",
            "fermyon:spin/mysql",
            "fermyon:spin/postgres",
            "fermyon:spin/redis",
            "spin:mqtt/mqtt",
            "spin:mysql/mysql",
            "spin:postgres/postgres",
            "spin:redis/redis",
            "wasi:http/client",
            "wasi:http/outgoing-handler",
        ],
    ),
    ("environment", &["wasi:cli/environment"]),
    ("files", &["wasi:filesystem/preopens"]),
    ("key_value_stores", &["fermyon:spin/key-value", "spin:key-value/key-value", "wasi:keyvalue/store"]),
    ("sqlite_databases", &["fermyon:spin/sqlite", "spin:sqlite/sqlite"]),
    ("variables", &["fermyon:spin/config", "fermyon:spin/variables", "spin:variables/variables", "wasi:config/store"]),
];

/// Whether a dependency that inherits this much may not use this import.
pub(super) fn is_denied(import: &str, inherit: &Inherit) -> bool {
    let interface = import.split('@').next().unwrap_or(import);
    let grant = CAPABILITIES.iter().find(|(_, interfaces)| interfaces.contains(&interface));
    match (grant, inherit) {
        (None, _) | (_, Inherit::All) => false,
        (Some((grant, _)), Inherit::Some(inherited)) => !inherited.iter().any(|name| name == grant),
    }
}

/// The name that a denied import of a dependency gets, such as `denied0-spin:sqlite/sqlite@3.1.0`.
pub(super) fn denied_name(dependency: usize, import: &str) -> String {
    format!("{PREFIX}{dependency}-{import}")
}

/// Whether this is the name of a denied import.
pub(crate) fn is_denied_name(import: &str) -> bool {
    import
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(number, _)| number.parse::<usize>().is_ok())
}

/// Defines the denied imports of a component in `linker`.
///
/// # Errors
///
/// If an import is not an interface.
pub(crate) fn define<T: Send + 'static>(linker: &mut Linker<T>, component: &Component) -> Result<()> {
    let engine = component.engine().clone();
    for (import, item) in component.component_type().imports(&engine) {
        if !is_denied_name(import) {
            continue;
        }
        let ComponentItem::ComponentInstance(interface) = item.ty else {
            anyhow::bail!("the denied import {import:?} is not an interface");
        };
        let mut instance = linker.instance(import)?;
        for (name, item) in interface.exports(&engine) {
            match item.ty {
                ComponentItem::Resource(_) => {
                    instance.resource(name, resource(import, name), |_, _| Ok(()))?;
                }
                ComponentItem::ComponentFunc(function) => {
                    let asynchronous = function.async_();
                    if asynchronous {
                        instance.func_new_concurrent(name, |_, ty, _, results| {
                            let refused = refuse(&ty, results);
                            Box::pin(async { refused })
                        })?;
                    } else {
                        instance.func_new(name, |_, ty, _, results| refuse(&ty, results))?;
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The type behind resources of denied interfaces; there never is a value of it.
struct Denied;

/// The type of a resource of a denied interface: one of its own, or one that the interface takes
/// from another, which is not denied.
fn resource(import: &str, name: &str) -> ResourceType {
    let http = import.contains("-wasi:http/");
    match name {
        "request" if http => ResourceType::host::<p3::Request>(),
        "response" if http => ResourceType::host::<p3::Response>(),
        "outgoing-request" if http => ResourceType::host::<p2::types::HostOutgoingRequest>(),
        "future-incoming-response" if http => ResourceType::host::<p2::types::HostFutureIncomingResponse>(),
        "descriptor" if import.contains("-wasi:filesystem/") => ResourceType::host::<Descriptor>(),
        "request-options" if http => ResourceType::host::<p2_types::RequestOptions>(),
        _ => ResourceType::host::<Denied>(),
    }
}

fn refuse(function: &ComponentFunc, results: &mut [Val]) -> wasmtime::Result<()> {
    for (result, ty) in results.iter_mut().zip(function.results()) {
        *result = refusal(&ty)
            .context("a dependency used a capability that it does not inherit")
            .map_err(wasmtime::Error::from_anyhow)?;
    }
    Ok(())
}

/// The value of this type that says no, if it has one.
fn refusal(ty: &Type) -> Option<Val> {
    match ty {
        Type::Result(result) => {
            let error = error(&result.err()?)?;
            Some(Val::Result(Err(Some(Box::new(error)))))
        }
        Type::List(_) => Some(Val::List(Vec::new())),
        Type::Option(_) => Some(Val::Option(None)),
        _ => None,
    }
}

fn error(ty: &Type) -> Option<Val> {
    const NAMES: [&str; 5] = ["access-denied", "internal-error", "other", "io", "HTTP-request-denied"];
    let message = || Val::String("the component does not inherit this capability".into());
    match ty {
        Type::Enum(cases) => {
            let mut cases = cases.names();
            let name = cases.find(|name| NAMES.contains(name))?;
            Some(Val::Enum(name.into()))
        }
        Type::Variant(variant) => NAMES.iter().find_map(|name| {
            let case = variant.cases().find(|case| case.name == *name)?;
            let payload = match case.ty {
                None => None,
                Some(Type::String) => Some(Box::new(message())),
                Some(Type::Option(_)) => Some(Box::new(Val::Option(None))),
                Some(_) => return None,
            };
            Some(Val::Variant((*name).into(), payload))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inherits_what_it_names() {
        let nothing = Inherit::Some(Vec::new());
        let stores = Inherit::Some(vec!["key_value_stores".into()]);
        let import = "spin:key-value/key-value@3.0.0";
        assert!(is_denied(import, &nothing));
        assert!(!is_denied(import, &stores));
        assert!(!is_denied(import, &Inherit::All));
        assert!(is_denied("wasi:filesystem/preopens@0.2.6", &stores));
        assert!(!is_denied("wasi:filesystem/types@0.2.6", &nothing));
        assert!(is_denied("spin:sqlite/sqlite@3.1.0", &stores));
        assert!(!is_denied("wasi:clocks/system-clock@0.3.0", &nothing));
    }
}
