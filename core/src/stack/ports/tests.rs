//! The table of who may share a port with whom, and the walk of RFC 6056.

use super::*;

const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
const ANY_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

fn ports() -> Ports {
    Ports::new(&mut Rng::from_seed(1))
}

const NEITHER: Reuse = Reuse { address: false, port: false };
const ADDRESS: Reuse = Reuse { address: true, port: false };
const PORT: Reuse = Reuse { address: false, port: true };
const BOTH: Reuse = Reuse { address: true, port: true };

fn hold(address: IpAddr, class: Class, reuse: Reuse) -> Hold {
    Hold { address, port: 80, dual: false, class, reuse }
}

//= https://www.rfc-editor.org/rfc/rfc6056#section-3.1
//= type=test
//# port numbers that are in use by a TCP in the LISTEN or CLOSED states should not be allowed for allocation as ephemeral ports (6056:3.1-1).
#[test]
fn who_may_share_a_port() {
    use Class::{Automatic, Bound, Listening};
    // Who holds it, and who of NEITHER, ADDRESS, PORT and BOTH may bind it.
    let table = [
        (Bound, NEITHER, [false, false, false, false]),
        (Bound, ADDRESS, [false, true, false, true]),
        (Bound, PORT, [false, false, true, true]),
        (Bound, BOTH, [false, true, true, true]),
        (Listening, NEITHER, [false, false, false, false]),
        (Listening, ADDRESS, [false, false, false, false]),
        (Listening, PORT, [false, false, true, true]),
        (Listening, BOTH, [false, false, true, true]),
        (Automatic, NEITHER, [false, false, false, false]),
        (Automatic, ADDRESS, [false, true, false, true]),
        (Automatic, BOTH, [false, true, true, true]),
    ];
    for (class, reuse, expected) in table {
        let mut ports = ports();
        let holder = hold(ONE, class, reuse);
        ports.hold(holder);
        for asking in [Bound, Listening] {
            let may =
                |address| [NEITHER, ADDRESS, PORT, BOTH].map(|r| ports.is_free(hold(address, asking, r)));
            assert_eq!(may(ONE), expected, "{holder:?}");
            assert_eq!(may(ANY), expected, "{holder:?}: the wildcard meets every address");
            assert_eq!(may(TWO), [true; 4], "{holder:?}: another address");
            assert_eq!(may(ANY_V6), [true; 4], "{holder:?}: the other family");
        }
        let connects = ports.is_free(hold(ONE, Automatic, BOTH));
        assert_eq!(connects, class == Automatic, "{holder:?}: connect shares with connects only");
        assert!(ports.is_free(Hold { port: 81, ..hold(ONE, Bound, NEITHER) }));
        ports.release(holder);
        assert!(ports.is_free(hold(ANY, Bound, NEITHER)), "{holder:?}");
        assert!(ports.by_address.is_empty() && ports.by_family.is_empty());
    }
}

#[test]
fn one_of_many_holders_is_enough_to_refuse() {
    let mut ports = ports();
    (0..3).for_each(|_| ports.hold(hold(ONE, Class::Bound, BOTH)));
    ports.hold(hold(ONE, Class::Listening, ADDRESS));
    assert!(!ports.is_free(hold(ONE, Class::Bound, BOTH)));
    ports.release(hold(ONE, Class::Listening, ADDRESS));
    assert!(ports.is_free(hold(ONE, Class::Bound, BOTH)));
}

#[test]
fn a_wildcard_holder_is_met_on_every_address() {
    let mut ports = ports();
    ports.hold(hold(ANY, Class::Bound, NEITHER));
    assert!(!ports.is_free(hold(ONE, Class::Bound, ADDRESS)));
    assert!(ports.is_free(hold(ANY_V6, Class::Bound, NEITHER)));
}

#[test]
fn a_wildcard_of_both_families_meets_both() {
    let dual = Hold { dual: true, ..hold(ANY_V6, Class::Bound, NEITHER) };
    for other in [ONE, ANY, ANY_V6, "2001:db8::1".parse().expect("an address")] {
        let mut ports = ports();
        ports.hold(dual);
        assert!(!ports.is_free(hold(other, Class::Bound, NEITHER)), "{other}");
        ports.release(dual);
        ports.hold(hold(other, Class::Bound, NEITHER));
        assert!(!ports.is_free(dual), "{other}");
        ports.release(hold(other, Class::Bound, NEITHER));
        assert!(ports.by_address.is_empty() && ports.by_family.is_empty());
    }
}

#[test]
fn bind_finds_every_port_of_the_range_and_then_none() {
    let mut ports = ports();
    let wanted = hold(ONE, Class::Bound, BOTH);
    let mut found = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let port = ports.for_bind(wanted, 100, 119).expect("a port");
        ports.hold(Hold { port, ..wanted });
        found.insert(port);
    }
    assert_eq!(found, (100..120).collect());
    assert_eq!(ports.for_bind(wanted, 100, 119), None, "though all would share");
    assert!(ports.for_bind(hold(TWO, Class::Bound, BOTH), 100, 119).is_some());
    assert_eq!(self::ports().for_bind(wanted, 65_535, 65_535), Some(65_535));
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

//= https://www.rfc-editor.org/rfc/rfc6056#section-3.3.3
//= type=test
//# The function should use both IP addresses, the remote port, and a secret key value to compute the offset (6056:3.3.3-1).
//= https://www.rfc-editor.org/rfc/rfc6056#section-3.3.4
//= type=test
//# "table[]" could be initialized with mathematically random values (6056:3.3.4-2).
#[test]
fn each_peer_has_an_offset_of_its_own() {
    let first = |seed, local, remote: &str| {
        let remote = remote.parse().expect("an address");
        Ports::new(&mut Rng::from_seed(seed)).for_connect(local, remote, 1, u16::MAX, |_| true)
    };
    let all = [
        first(1, ONE, "198.51.100.1:80"),
        first(1, TWO, "198.51.100.1:80"),
        first(1, ONE, "198.51.100.2:80"),
        first(1, ONE, "198.51.100.1:81"),
        first(2, ONE, "198.51.100.1:80"),
    ];
    assert!((1..all.len()).all(|last| !all[..last].contains(&all[last])), "{all:?}");
    let steps: std::collections::BTreeSet<_> = ports().steps.into_iter().collect();
    assert!(steps.len() > PERTURBATIONS / 2, "they begin anywhere");
}

//= https://www.rfc-editor.org/rfc/rfc6056#section-3.3.4
//= type=test
//# It should use both IP addresses, the remote port, and a secret key value to compute a value between 0 and (TABLE_LENGTH-1) (6056:3.3.4-1).
#[test]
fn what_one_peer_takes_moves_few_others() {
    let peer = |n: usize| SocketAddr::new(TWO, 1000 + n as u16);
    let mut busy = ports();
    for _ in 0..100 {
        busy.for_connect(ONE, peer(0), 1, u16::MAX, |_| true);
    }
    let moved = (1..=256).filter(|n| {
        let port = busy.for_connect(ONE, peer(*n), 1, u16::MAX, |_| true);
        port != ports().for_connect(ONE, peer(*n), 1, u16::MAX, |_| true)
    });
    // Each of 256 that is asked moves those behind it as well.
    assert!(moved.count() < 160);
}
