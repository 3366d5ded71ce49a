//! Where packets go and come from, by address.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn route() -> Route {
    let prefixes =
        ["192.0.2.1/24", "198.51.100.1/30", "198.51.100.129/25", "2001:db8::1/64", "203.0.113.7/31"];
    Route::new(prefixes.iter().map(|text| text.parse().expect("a prefix")).collect(), &[])
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.4.2
//= type=test
//# In the absence of such a specification, the networking software MUST choose a source address. (1122:3.3.4.2-3)
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
    let only_v4 = Route::new(vec!["192.0.2.1/24".parse().expect("a prefix")], &[]);
    assert_eq!(only_v4.source(ip("2001:db8::9")), None);
    assert_eq!(only_v4.source(ip("::1")), Some(ip("::1")));
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
//= type=test
//# A host MUST support the subnet extensions to IP (1122:3.2.1.3-8)
#[test]
fn groups_are_multicast_and_the_last_address_of_a_network() {
    let groups = ["224.0.0.1", "255.255.255.255", "192.0.2.255", "198.51.100.3", "ff02::1"];
    let hosts =
        ["192.0.2.254", "198.51.100.2", "203.0.113.7", "203.0.113.6", "10.255.255.255", "2001:db8::ffff"];
    assert!(groups.iter().all(|text| route().is_group(ip(text))));
    assert!(hosts.iter().all(|text| !route().is_group(ip(text))));
}

//= https://www.rfc-editor.org/rfc/rfc791#section-2.3
//= type=test
//# a single physical host must be able to act as if it were several distinct hosts to the extent of using several distinct internet addresses. (791:2.3-1)
#[test]
fn own_addresses_go_round() {
    let own = ["192.0.2.1", "127.255.0.1", "::1", "2001:db8::1"];
    assert!(own.iter().all(|text| route().way(ip(text)) == Way::Loopback));
    assert_eq!(route().way(ip("192.0.2.2")), Way::Link);
}

/// With these routes beside the addresses' own networks.
fn routed(routes: &[&str]) -> Route {
    let addresses =
        ["192.0.2.1/24", "203.0.113.1/29", "2001:db8::1/64"].map(|text| text.parse().expect("a prefix"));
    let routes: Vec<config::Route> = routes.iter().map(|text| text.parse().expect("a route")).collect();
    Route::new(addresses.to_vec(), &routes)
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.1
//= type=test
//# To decide if the destination is on a connected network, the following algorithm MUST be used (1122:3.3.1.1-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.1
//= type=test
//# The host IP layer MUST operate correctly in a minimal network environment, and in particular, when there are no gateways. (1122:3.3.1.1-2)
#[test]
fn without_routes_the_link_leads_everywhere_and_with_them_only_there() {
    let everywhere = routed(&[]);
    assert!(["8.8.8.8", "2001:db8:9::1", "192.0.2.9"].iter().all(|text| everywhere.leads_to(ip(text))));
    let some = routed(&["198.51.100.0/24 via 192.0.2.9", "2001:db8:9::/48"]);
    let reached = ["198.51.100.7", "192.0.2.9", "203.0.113.2", "2001:db8::9", "2001:db8:9:1::1"];
    let neighbours = ["fe80::1", "ff02::1", "255.255.255.255", "224.0.0.1", "127.0.0.1", "::1", "192.0.2.1"];
    assert!(reached.iter().chain(&neighbours).all(|text| some.leads_to(ip(text))));
    for text in ["8.8.8.8", "198.51.101.1", "203.0.113.9", "2001:db8:8::1"] {
        assert!(!some.leads_to(ip(text)) && some.source(ip(text)).is_none(), "{text}");
    }
    let default = routed(&["default via 192.0.2.9"]);
    assert!(
        default.leads_to(ip("8.8.8.8")) && !default.leads_to(ip("2001:db8:9::1")),
        "each family by itself"
    );
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.2
//= type=test
//# As an extra feature, a host IP layer MAY implement a table of "static routes". (1122:3.3.1.2-5)
#[test]
fn the_longest_prefix_decides() {
    let route = routed(&[
        "0.0.0.0/0 via 192.0.2.9 mtu 1400",
        "198.51.100.0/24 via 203.0.113.2 mtu 1300",
        "198.51.100.128/25 via 192.0.2.9 mtu 1200",
        "198.51.100.200/32",
        "192.0.2.0/24 mtu 1000",
    ]);
    let table = [
        ("8.8.8.8", Some(1400), "192.0.2.1"),
        ("198.51.100.1", Some(1300), "203.0.113.1"),
        ("198.51.100.129", Some(1200), "192.0.2.1"),
        ("198.51.100.200", None, "192.0.2.1"),
        ("203.0.113.3", None, "203.0.113.1"),
        ("192.0.2.7", None, "192.0.2.1"),
    ];
    for (destination, mtu, source) in table {
        assert_eq!(route.mtu(ip(destination)), mtu, "{destination}");
        assert_eq!(route.source(ip(destination)), Some(ip(source)), "{destination}");
    }
}

#[test]
fn link_local_addresses_are_of_the_one_link() {
    assert_eq!(endpoint(ip("fe80::1"), 80).to_string(), "[fe80::1%1]:80");
    assert_eq!(endpoint(ip("2001:db8::1"), 80).to_string(), "[2001:db8::1]:80");
    for (text, on_link) in [
        ("[fe80::1]:80", true),
        ("[fe80::1%1]:80", true),
        ("[fe80::1%2]:80", false),
        ("[2001:db8::1%7]:80", true),
        ("192.0.2.1:80", true),
    ] {
        assert_eq!(is_on_link(text.parse().expect("an endpoint")), on_link, "{text}");
    }
}
