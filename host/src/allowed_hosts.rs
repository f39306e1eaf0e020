//! `allowed_outbound_hosts`: which hosts a component may call.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use http::Uri;
use url::Host;

use crate::address::Address;

/// The domain of service chaining: `http://COMPONENT.spin.internal`.
const CHAINING_DOMAIN: &str = "spin.internal";

/// The hosts that a component may call.
#[derive(Debug, Default)]
pub(crate) struct AllowedHosts(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    scheme: Option<String>,
    host: HostRule,
    ports: PortRule,
}

#[derive(Debug)]
enum HostRule {
    Any,
    /// `self`: the application's own public address.
    Own,
    /// Ends with this, which begins with a dot.
    Below(String),
    /// Any component of the application.
    AnyComponent,
    Exactly(Host),
    Network(IpAddr, u8),
}

#[derive(Debug)]
enum PortRule {
    Any,
    /// From the first up to, and without, the second.
    Range(u32, u32),
}

impl AllowedHosts {
    /// Parses the entries, in which all templates are replaced by now. An entry that an empty
    /// variable has left empty allows nothing.
    ///
    /// # Errors
    ///
    /// If an entry is not of the form `scheme://host[:port]`.
    pub(crate) fn parse(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut parsed = Vec::new();
        for entry in entries {
            let entry = entry.as_ref().trim();
            if matches!(entry, "" | "http://" | "https://") {
                continue;
            }
            let entry = Entry::parse(entry).with_context(|| format!("{entry:?} in allowed_outbound_hosts"))?;
            parsed.push(entry);
        }
        Ok(Self(parsed))
    }

    /// Whether a request to this absolute URI is allowed.
    pub(crate) fn allows(&self, uri: &Uri) -> bool {
        let scheme = uri.scheme_str().unwrap_or("https");
        let Some(authority) = uri.authority() else {
            return false;
        };
        let Ok(host) = Host::parse(authority.host()) else {
            return false;
        };
        self.allows_place(scheme, &host, authority.port_u16())
    }

    /// Whether a connection to the server at this address is allowed.
    pub(crate) fn allows_address(&self, address: &Address) -> bool {
        self.allows_place(&address.scheme, &address.host, address.port)
    }

    fn allows_place(&self, scheme: &str, host: &Host, port: Option<u16>) -> bool {
        let port = port.or_else(|| default_port(scheme));
        let allowed =
            |entry: &Entry| entry.allows_scheme(scheme) && entry.ports.allows(port) && entry.host.allows(host);
        self.0.iter().any(allowed)
    }

    /// Whether a request to the application's own public address is allowed.
    pub(crate) fn allows_own(&self) -> bool {
        let allowed = |entry: &Entry| {
            matches!(entry.host, HostRule::Own | HostRule::Any)
                && (entry.allows_scheme("http") || entry.allows_scheme("https"))
        };
        self.0.iter().any(allowed)
    }
}

