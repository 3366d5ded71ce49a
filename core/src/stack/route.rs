//! Where packets go and come from: the stack's own addresses, loopback, and the link.

use super::Domain;
use crate::config::Prefix;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which way a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the link.
    Link,
    /// Back into the stack.
    Loopback,
}

/// The stack's addresses.
#[derive(Debug)]
pub(super) struct Route {
    addresses: Vec<Prefix>,
}

impl Route {
    pub(super) fn new(addresses: Vec<Prefix>) -> Self {
        Self { addresses }
    }

    /// Whether packets to `address` are for this stack.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.is_configured(address)
    }

    /// Whether `address` is one of the addresses on the link.
    pub(super) fn is_configured(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|prefix| prefix.address == address)
    }

    pub(super) fn way(&self, destination: IpAddr) -> Way {
        if self.owns(destination) { Way::Loopback } else { Way::Link }
    }

    /// The address to send from: that whose prefix holds the destination, else the first of the family. `None`: the network is unreachable.
    pub(super) fn source(&self, destination: IpAddr) -> Option<IpAddr> {
        if destination.is_loopback() {
            return Some(loopback(Domain::of(destination)));
        }
        if self.is_configured(destination) {
            return Some(destination);
        }
        let family = || self.addresses.iter().filter(|p| p.address.is_ipv4() == destination.is_ipv4());
        let near = family().filter(|p| p.contains(destination)).max_by_key(|p| p.length);
        near.or_else(|| family().next()).map(|prefix| prefix.address)
    }

    /// Whether `address` names more than one host: multicast, broadcast, or the broadcast address of a network of ours.
    pub(super) fn is_group(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V6(v6) => v6.is_multicast(),
            IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() => true,
            IpAddr::V4(v4) => self.addresses.iter().any(|prefix| is_subnet_broadcast(prefix, v4)),
        }
    }
}

/// 127.0.0.1 or ::1.
pub(super) const fn loopback(domain: Domain) -> IpAddr {
    match domain {
        Domain::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Domain::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

/// Networks of 31 and 32 bits have no broadcast address (RFC 3021).
fn is_subnet_broadcast(prefix: &Prefix, address: Ipv4Addr) -> bool {
    let host = u32::MAX.checked_shr(u32::from(prefix.length)).unwrap_or(0);
    prefix.length < 31 && prefix.contains(IpAddr::V4(address)) && address.to_bits() & host == host
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn route() -> Route {
        let prefixes =
            ["192.0.2.1/24", "198.51.100.1/30", "198.51.100.129/25", "2001:db8::1/64", "203.0.113.7/31"];
        Route::new(prefixes.iter().map(|text| text.parse().expect("a prefix")).collect())
    }

    #[test]
    fn the_source_is_near_the_destination_or_the_first_of_its_family() {
        let table = [
            ("192.0.2.77", "192.0.2.1"),
            ("198.51.100.2", "198.51.100.1"),
            ("198.51.100.200", "198.51.100.129"),
            ("8.8.8.8", "192.0.2.1"),
            ("2001:db8:ffff::1", "2001:db8::1"),
            ("127.1.2.3", "127.0.0.1"),
            ("::1", "::1"),
            ("198.51.100.129", "198.51.100.129"),
        ];
        for (destination, source) in table {
            assert_eq!(route().source(ip(destination)), Some(ip(source)), "{destination}");
        }
        let only_v4 = Route::new(vec!["192.0.2.1/24".parse().expect("a prefix")]);
        assert_eq!(only_v4.source(ip("2001:db8::9")), None);
        assert_eq!(only_v4.source(ip("::1")), Some(ip("::1")));
    }

    #[test]
    fn groups_are_multicast_and_the_last_address_of_a_network() {
        let groups = ["224.0.0.1", "255.255.255.255", "192.0.2.255", "198.51.100.3", "ff02::1"];
        let hosts =
            ["192.0.2.254", "198.51.100.2", "203.0.113.7", "203.0.113.6", "10.255.255.255", "2001:db8::ffff"];
        assert!(groups.iter().all(|text| route().is_group(ip(text))));
        assert!(hosts.iter().all(|text| !route().is_group(ip(text))));
    }

    #[test]
    fn own_addresses_go_round() {
        let own = ["192.0.2.1", "127.255.0.1", "::1", "2001:db8::1"];
        assert!(own.iter().all(|text| route().way(ip(text)) == Way::Loopback));
        assert_eq!(route().way(ip("192.0.2.2")), Way::Link);
    }
}
