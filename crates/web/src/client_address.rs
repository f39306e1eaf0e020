//! Where a request comes from: the address of the connection, or what proxies that are trusted say of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The client address that Spin gives to a call from another component. No connection has it.
const CHAINED: &str = "0.0.0.0:0";

/// The address that the host has seen. Spin 4.1 adds it behind whatever the client sent under the same name, so only the
/// last one counts.
fn connection(headers: &HeaderMap) -> &str {
    let last = headers.get_all("spin-client-addr").iter().next_back();
    last.and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// True for a call from another component of the shop.
pub(crate) fn is_internal(headers: &HeaderMap) -> bool {
    connection(headers) == CHAINED
}

/// Proxies whose `X-Forwarded-For` is believed. `Forwarded` is not read: a proxy that writes only the older header hands
/// on whatever a client has put into the newer one.
#[derive(Debug, Default)]
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Addresses and networks (`10.0.0.0/8`) with commas or spaces between them. The error is the part that is neither.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(|at: char| at == ',' || at.is_whitespace()).filter(|part| !part.is_empty());
        let network = |part: &str| part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
        parts.map(|part| network(part).map_err(|_| part.to_owned())).collect::<Result<_, _>>().map(Self)
    }

    /// The client's address: the connection's, unless that is a trusted proxy. Then the header is read from its end,
    /// where the nearest proxy has written, up to the first address that is no trusted proxy. What is no address was not
    /// written by one of them, so nothing before it is believed either. `None` when the host does not tell.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = connection(headers).parse::<SocketAddr>().ok()?.ip().to_canonical();
        let lists = headers.get_all("x-forwarded-for").iter().rev();
        let mut hops = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
        while self.trusts(client) {
            match hops.next().and_then(address) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        Some(client)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address as proxies write it: some add the port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Under which name the requests of a client are counted. Whoever has one IPv6 address has all of its /64.
pub(crate) fn counted_as(client: Option<IpAddr>) -> String {
    match client {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(connection: &str, forwarded: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append("spin-client-addr", HeaderValue::from_str(connection).unwrap());
        for list in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(list.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_client_cannot_forge_its_address() {
        let mut headers = headers(CHAINED, &["10.1.1.1"]);
        headers.append("spin-client-addr", HeaderValue::from_static("192.0.2.1:4711"));
        assert!(!is_internal(&headers));
        assert_eq!(Proxies::default().client(&headers), "192.0.2.1".parse().ok());
        headers.append("spin-client-addr", HeaderValue::from_static(CHAINED));
        assert!(is_internal(&headers));
    }

    #[test]
    fn only_trusted_proxies_are_believed_from_the_nearest_on() {
        let proxies = Proxies::parse("10.0.0.0/8, 192.0.2.7 fd00::/8").unwrap();
        for (connection, forwarded, expected) in [
            ("203.0.113.5:1", &["198.51.100.1"] as &[&str], "203.0.113.5"),
            ("10.0.0.1:1", &[], "10.0.0.1"),
            ("10.0.0.1:1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["198.51.100.1, 198.51.100.2"], "198.51.100.2"),
            ("10.0.0.1:1", &["198.51.100.1,198.51.100.2 , 192.0.2.7"], "198.51.100.2"),
            ("10.0.0.1:1", &["198.51.100.1", "198.51.100.2", "10.9.9.9"], "198.51.100.2"),
            ("10.0.0.1:1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
            ("10.0.0.1:1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1:1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1:1", &["[2001:db8::1]"], "2001:db8::1"),
            ("[fd00::1]:1", &["2001:db8::1"], "2001:db8::1"),
            ("[::ffff:10.0.0.1]:1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1:1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1:1", &["198.51.100.1, "], "10.0.0.1"),
            ("10.0.0.1:1", &["198.51.100.1, 10.0.0.2, x, 10.0.0.3"], "10.0.0.3"),
            ("10.0.0.1:1", &["198.51.100.1", "\u{e4}"], "10.0.0.1"),
            ("10.0.0.1:1", &["198.51.100.256"], "10.0.0.1"),
            ("192.0.2.8:1", &["198.51.100.1"], "192.0.2.8"),
        ] {
            let client = proxies.client(&headers(connection, forwarded)).unwrap();
            assert_eq!(client.to_string(), expected, "{connection} {forwarded:?}");
        }
        assert_eq!(proxies.client(&headers("", &["198.51.100.1"])), None);
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in ["10.0.0.0/33", "proxy.example", "10.0.0.1:80"] {
            assert_eq!(Proxies::parse(&format!("10.0.0.1 {bad}")).unwrap_err(), bad);
        }
    }

    #[test]
    fn ipv6_clients_are_counted_by_their_network() {
        let name = |address: &str| counted_as(address.parse().ok());
        assert_eq!(name("192.0.2.1"), "192.0.2.1");
        assert_eq!(name("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(name("2001:db8:1:2::"), "2001:db8:1:2::/64");
        assert_ne!(name("2001:db8:1:3::"), name("2001:db8:1:2::"));
        assert_eq!(name(""), "unknown");
    }
}
