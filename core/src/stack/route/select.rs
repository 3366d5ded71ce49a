//! Which of its addresses a host sends from (RFC 6724 section 5; over IPv4 the neighbour's, as in Linux).

use crate::config::Prefix;
use std::cmp::Reverse;
use std::net::{IpAddr, Ipv6Addr};

/// The address of `addresses` to send to `destination` from, by way of `gateway` if it is not a neighbour; the first of equals.
pub(super) fn source(addresses: &[Prefix], destination: IpAddr, gateway: Option<IpAddr>) -> Option<IpAddr> {
    let family = addresses.iter().filter(|prefix| prefix.address.is_ipv4() == destination.is_ipv4());
    // Of equals `max_by_key` takes the last.
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.4.2
    //# In the absence of such a specification, the networking software MUST choose a source address. (1122:3.3.4.2-3)
    family.rev().max_by_key(|prefix| rank(prefix, destination, gateway)).map(|prefix| prefix.address)
}

/// The rules that matter to a host with one link and no addresses of passing worth; what is larger is preferred.
//= https://www.rfc-editor.org/rfc/rfc8504#section-6.6
//# The rules specified in the Default Address Selection for IPv6 document [RFC6724] MUST be implemented. (8504:6.6-1)
fn rank(prefix: &Prefix, destination: IpAddr, gateway: Option<IpAddr>) -> impl Ord + use<> {
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //# Rule 1: Prefer same address. (6724:5-2)
    let same = prefix.address == destination;
    // The neighbour's network: over IPv4 all there is to it, over IPv6 rule 5.5 (the network that the next hop is in).
    let near = prefix.contains(destination).then_some(prefix.length);
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //# Rule 5.5: Prefer addresses in a prefix advertised by the next-hop. (6724:5-7)
    let by_gateway = gateway.is_some_and(|gateway| prefix.contains(gateway));
    let (IpAddr::V6(source), IpAddr::V6(v6)) = (prefix.address, destination) else {
        return (same, (true, Reverse(0)), near, by_gateway, false, 0);
    };
    // The smallest scope that is large enough, else the largest.
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //# Rule 2: Prefer appropriate scope. (6724:5-3)
    let (own, needed) = (scope(source), scope(v6));
    let fits =
        if own >= needed { (true, Reverse(i32::from(own))) } else { (false, Reverse(-i32::from(own))) };
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //# Rule 6: Prefer matching label. (6724:5-8)
    let labelled = label(source) == label(v6);
    //= https://www.rfc-editor.org/rfc/rfc6724#section-2.2
    //# the length of the longest prefix (looking at the most significant, or leftmost, bits) that the two addresses have in common, up to the length of S's prefix (6724:2.2-1)
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //# Rule 8: Use longest matching prefix. (6724:5-10)
    let common = (source.to_bits() ^ v6.to_bits()).leading_zeros().min(u32::from(prefix.length));
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //# the remaining rules MUST be applied (in order) to just those addresses that are tied to break the tie. (6724:5-1)
    (same, fits, None, by_gateway, labelled, common)
}

/// RFC 6724 3.1: link-local 2, site-local 5, global 14; loopback is link-local, multicast says its own.
fn scope(address: Ipv6Addr) -> u8 {
    let [first, second, ..] = address.octets();
    //= https://www.rfc-editor.org/rfc/rfc6724#section-3.1
    //# We map unicast link-local to multicast link-local, unicast site-local to multicast site-local, and unicast global scope to multicast global scope. (6724:3.1-1)
    match (first, second >> 6) {
        (0xff, _) => second & 15,
        (0xfe, 0b10) => 2,
        (0xfe, 0b11) => 5,
        _ if address.is_loopback() => 2,
        _ => 14,
    }
}

