//! Paths, faults and reports, without hosts' stacks.

use super::*;
use crate::link::{Device, Sent, SentChecksum, Transmit};
use crate::time::Duration;
use bytes::BytesMut;
use std::net::Ipv4Addr;

/// A datagram of no protocol that anybody knows.
fn packet(from: [u8; 4], to: [u8; 4], length: usize) -> Transmit {
    let header = crate::wire::ipv4::Ipv4Header {
        source: Ipv4Addr::from(from),
        destination: Ipv4Addr::from(to),
        protocol: 253,
        ttl: 9,
        tos: 0,
        identification: 1,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        total_length: length as u16,
    };
    let mut head = arrayvec::ArrayVec::new();
    head.extend(header.emit());
    let payload = smallvec::smallvec![vec![7; length - 20].into()];
    Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete }
}

fn fabric() -> Fabric {
    Fabric::new(Rng::from_seed(1))
}

fn host(fabric: &mut Fabric, last: u8) -> (usize, Port) {
    fabric.host(&[Prefix { address: [192, 0, 2, last].into(), length: 32 }], 1500).expect("a host")
}

fn received(port: &mut Port) -> Option<Vec<u8>> {
    port.recv(Instant::ZERO, &mut BytesMut::new()).expect("a port").map(|frame| frame.bytes.to_vec())
}

fn send(fabric: &mut Fabric, port: &mut Port, transmit: &Transmit) -> BTreeSet<usize> {
    assert!(matches!(port.send(Instant::ZERO, transmit), Ok(Sent::Taken)));
    let mut called = BTreeSet::new();
    assert!(fabric.turn(Instant::ZERO, &mut called));
    called
}

const A: [u8; 4] = [192, 0, 2, 1];
const B: [u8; 4] = [192, 0, 2, 2];

/// Two ways from one host to the other, one of them shorter; two as short, of which the first made is taken; and hosts pass nothing on.
#[test]
fn packets_take_the_path_of_fewest_links() {
    let mut fabric = fabric();
    let clean = Impairment::default();
    let ((a, mut near), (b, mut far)) = (host(&mut fabric, 1), host(&mut fabric, 2));
    let (c, _between) = host(&mut fabric, 3);
    fabric.link(a, c, clean, clean).expect("a link");
    fabric.link(c, b, clean, clean).expect("a link");
    let routers = [fabric.router(), fabric.router(), fabric.router()];
    let long = fabric.link(a, routers[0], clean, clean).expect("a link");
    fabric.link(routers[0], routers[1], clean, clean).expect("a link");
    fabric.link(routers[1], b, clean, clean).expect("a link");
    let crossing = |fabric: &Fabric, link| fabric.counters(link).expect("counters").0.packets;
    assert_eq!(send(&mut fabric, &mut near, &packet(A, B, 100)), BTreeSet::from([b]));
    assert_eq!((received(&mut far).map(|bytes| bytes.len()), crossing(&fabric, long)), (Some(100), 1));
    let short = fabric.link(a, routers[1], clean, clean).expect("a link");
    send(&mut fabric, &mut near, &packet(A, B, 100));
    assert_eq!((crossing(&fabric, long), crossing(&fabric, short)), (1, 1));
    fabric.link(a, routers[2], clean, clean).expect("a link");
    fabric.link(routers[2], b, clean, clean).expect("a link");
    send(&mut fabric, &mut near, &packet(A, B, 100));
    assert_eq!(crossing(&fabric, short), 2);
    assert_eq!(fabric.unroutable(), 0);
}

#[test]
fn a_source_is_told_that_there_is_no_path() {
    let mut fabric = fabric();
    let ((a, mut near), (b, _far)) = (host(&mut fabric, 1), host(&mut fabric, 2));
    assert_eq!(send(&mut fabric, &mut near, &packet(A, B, 100)), BTreeSet::from([a]));
    let report = received(&mut near).expect("a report");
    assert_eq!(report[20..22], [3, 0], "network unreachable");
    assert_eq!(send(&mut fabric, &mut near, &packet(A, [198, 51, 100, 9], 100)), BTreeSet::from([a]));
    assert!(received(&mut near).is_some());
    let network = "198.51.100.0/24".parse().expect("a prefix");
    fabric.lead(network, b).expect("a network behind a host");
    fabric.link(a, b, Impairment::default(), Impairment::default()).expect("a link");
    assert_eq!(send(&mut fabric, &mut near, &packet(A, [198, 51, 100, 9], 100)), BTreeSet::from([b]));
    assert_eq!(fabric.unroutable(), 2);
}

