//! Where packets go and come from: the stack's own addresses, loopback, and the networks that the link leads to.

use super::Domain;
use crate::config::{self, Prefix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

mod select;

/// Which way a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the link.
    Link,
    /// Back into the stack.
    Loopback,
}

/// The number of the one link that link-local addresses can be on: their scope id (RFC 4007).
pub(super) const LINK: u32 = 1;

/// The stack's addresses and routes.
#[derive(Debug)]
pub(super) struct Route {
    addresses: Vec<Prefix>,
    /// The same without their lengths, and the broadcast addresses of their networks, in order: each packet is asked about.
    own: Vec<IpAddr>,
    broadcast: Vec<Ipv4Addr>,
    /// By length, the longest first; those that the addresses imply come before others of their length. Empty: the link leads everywhere.
    routes: Vec<config::Route>,
}

impl Route {
    /// With `addresses`, and if `routes` is not empty, only what they and the addresses' prefixes name can be reached.
    pub(super) fn new(addresses: Vec<Prefix>, routes: &[config::Route]) -> Self {
        let near =
            |prefix: &Prefix| config::Route { destination: prefix.network(), gateway: None, mtu: None };
        let mut all: Vec<_> = match routes {
            [] => Vec::new(),
            routes => addresses.iter().map(near).chain(routes.iter().copied()).collect(),
        };
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.2
        //# As an extra feature, a host IP layer MAY implement a table of "static routes". (1122:3.3.1.2-5)
        all.sort_by_key(|route| std::cmp::Reverse(route.destination.length));
        let mut own: Vec<_> = addresses.iter().map(|prefix| prefix.address).collect();
        own.sort_unstable();
        let mut broadcast: Vec<_> = addresses.iter().filter_map(Prefix::broadcast).collect();
        broadcast.sort_unstable();
        Self { addresses, own, broadcast, routes: all }
    }

    /// Whether packets to `address` are for this stack.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.is_configured(address)
    }

    /// Whether `address` is one of the addresses on the link.
    pub(super) fn is_configured(&self, address: IpAddr) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc791#section-2.3
        //# a single physical host must be able to act as if it were several distinct hosts to the extent of using several distinct internet addresses. (791:2.3-1)
        match self.own[..] {
            [one] => one == address,
            ref all => all.binary_search(&address).is_ok(),
        }
    }

    /// Which way packets to `destination` leave, if they can.
    pub(super) fn way(&self, destination: IpAddr) -> Way {
        if self.owns(destination) { Way::Loopback } else { Way::Link }
    }

    /// Whether packets to `destination` can leave: to this host, to neighbours without an address of their own, and to where a route leads.
    pub(super) fn leads_to(&self, destination: IpAddr) -> bool {
        let near = match destination {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
            //# (b) { 0, <Host-number> } Specified host on this network. It MUST NOT be sent (1122:3.2.1.3-2)
            // This network's hosts: an address of somebody who does not know his own yet.
            IpAddr::V4(v4) if v4.octets()[0] == 0 => return false,
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
        };
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.1
        //# The host IP layer MUST operate correctly in a minimal network environment, and in particular, when there are no gateways. (1122:3.3.1.1-2)
        near || self.owns(destination) || self.routes.is_empty() || self.find(destination).is_some()
    }

    /// Largest packet of the way to `destination`, where a route says so.
    pub(super) fn mtu(&self, destination: IpAddr) -> Option<u16> {
        self.find(destination)?.mtu
    }

    /// The address to send from. `None`: the network is unreachable.
    pub(super) fn source(&self, destination: IpAddr) -> Option<IpAddr> {
        if destination.is_loopback() {
            return Some(loopback(Domain::of(destination)));
        }
        if !self.leads_to(destination) {
            return None;
        }
        let gateway = self.find(destination).and_then(|route| route.gateway);
        select::source(&self.addresses, destination, gateway)
    }

    /// Whether `address` names more than one host: multicast, broadcast, or the broadcast address of a network of ours.
    pub(super) fn is_group(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V6(v6) => v6.is_multicast(),
            IpAddr::V4(v4) if v4.is_multicast() || v4.is_broadcast() => true,
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
            //# A host MUST support the subnet extensions to IP (1122:3.2.1.3-8)
            IpAddr::V4(v4) => self.broadcast.binary_search(&v4).is_ok(),
        }
    }

    /// The longest route that holds `destination`.
    fn find(&self, destination: IpAddr) -> Option<&config::Route> {
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.1
        //# To decide if the destination is on a connected network, the following algorithm MUST be used (1122:3.3.1.1-1)
        self.routes.iter().find(|route| route.destination.contains(destination))
    }
}

/// 127.0.0.1 or ::1.
pub(super) const fn loopback(domain: Domain) -> IpAddr {
    match domain {
        Domain::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Domain::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

/// An endpoint as programs see it: a link-local address is of the one link that there is.
pub(super) const fn endpoint(ip: IpAddr, port: u16) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(v6) => {
            let scope = if v6.is_unicast_link_local() { LINK } else { 0 };
            SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope))
        }
    }
}

/// Whether the address that a program names lies on a link that there is; the scope id of one that is not link-local does not matter.
pub(super) const fn is_on_link(address: SocketAddr) -> bool {
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => matches!(v6.scope_id(), 0 | LINK),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
