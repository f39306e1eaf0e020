//! Addresses of servers other than those of the web.

use std::fmt;

use url::{Host, Url};

/// Where a server is, from its address: without user, password and path, so that it can be shown.
pub(crate) struct Address {
    pub(crate) scheme: String,
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

impl Address {
    /// Reads an address such as `redis://user:secret@example.com:6379/0` as Spin does. One that has no scheme or host gets
    /// `scheme`.
    pub(crate) fn parse(address: &str, scheme: &str) -> Option<Self> {
        let address = without_user(address);
        let url = Url::parse(&address).ok().filter(Url::has_host);
        let url = url.or_else(|| Url::parse(&format!("{scheme}://{address}")).ok())?;
        let host = Host::parse(url.host_str()?).ok()?;
        Some(Self { scheme: url.scheme().to_owned(), host, port: url.port() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(formatter, ":{port}"))
    }
}

/// Takes out user and password, which may have characters that no URL has.
fn without_user(address: &str) -> String {
    let start = address.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = address.split_at(start);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}{}", &rest[at + 1..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_secrets() {
        for (address, shown) in [
            ("redis://user:secret@example.com:6379/0", "redis://example.com:6379"),
            ("redis://:s#cr%t@127.0.0.1:1", "redis://127.0.0.1:1"),
            ("redis://:p@ss@127.0.0.1:1", "redis://127.0.0.1:1"),
            ("mqtt://localhost:1883?client_id=a@b", "mqtt://localhost:1883"),
            ("rediss://[::1]:1", "rediss://[::1]:1"),
            ("localhost:1883", "mqtt://localhost:1883"),
            ("localhost", "mqtt://localhost"),
        ] {
            assert_eq!(Address::parse(address, "mqtt").unwrap().to_string(), shown);
        }
        assert!(Address::parse("", "mqtt").is_none());
        // As in Spin: what is no URL gets a scheme, and then begins with a host.
        assert_eq!(Address::parse("mqtt://host:port", "mqtt").unwrap().to_string(), "mqtt://mqtt");
    }
}