/// The label of the longest prefix of the default policy table, RFC 6724 2.1.
fn label(address: Ipv6Addr) -> u8 {
    //= https://www.rfc-editor.org/rfc/rfc6724#section-2.1
    //# it SHOULD operate according to the algorithms specified here in conjunction with the following default policy table (6724:2.1-2)
    const TABLE: [(u128, u32, u8); 9] = [
        (1, 128, 0),
        (0xffff << 32, 96, 4),
        (0, 96, 3),
        (0x2001 << 112, 32, 5),
        (0x2002 << 112, 16, 2),
        (0x3ffe << 112, 16, 12),
        (0xfec0 << 112, 10, 11),
        (0xfc00 << 112, 7, 13),
        (0, 0, 1),
    ];
    let bits = address.to_bits();
    let holds = |prefix: u128, length: u32| (prefix ^ bits).leading_zeros() >= length;
    TABLE.iter().find(|(prefix, length, _)| holds(*prefix, *length)).map_or(1, |(.., label)| *label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(addresses: &[&str], destination: &str, gateway: Option<&str>) -> String {
        let addresses: Vec<Prefix> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let gateway = gateway.map(|text| text.parse().unwrap());
        source(&addresses, destination.parse().unwrap(), gateway).map_or(String::new(), |ip| ip.to_string())
    }

    //= https://www.rfc-editor.org/rfc/rfc8504#section-6.6
    //= type=test
    //# The rules specified in the Default Address Selection for IPv6 document [RFC6724] MUST be implemented. (8504:6.6-1)
    //= https://www.rfc-editor.org/rfc/rfc6724#section-3.1
    //= type=test
    //# We map unicast link-local to multicast link-local, unicast site-local to multicast site-local, and unicast global scope to multicast global scope. (6724:3.1-1)
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //= type=test
    //# the remaining rules MUST be applied (in order) to just those addresses that are tied to break the tie. (6724:5-1)
    #[test]
    fn the_examples_of_rfc_6724() {
        let table: [(&str, &[&str], &str); 7] = [
            //= https://www.rfc-editor.org/rfc/rfc6724#section-5
            //= type=test
            //# Rule 2: Prefer appropriate scope. (6724:5-3)
            ("2001:db8:1::1", &["2001:db8:3::1/64", "fe80::1/64"], "2001:db8:3::1"),
            ("ff05::1", &["2001:db8:3::1/64", "fe80::1/64"], "2001:db8:3::1"),
            ("2001:db8:1::1", &["2001:db8:1::1/128", "2001:db8:2::1/64"], "2001:db8:1::1"),
            ("fe80::1", &["fe80::2/64", "2001:db8:1::1/64"], "fe80::2"),
            //= https://www.rfc-editor.org/rfc/rfc6724#section-5
            //= type=test
            //# Rule 8: Use longest matching prefix. (6724:5-10)
            ("2001:db8:1::1", &["2001:db8:1::2/64", "2001:db8:3::2/64"], "2001:db8:1::2"),
            (
                "2002:c633:6401::1",
                &["2002:c633:6401::d5e3:7953:13eb:22e8/64", "2001:db8:1::2/64"],
                "2002:c633:6401:0:d5e3:7953:13eb:22e8",
            ),
            ("2001:db8:1::d5e3:0:0:1", &["2001:db8:3::2/64", "2001:db8:1::2/64"], "2001:db8:1::2"),
        ];
        for (destination, addresses, expected) in table {
            let expected: IpAddr = expected.parse().unwrap();
            for order in [addresses.to_vec(), addresses.iter().rev().copied().collect()] {
                assert_eq!(chosen(&order, destination, None).parse(), Ok(expected), "{destination}");
            }
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6724#section-2.1
    //= type=test
    //# it SHOULD operate according to the algorithms specified here in conjunction with the following default policy table (6724:2.1-2)
    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //= type=test
    //# Rule 6: Prefer matching label. (6724:5-8)
    #[test]
    fn a_unique_local_address_talks_to_its_like() {
        let both = ["2001:db8::1/64", "fd00:1::1/64"];
        assert_eq!(chosen(&both, "fd00:9::1", None), "fd00:1::1", "rule 6");
        assert_eq!(chosen(&both, "2001:db8:9::1", None), "2001:db8::1");
        assert_eq!(chosen(&["fd00:1::1/64"], "2001:db8:9::1", None), "fd00:1::1", "there is no other");
        assert_eq!(
            chosen(&["2001:db8:1::1/64", "2001:db8:2::1/64"], "2001:db8:4::1", None),
            "2001:db8:1::1",
            "the first of equals"
        );
        assert_eq!(chosen(&["192.0.2.1/24"], "2001:db8::1", None), "");
        let near = ["2001:db8:1::8/64", "2001:db8:1::6/64"];
        //= https://www.rfc-editor.org/rfc/rfc6724#section-2.2
        //= type=test
        //# the length of the longest prefix (looking at the most significant, or leftmost, bits) that the two addresses have in common, up to the length of S's prefix (6724:2.2-1)
        assert_eq!(chosen(&near, "2001:db8:1::7", None), "2001:db8:1::8", "only as far as the prefix goes");
        //= https://www.rfc-editor.org/rfc/rfc6724#section-5
        //= type=test
        //# Rule 1: Prefer same address. (6724:5-2)
        assert_eq!(chosen(&near, "2001:db8:1::6", None), "2001:db8:1::6");
    }

    //= https://www.rfc-editor.org/rfc/rfc6724#section-5
    //= type=test
    //# Rule 5.5: Prefer addresses in a prefix advertised by the next-hop. (6724:5-7)
    #[test]
    fn what_goes_by_a_gateway_comes_from_its_network() {
        let two = ["2001:db8:1::1/64", "2001:db8:2::1/64"];
        assert_eq!(chosen(&two, "2001:db8:9::1", Some("2001:db8:2::9")), "2001:db8:2::1", "rule 5.5");
        let two = ["192.0.2.1/24", "198.51.100.1/24"];
        assert_eq!(chosen(&two, "203.0.113.1", Some("198.51.100.9")), "198.51.100.1");
        assert_eq!(chosen(&two, "203.0.113.1", None), "192.0.2.1");
        let nested = ["192.0.2.1/24", "192.0.2.129/25"];
        assert_eq!(chosen(&nested, "192.0.2.200", None), "192.0.2.129", "the smaller network");
    }
}
