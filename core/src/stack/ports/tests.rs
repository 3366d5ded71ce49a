//! The table of who may share a port with whom, and the walk of RFC 6056.

use super::*;

const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

fn ports() -> Ports {
    Ports::new(&mut Rng::from_seed(1))
}

#[test]
fn who_may_share_a_port() {
    use Class::{Automatic, Bound, Listening, Reusable};
    let table = [
        (Automatic, [true, false, false, false]),
        (Bound, [false, false, false, false]),
        (Reusable, [false, false, true, true]),
        (Listening, [false, false, false, false]),
    ];
    for (held, expected) in table {
        let mut ports = ports();
        ports.hold(Hold { address: ONE, port: 80, class: held });
        let may = |address| [Automatic, Bound, Reusable, Listening].map(|c| ports.is_free(address, 80, c));
        assert_eq!(may(ONE), expected, "{held:?}");
        assert_eq!(may(ANY), expected, "{held:?}: the wildcard meets every address");
        assert_eq!(may(TWO), [true; 4], "{held:?}: another address");
        assert_eq!(may(ANY_V6), [true; 4], "{held:?}: the other family");
        assert!(ports.is_free(ONE, 81, Bound));
        ports.release(Hold { address: ONE, port: 80, class: held });
        assert!(ports.is_free(ANY, 80, Bound), "{held:?}");
        assert!(ports.by_address.is_empty() && ports.by_family.is_empty());
    }
}

#[test]
fn a_wildcard_holder_is_met_on_every_address() {
    let mut ports = ports();
    ports.hold(Hold { address: ANY, port: 80, class: Class::Bound });
    assert!(!ports.is_free(ONE, 80, Class::Reusable));
    assert!(ports.is_free(ANY_V6, 80, Class::Bound));
}

#[test]
fn bind_finds_every_port_of_the_range_and_then_none() {
    let mut ports = ports();
    let mut found = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let port = ports.for_bind(ONE, Class::Bound, 100, 119).expect("a port");
        ports.hold(Hold { address: ONE, port, class: Class::Bound });
        found.insert(port);
    }
    assert_eq!(found, (100..120).collect());
    assert_eq!(ports.for_bind(ONE, Class::Bound, 100, 119), None);
    assert!(ports.for_bind(TWO, Class::Bound, 100, 119).is_some());
    assert_eq!(self::ports().for_bind(ONE, Class::Bound, 65_535, 65_535), Some(65_535));
}

#[test]
fn connect_walks_from_an_offset_of_the_peer() {
    let peer: SocketAddr = "198.51.100.1:80".parse().expect("an address");
    let mut ports = ports();
    let mut next = |unused: &dyn Fn(u16) -> bool| ports.for_connect(ONE, peer, 100, 199, unused);
    let first = next(&|_| true).expect("a port");
    let second = next(&|_| true).expect("a port");
    assert_eq!((u32::from(first) - 100 + 1) % 100, u32::from(second) - 100, "the next one");
    assert_eq!(next(&|port| port == 150), Some(150));
    assert_eq!(next(&|_| false), None);
}
