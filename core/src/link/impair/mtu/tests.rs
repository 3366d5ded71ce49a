//! What becomes of packets that are too big.

use super::super::{Impairment, Packet, Path};
use super::*;
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::icmp::{self, Message};
use crate::wire::ipv6;
use std::net::{Ipv4Addr, Ipv6Addr};

const V4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2)];
const V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2)];

fn four(payload: &[u8], protocol: u8, dont_fragment: bool) -> Vec<u8> {
    let header = ipv4::Ipv4Header {
        source: V4[0],
        destination: V4[1],
        protocol,
        ttl: 9,
        tos: 0,
        identification: 77,
        dont_fragment,
        more_fragments: false,
        fragment_offset: 0,
        total_length: (20 + payload.len()) as u16,
    };
    [&header.emit()[..], payload].concat()
}

fn six(payload: &[u8], protocol: u8) -> Vec<u8> {
    let header = ipv6::Ipv6Header {
        source: V6[0],
        destination: V6[1],
        protocol,
        hop_limit: 9,
        traffic_class: 0,
        flow_label: 5,
        payload_length: payload.len() as u16,
        fragment: None,
    };
    [&header.emit()[..], payload].concat()
}

fn offer(settings: Impairment, packet: Vec<u8>) -> (Path, Option<Packet>) {
    let mut path = Path::new(settings, Rng::from_seed(1)).unwrap();
    let report = path.offer(Instant::ZERO, packet.into());
    (path, report)
}

fn counts(path: &Path) -> [u64; 3] {
    let s = path.statistics();
    [s.too_big, s.told, s.fragments]
}

#[test]
fn what_fits_passes() {
    for packet in [four(&[1; 1480], 6, true), six(&[1; 1460], 6)] {
        let (path, report) = offer(Impairment { mtu: 1500, mtu_told: true, ..Default::default() }, packet);
        assert_eq!((path.under_way(), report), (1, None));
    }
}

#[test]
fn a_black_hole_says_nothing() {
    for packet in [four(&[1; 1480], 6, true), six(&[1; 1460], 6)] {
        let (path, report) = offer(Impairment { mtu: 1499, ..Default::default() }, packet);
        assert_eq!((path.under_way(), report, counts(&path)), (0, None, [1, 0, 0]));
    }
}

#[test]
fn a_router_says_what_would_fit_and_quotes_what_did_not() {
    let settings = Impairment { mtu: 1400, mtu_told: true, ..Default::default() };
    let packet = four(&[1; 1480], 6, true);
    let (path, report) = offer(settings, packet.clone());
    let report = report.unwrap().bytes;
    let (header, start) = ipv4::parse(&report).unwrap();
    assert_eq!((header.source, header.destination, report.len()), (V4[1], V4[0], 576));
    let message = icmp::parse(V4[1].into(), V4[0].into(), &report[start..]).unwrap();
    assert_eq!(message, Message::Error { kind: 3, code: 4, rest: [0, 0, 5, 0x78] });
    assert!(packet.starts_with(&report[start + icmp::HEADER..]));
    assert_eq!(counts(&path), [1, 1, 0]);

    let packet = six(&[1; 1460], 6);
    let (path, report) = offer(settings, packet.clone());
    let report = report.unwrap().bytes;
    let (header, start) = ipv6::parse(&report).unwrap();
    assert_eq!((header.source, header.destination, report.len()), (V6[1], V6[0], 1280));
    let message = icmp::parse(V6[1].into(), V6[0].into(), &report[start..]).unwrap();
    assert_eq!(message, Message::Error { kind: 2, code: 0, rest: [0, 0, 5, 0x78] });
    assert!(packet.starts_with(&report[start + icmp::HEADER..]));
    assert_eq!(counts(&path), [1, 1, 0]);
}

#[test]
fn without_dont_fragment_it_goes_on_in_pieces_that_make_the_whole_again() {
    let payload: Vec<u8> = (0..1480u32).map(|n| n as u8).collect();
    for mtu in [68, 576, 1499] {
        for mtu_told in [false, true] {
            let settings = Impairment { mtu, mtu_told, ..Default::default() };
            let (mut path, report) = offer(settings, four(&payload, 17, false));
            assert_eq!(report, None);
            let mut whole = Vec::new();
            let mut more = true;
            while let Some(Packet { bytes, .. }) = path.due(Instant::ZERO) {
                let (header, start) = ipv4::parse(&bytes).unwrap();
                assert!(bytes.len() <= usize::from(mtu));
                assert_eq!((header.identification, header.ttl), (77, 9));
                assert_eq!(usize::from(header.fragment_offset), whole.len());
                whole.extend_from_slice(&bytes[start..]);
                more = header.more_fragments;
            }
            assert_eq!((whole == payload, more), (true, false), "{mtu}");
            assert_eq!(path.statistics().fragments + 1, path.statistics().delivered);
        }
    }
}

#[test]
fn a_fragment_is_cut_again() {
    let mut first = four(&[7; 1480], 17, false);
    put(&mut first, 6, 0x2000 | 185).unwrap();
    put(&mut first, 10, 0).unwrap();
    let sum = checksum(&first[..20]);
    put(&mut first, 10, sum).unwrap();
    let Passage::Fragments(pieces) = passage(&first, 1000) else { panic!("it may be cut") };
    let headers: Vec<_> = pieces.iter().map(|piece| ipv4::parse(piece).unwrap().0).collect();
    let offsets: Vec<_> = headers.iter().map(|h| (h.fragment_offset, h.more_fragments)).collect();
    assert_eq!(offsets, [(1480, true), (1480 + 976, true)]);
}

#[test]
fn nobody_is_told_of_errors_or_of_what_cannot_be_read() {
    let stopped = |packet: &[u8]| passage(packet, 1000) == Passage::Stopped(None);
    assert!(stopped(&four(&[3; 1480], 1, true)), "an ICMP error");
    assert!(!stopped(&four(&[8; 1480], 1, true)), "an echo");
    assert!(stopped(&six(&[2; 1460], 58)), "an ICMPv6 error");
    assert!(!stopped(&six(&[128; 1460], 58)), "an echo");
    let mut multicast = four(&[1; 1480], 6, true);
    multicast[16] = 224;
    assert!(stopped(&multicast));
    assert!(stopped(&[0; 1500]) && stopped(&[0x45; 1500]));
}
