//! The order in which the addresses of a host are tried (RFC 6724 section 6).

use std::cmp::Ordering;
use std::net::{IpAddr, Ipv6Addr};

/// A row of the default policy table: a prefix, its length, precedence and label (RFC 6724 section 2.1).
const POLICY: [([u16; 8], u8, u8, u8); 9] = [
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, 50, 0),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, 35, 4),
    ([0; 8], 96, 1, 3),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, 5, 5),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, 30, 2),
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, 1, 12),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, 1, 11),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, 3, 13),
    ([0; 8], 0, 40, 1),
];

/// Puts destinations in order, the best first; with each stands the address that it would be reached from, `None` if there is no way. What no rule tells apart
/// stays as it was.
///
/// Rules 3, 4 and 7 never decide: addresses do not age, there are no home addresses and no tunnels. Rule 9 is for IPv6 only, as hosts with several IPv4 addresses
/// mean to have their load spread.
//= https://www.rfc-editor.org/rfc/rfc6724#section-6
//# The pair-wise comparison of destination addresses consists of ten rules, which MUST be applied in order. (6724:6-1)
pub fn order(destinations: &mut [(IpAddr, Option<IpAddr>)]) {
    destinations.sort_by(|a, b| compare(*a, *b));
}

fn compare(a: (IpAddr, Option<IpAddr>), b: (IpAddr, Option<IpAddr>)) -> Ordering {
    // Rule 1: avoid unusable destinations.
    let (source_a, source_b) = match (a.1, b.1) {
        (Some(source_a), Some(source_b)) => (source_a, source_b),
        (source_a, source_b) => return source_a.is_none().cmp(&source_b.is_none()),
    };
    let ((a, _), (b, _)) = (a, b);
    // Rule 2: prefer matching scope. Rule 5: prefer matching label. Rule 6: prefer higher precedence. Rule 8: prefer smaller scope.
    let mismatch = |destination, source| scope(destination) != scope(source);
    let mislabel = |destination, source| policy(destination).1 != policy(source).1;
    mismatch(a, source_a)
        .cmp(&mismatch(b, source_b))
        .then_with(|| mislabel(a, source_a).cmp(&mislabel(b, source_b)))
        .then_with(|| policy(b).0.cmp(&policy(a).0))
        .then_with(|| scope(a).cmp(&scope(b)))
        .then_with(|| common(b, source_b).cmp(&common(a, source_a)))
}

/// Scopes as in multicast addresses (RFC 6724 section 3.1, and 3.2 for IPv4).
fn scope(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() => 2,
        IpAddr::V4(_) => 14,
        IpAddr::V6(v6) if v6.is_multicast() => v6.octets()[1] & 15,
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unicast_link_local() => 2,
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfec0 => 5,
        IpAddr::V6(_) => 14,
    }
}

/// Precedence and label.
fn policy(address: IpAddr) -> (u8, u8) {
    let address = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let holds = |prefix: &[u16; 8], length: u8| same_bits(Ipv6Addr::from(*prefix), address) >= length.into();
    POLICY
        .iter()
        .find(|(prefix, length, _, _)| holds(prefix, *length))
        .map_or((0, 0), |(_, _, precedence, label)| (*precedence, *label))
}

/// How many leading bits destination and source have in common, of at most the 64 of a network (rule 9).
fn common(destination: IpAddr, source: IpAddr) -> u32 {
    match (destination, source) {
        (IpAddr::V6(destination), IpAddr::V6(source)) => same_bits(destination, source).min(64),
        _ => 0,
    }
}

const fn same_bits(a: Ipv6Addr, b: Ipv6Addr) -> u32 {
    (a.to_bits() ^ b.to_bits()).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of destinations and the sources that they would be reached from; "" is no way.
    fn ordered(pairs: &[(&str, &str)]) -> Vec<String> {
        let mut all: Vec<(IpAddr, Option<IpAddr>)> = pairs
            .iter()
            .map(|(destination, source)| (destination.parse().expect(destination), source.parse().ok()))
            .collect();
        order(&mut all);
        all.iter().map(|(destination, _)| destination.to_string()).collect()
    }

    /// The examples of section 10.2.
    //= https://www.rfc-editor.org/rfc/rfc6724#section-6
    //= type=test
    //# The pair-wise comparison of destination addresses consists of ten rules, which MUST be applied in order. (6724:6-1)
    #[test]
    fn the_examples_of_the_rfc_come_out_as_it_says() {
        let same = |pairs: [(&str, &str); 2]| {
            let [first, second] = pairs;
            let expected = [first.0.to_owned(), second.0.to_owned()];
            assert_eq!(ordered(&[first, second]), expected);
            assert_eq!(ordered(&[second, first]), expected, "the other way round");
        };
        same([("2001:db8:1::1", "2001:db8:1::2"), ("198.51.100.121", "169.254.13.78")]);
        same([("198.51.100.121", "198.51.100.117"), ("2001:db8:1::1", "fe80::1")]);
        same([("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4")]);
        same([("fe80::1", "fe80::2"), ("2001:db8:1::1", "2001:db8:1::2")]);
        same([("2002:c633:6401::1", "2002:c633:6401::2"), ("2001:db8:1::1", "fe80::2")]);
        same([("2001:db8:1::1", "2001:db8:1::2"), ("2002:c633:6401::1", "2002:c633:6401::2")]);
        same([("2001:db8:1::1", "2001:db8:1::2"), ("2001:db8:3ffe::1", "2001:db8:3f44::2")]);
    }

    #[test]
    fn what_cannot_be_reached_comes_last_and_ties_stay_as_they_were() {
        assert_eq!(
            ordered(&[
                ("2001:db8::1", ""),
                ("192.0.2.1", "192.0.2.9"),
                ("192.0.2.3", "192.0.2.9"),
                ("192.0.2.2", "192.0.2.9")
            ]),
            ["192.0.2.1", "192.0.2.3", "192.0.2.2", "2001:db8::1"]
        );
        assert_eq!(ordered(&[("127.0.0.1", "127.0.0.1"), ("::1", "::1")]), ["::1", "127.0.0.1"]);
        assert_eq!(ordered(&[("fd00::1", "fd00::2"), ("192.0.2.1", "192.0.2.9")]), ["192.0.2.1", "fd00::1"]);
    }
}
