//! Which component serves a path: Spin's rules, on the router that Spin uses.

use anyhow::{Result, anyhow};
use routefinder::RouteSpec;

use crate::manifest::{HttpTrigger, Route};

/// Paths below this are the host's own.
pub(crate) const WELL_KNOWN: &str = "/.well-known/spin/";

/// Finds the component for a path. An exact segment goes before a parameter, a parameter before a
/// trailing wildcard.
pub(crate) struct Router {
    router: routefinder::Router<Target>,
    listed: Vec<(String, String)>,
    warnings: Vec<String>,
}

struct Target {
    component: String,
    /// As in the manifest.
    raw: String,
    /// With a leading and without a trailing slash.
    based: String,
}

/// A path that has found its component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteMatch<'a> {
    /// The component's id.
    pub(crate) component: &'a str,
    /// The route as the manifest has it.
    pub(crate) raw_route: &'a str,
    /// The route with a leading and without a trailing slash.
    pub(crate) based_route: &'a str,
    /// What the trailing wildcard stands for, or nothing.
    pub(crate) path_info: String,
    /// The values of the parameters, by name.
    pub(crate) parameters: Vec<(String, String)>,
}

impl<'a> RouteMatch<'a> {
    /// The match of a service-chained request: as if the component had the route `/...`.
    pub(crate) fn chained(component: &'a str, path: &str) -> Self {
        Self { component, raw_route: "/...", based_route: "/...", path_info: path.to_owned(), parameters: Vec::new() }
    }

    /// The route as the manifest has it, without a trailing wildcard.
    pub(crate) fn raw_route_or_prefix(&self) -> &'a str {
        self.raw_route.strip_suffix("/...").unwrap_or(self.raw_route)
    }
}

impl Router {
    /// Builds the router of an application. Of two triggers with the same route, the later counts.
    ///
    /// # Errors
    ///
    /// If a route is not a valid pattern.
    pub(crate) fn new(triggers: &[HttpTrigger]) -> Result<Self> {
        let mut listed: Vec<(String, String)> = Vec::new();
        let mut warnings = Vec::new();
        for trigger in triggers {
            let Route::Public(route) = &trigger.route else {
                continue;
            };
            if route.starts_with(WELL_KNOWN) {
                warnings.push(format!("the route {route} is the host's own: never reached"));
            }
            match listed.iter_mut().find(|(known, _)| known == route) {
                None => listed.push((route.clone(), trigger.component.clone())),
                Some((_, component)) => {
                    warnings.push(format!(
                        "the route {route} is given twice: {} has it, {component} does not",
                        trigger.component
                    ));
                    component.clone_from(&trigger.component);
                }
            }
        }
        let mut router = routefinder::Router::new();
        for (route, component) in &listed {
            let (spec, target) = parse(route, component)?;
            router.add(spec, target).map_err(|error| anyhow!("the route {route:?} of {component}: {error}"))?;
        }
        Ok(Self { router, listed, warnings })
    }

    /// The public routes and their components, in the order of the manifest.
    pub(crate) fn routes(&self) -> &[(String, String)] {
        &self.listed
    }

    /// What is odd about the routes, for the person who starts the host.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Finds the component for a path.
    pub(crate) fn find(&self, path: &str) -> Option<RouteMatch<'_>> {
        let found = self.router.best_match(path)?;
        let target = found.handler();
        let captures = found.captures();
        let parameters = captures.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(RouteMatch {
            component: &target.component,
            raw_route: &target.raw,
            based_route: &target.based,
            path_info: captures.wildcard().map(|rest| path_info(rest, path)).unwrap_or_default(),
            parameters: parameters.collect(),
        })
    }
}

fn parse(route: &str, component: &str) -> Result<(RouteSpec, Target)> {
    let slash = if route.starts_with('/') { "" } else { "/" };
    let based = format!("{slash}{}", route.strip_suffix('/').unwrap_or(route));
    let based = if based == "/" { String::new() } else { based };
    let pattern = match based.strip_suffix("/...") {
        Some(prefix) => format!("{prefix}/*"),
        None => based.clone(),
    };
    let spec = RouteSpec::try_from(pattern).map_err(|error| anyhow!("the route {route:?} of {component}: {error}"))?;
    let target = Target { component: component.to_owned(), raw: route.to_owned(), based };
    Ok((spec, target))
}

/// The trailing part of a path with the slashes that the router drops: Spin has always kept them.
fn path_info(rest: &str, path: &str) -> String {
    match (rest.is_empty(), path.ends_with('/')) {
        (true, false) => String::new(),
        (true, true) => "/".to_owned(),
        (false, false) => format!("/{rest}"),
        (false, true) => format!("/{rest}/"),
    }
}