impl Entry {
    fn parse(entry: &str) -> Result<Self> {
        let (scheme, rest) = entry.split_once("://").context("has no scheme, such as http:// or *://")?;
        let scheme = match scheme {
            "*" => None,
            name if !name.is_empty() && name.chars().all(char::is_alphabetic) => Some(name.into()),
            _ => bail!("has an invalid scheme"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // An IPv6 address in brackets has colons of its own.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (rest, ""),
        };
        Ok(Self { ports: PortRule::parse(port, scheme.as_deref())?, host: HostRule::parse(host)?, scheme })
    }

    fn allows_scheme(&self, scheme: &str) -> bool {
        self.scheme.as_deref().is_none_or(|own| own == scheme)
    }
}

impl HostRule {
    fn parse(host: &str) -> Result<Self> {
        if host == "*" {
            return Ok(Self::Any);
        }
        if host == "self" || host == "self.alt" {
            return Ok(Self::Own);
        }
        if let Some((address, bits)) = host.split_once('/') {
            let address: IpAddr = address.parse().context("must not have a path")?;
            let bits: u8 = bits.parse().context("has an invalid network prefix")?;
            ensure!(bits <= width(address), "has an invalid network prefix");
            return Ok(Self::Network(address, bits));
        }
        if let Some(domain) = host.strip_prefix("*.") {
            ensure!(
                matches!(Host::parse(domain)?, Host::Domain(_)),
                "has a wildcard before something that is not a domain"
            );
            return Ok(match domain {
                CHAINING_DOMAIN => Self::AnyComponent,
                _ => Self::Below(format!(".{domain}")),
            });
        }
        ensure!(!host.contains('*'), "has a wildcard that is not a whole subdomain");
        Ok(Self::Exactly(Host::parse(host)?))
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Own, _) => false,
            (Self::Below(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (Self::AnyComponent, Host::Domain(domain)) => chained_component(domain).is_some(),
            (Self::Exactly(own), host) => own == host,
            (Self::Network(network, bits), Host::Ipv4(ip)) => within(*network, *bits, (*ip).into()),
            (Self::Network(network, bits), Host::Ipv6(ip)) => within(*network, *bits, (*ip).into()),
            _ => false,
        }
    }
}

impl PortRule {
    fn parse(port: &str, scheme: Option<&str>) -> Result<Self> {
        if port == "*" {
            return Ok(Self::Any);
        }
        if port.is_empty() {
            let port = scheme.and_then(default_port).context("needs a port: its scheme has no default one")?;
            return Ok(Self::Range(port.into(), u32::from(port) + 1));
        }
        let number = |text: &str| text.parse::<u16>().context("has an invalid port");
        Ok(match port.split_once("..") {
            Some((first, end)) => Self::Range(number(first)?.into(), number(end)?.into()),
            None => Self::Range(number(port)?.into(), u32::from(number(port)?) + 1),
        })
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match self {
            Self::Any => true,
            Self::Range(first, end) => port.is_some_and(|port| (*first..*end).contains(&port.into())),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        _ => None,
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn within(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let shift = u32::from(width(network) - bits);
    let prefix = |address| number(address).checked_shr(shift).unwrap_or(0);
    width(network) == width(address) && prefix(network) == prefix(address)
}

/// The component that a service-chaining host names, with or without a port: `x` of
/// `x.spin.internal`.
pub(crate) fn chained_component(host: &str) -> Option<&str> {
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let (component, domain) = host.split_once('.')?;
    (domain == CHAINING_DOMAIN).then_some(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entries: &[&str], uri: &str) -> bool {
        let hosts = AllowedHosts::parse(entries).unwrap();
        hosts.allows(&uri.parse().unwrap())
    }

    #[test]
    fn scheme_host_and_port_all_count() {
        let entries = ["https://api.example.com"];
        assert!(allows(&entries, "https://api.example.com/x"));
        assert!(allows(&entries, "https://api.example.com:443/x"));
        assert!(!allows(&entries, "http://api.example.com/x"));
        assert!(!allows(&entries, "https://api.example.com:8443/x"));
        assert!(!allows(&entries, "https://evil.api.example.com/x"));
        assert!(allows(&["*://*:*"], "http://anything:99/"));
        assert!(allows(&["http://localhost:8000..8010"], "http://localhost:8009/"));
        assert!(!allows(&["http://localhost:8000..8010"], "http://localhost:8010/"));
        assert!(allows(&["http://[::1]:80"], "http://[::1]/"));
    }

    #[test]
    fn servers_other_than_those_of_the_web() {
        let allows = |entry: &str, address: &str| {
            let address = Address::parse(address, "redis").unwrap();
            AllowedHosts::parse([entry]).unwrap().allows_address(&address)
        };
        assert!(allows("redis://*:*", "redis://user:secret@example.com:1/0"));
        assert!(allows("redis://example.com", "redis://example.com:6379"));
        assert!(allows("redis://example.com", "redis://:secret@example.com/1"));
        assert!(allows("redis://127.0.0.0/8:7000", "127.0.0.1:7000"));
        assert!(allows("rediss://*:*", "rediss://example.com"), "any port, though the scheme has no default one");
        assert!(!allows("rediss://example.com:6379", "rediss://example.com"));
        assert!(!allows("redis://example.com", "redis://example.com:6380"));
        assert!(!allows("redis://example.com", "rediss://example.com:6379"));
        assert!(!allows("redis://example.com", "redis://example.com@evil.com"));
        assert!(!allows("mqtt://*:*", "redis://example.com"));
    }

    #[test]
    fn wildcards_and_networks() {
        assert!(allows(&["https://*.example.com"], "https://a.b.example.com/"));
        assert!(!allows(&["https://*.example.com"], "https://example.com/"));
        assert!(!allows(&["https://*.example.com"], "https://badexample.com/"));
        assert!(allows(&["http://127.0.0.0/8:*"], "http://127.3.2.1:4000/"));
        assert!(!allows(&["http://127.0.0.0/8:*"], "http://128.3.2.1:4000/"));
        assert!(allows(&["http://127.0.0.1:4000"], "http://127.0.0.1:4000/"));
    }

    #[test]
    fn service_chaining() {
        assert!(allows(&["http://*.spin.internal"], "http://orders.spin.internal/x"));
        assert!(!allows(&["http://*.spin.internal"], "http://a.b.spin.internal/x"));
        assert!(!allows(&["http://carts.spin.internal"], "http://orders.spin.internal/"));
        assert_eq!(chained_component("orders.spin.internal:80"), Some("orders"));
        assert_eq!(chained_component("spin.internal"), None);
        assert_eq!(chained_component("orders.spin.internal.example"), None);
    }

    #[test]
    fn own_address() {
        assert!(AllowedHosts::parse(["http://self"]).unwrap().allows_own());
        assert!(AllowedHosts::parse(["*://*:*"]).unwrap().allows_own());
        assert!(!AllowedHosts::parse(["http://x"]).unwrap().allows_own());
    }

    #[test]
    fn rejects_what_is_not_an_entry() {
        for bad in ["*", "example.com", "http://a/b", "ftp://x", "http://a*.b", "http://x:y"] {
            assert!(AllowedHosts::parse([bad]).is_err(), "{bad}");
        }
        assert!(AllowedHosts::parse(["", "http://"]).unwrap().0.is_empty());
    }
}
