//! A way to a network, as programs write it.

use super::Prefix;
use crate::error::{Errno, Error};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A way to a network: `198.51.100.0/24`, `::/0 via 2001:db8::1`, `default via 192.0.2.1 mtu 1400`.
///
/// Links are point to point, so that packets for a gateway go the same way as those for its neighbours; the gateway decides which of the stack's addresses
/// they come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Route {
    /// The network.
    pub destination: Prefix,
    /// The router that leads there; `None`: it is on the link.
    pub gateway: Option<IpAddr>,
    /// Largest IP packet of this way, bytes; `None`: what the link carries.
    pub mtu: Option<u16>,
}

impl Route {
    /// Refuses what cannot work on a link with these addresses.
    pub(super) fn validate(&self, addresses: &[Prefix]) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::new(Errno::EINVAL, format!("route '{self}': {text}")));
        if self.destination != self.destination.network() {
            return refuse("the destination has bits beyond its prefix length");
        }
        let six = self.destination.address.is_ipv6();
        if self.mtu.is_some_and(|mtu| mtu < if six { 1280 } else { 576 }) {
            return refuse("its mtu is below 576, or 1280 over IPv6");
        }
        let Some(gateway) = self.gateway else { return Ok(()) };
        if gateway.is_ipv6() != six {
            return refuse("the gateway is of the other address family");
        }
        let link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if !link_local
            && !addresses.iter().any(|prefix| prefix.contains(gateway) && prefix.address != gateway)
        {
            return refuse("the gateway is not a neighbour: it lies in no prefix of the stack's addresses");
        }
        Ok(())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        self.mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))
    }
}

impl FromStr for Route {
    type Err = Error;
    /// Parses `network [via gateway] [mtu bytes]`; `default` is 0.0.0.0/0 or ::/0, by the gateway's family.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            let hint = "write a network and how to get there, such as 198.51.100.0/24, ::/0 via 2001:db8::1, or \
                        default via 192.0.2.1 mtu 1400";
            Error::new(Errno::EINVAL, format!("'{text}' is not a route: {hint}"))
        };
        let mut words = text.split_whitespace();
        let network = words.next().ok_or_else(bad)?;
        let (mut gateway, mut mtu) = (None, None);
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(bad)?;
            match word {
                "via" if gateway.is_none() => gateway = Some(value.parse::<IpAddr>().map_err(|_| bad())?),
                "mtu" if mtu.is_none() => mtu = Some(value.parse::<u16>().map_err(|_| bad())?),
                _ => return Err(bad()),
            }
        }
        let destination = match (network, gateway) {
            ("default", Some(IpAddr::V4(_))) => Prefix { address: Ipv4Addr::UNSPECIFIED.into(), length: 0 },
            ("default", Some(IpAddr::V6(_))) => Prefix { address: Ipv6Addr::UNSPECIFIED.into(), length: 0 },
            ("default", None) => return Err(bad()),
            _ => network.parse().map_err(|_| bad())?,
        };
        Ok(Self { destination, gateway, mtu })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_as_they_are_written() {
        for text in [
            "198.51.100.0/24",
            "198.51.100.7/32 via 192.0.2.1",
            "0.0.0.0/0 via 192.0.2.1 mtu 1400",
            "::/0 mtu 1280",
            "2001:db8:9::/48 via fe80::1",
        ] {
            let route: Route = text.parse().unwrap();
            assert_eq!(route.to_string(), text);
        }
        let route: Route = " default  via 2001:db8::1 ".parse().unwrap();
        assert_eq!(route.to_string(), "::/0 via 2001:db8::1");
        let route: Route = "default mtu 1400 via 192.0.2.1".parse().unwrap();
        assert_eq!(route.to_string(), "0.0.0.0/0 via 192.0.2.1 mtu 1400");
        let route: Route = "198.51.100.7".parse().unwrap();
        assert_eq!(route.destination.length, 32, "an address is a network of one");
    }

    #[test]
    fn what_is_no_route_is_refused_with_a_hint() {
        for text in [
            "",
            "default",
            "192.0.2.0/33",
            "192.0.2.0/24 via",
            "192.0.2.0/24 via nobody",
            "::/0 mtu 70000",
            "::/0 dev tun0",
            "::/0 via ::2 via ::3",
        ] {
            let error = text.parse::<Route>().expect_err(text);
            assert!(error.errno() == Errno::EINVAL && error.to_string().contains("default via"), "{error}");
        }
    }

    #[test]
    fn routes_that_cannot_work_are_refused() {
        let addresses = ["192.0.2.2/24", "2001:db8::2/64"].map(|text| text.parse().unwrap());
        let check = |text: &str| {
            text.parse::<Route>().unwrap().validate(&addresses).map_err(|error| error.to_string())
        };
        for text in ["198.51.100.0/24 via 192.0.2.1", "::/0 via fe80::1", "0.0.0.0/0", "10.0.0.0/8 mtu 576"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for (text, why) in [
            ("198.51.100.1/24", "beyond"),
            ("198.51.100.0/24 via 198.51.100.1", "neighbour"),
            ("198.51.100.0/24 via 192.0.2.2", "neighbour"),
            ("198.51.100.0/24 via 2001:db8::1", "family"),
            ("10.0.0.0/8 mtu 575", "mtu"),
            ("::/0 mtu 1279", "mtu"),
        ] {
            let text = check(text).expect_err(text);
            assert!(text.contains(why), "{text}");
        }
    }
}