#[test]
fn a_source_is_told_of_a_link_that_is_too_small() {
    let mut fabric = fabric();
    let ((a, mut near), (b, mut far)) = (host(&mut fabric, 1), host(&mut fabric, 2));
    let router = fabric.router();
    fabric.link(a, router, Impairment::default(), Impairment::default()).expect("a link");
    let small = Impairment { mtu: 1000, mtu_told: true, ..Impairment::default() };
    let link = fabric.link(router, b, small, small).expect("a link");
    assert_eq!(send(&mut fabric, &mut near, &packet(A, B, 1001)), BTreeSet::from([a]));
    let report = received(&mut near).expect("a report");
    assert_eq!((&report[20..22], &report[26..28]), (&[3, 4][..], &1000_u16.to_be_bytes()[..]));
    assert_eq!(send(&mut fabric, &mut near, &packet(A, B, 1000)), BTreeSet::from([b]));
    assert!(received(&mut far).is_some());
    let (there, _) = fabric.counters(link).expect("counters");
    assert_eq!((there.packets, there.too_big, there.told, there.delivered, there.bytes), (2, 1, 1, 1, 1000));
}

#[test]
fn what_is_delayed_arrives_then_and_counts() {
    let mut fabric = fabric();
    let ((a, mut near), (b, mut far)) = (host(&mut fabric, 1), host(&mut fabric, 2));
    let slow = Impairment { delay: Duration::from_millis(5), ..Impairment::default() };
    let link = fabric.link(a, b, slow, Impairment::default()).expect("a link");
    assert!(send(&mut fabric, &mut near, &packet(A, B, 100)).is_empty());
    assert_eq!((fabric.next(), received(&mut far)), (Some(Instant::from_millis(5)), None));
    // What nothing happens to any more overtakes nothing.
    fabric.set_link(link, Some(Impairment::default()), None).expect("settings");
    assert!(!fabric.turn(Instant::from_millis(4), &mut BTreeSet::new()));
    let mut called = BTreeSet::new();
    assert!(fabric.turn(Instant::from_millis(5), &mut called));
    assert_eq!((called, fabric.next()), (BTreeSet::from([b]), None));
    assert_eq!(fabric.counters(link).expect("counters").0.delivered, 1);
    assert!(near.send(Instant::ZERO, &packet(A, B, 1501)).is_err());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut fabric = fabric();
    let ((a, _near), clean) = (host(&mut fabric, 1), Impairment::default());
    let address = [Prefix { address: A.into(), length: 24 }];
    assert_eq!(fabric.host(&address, 1500).expect_err("taken").errno(), Errno::EADDRINUSE);
    assert_eq!(fabric.link(a, a, clean, clean).expect_err("one node").errno(), Errno::EINVAL);
    assert_eq!(fabric.link(a, 7, clean, clean).expect_err("no node").errno(), Errno::EINVAL);
    let odd = Impairment { loss: 2.0, ..clean };
    let router = fabric.router();
    assert_eq!(fabric.link(a, router, odd, clean).expect_err("settings").errno(), Errno::EINVAL);
    let link = fabric.link(a, router, clean, clean).expect("a link");
    assert_eq!(fabric.set_link(link, None, Some(odd)).expect_err("settings").errno(), Errno::EINVAL);
    assert_eq!(fabric.cut(link + 1, true).expect_err("no link").errno(), Errno::EINVAL);
    assert_eq!(fabric.lead(address[0], router).expect_err("a router").errno(), Errno::EINVAL);
    fabric.vacate(a);
    assert!(fabric.host(&address, 1500).is_ok());
}
