//! Packets of the bare loop, as others read them.

use super::super::order::{PEER, own_address};
use super::packet::{ACK, HEADER, Head, PSH, SCALE, SYN, Segment, add, is_sound, syn_options};
use std::net::IpAddr;
use usertcp_core::wire::checksum::Checksum;

const HEAD: Head = Head { from: 10_000, to: 5001, seq: 7, ack: 9, flags: ACK | PSH, window: 300 };

fn packet(head: &Head, options: &[u8], payload: &[u8], mss: u16, sum: Option<u32>) -> (Vec<u8>, Vec<u8>) {
    let headers = head.bytes(options.len(), payload.len(), mss, sum);
    let (vnet, rest) = headers.split_at(HEADER);
    (vnet.to_vec(), [rest, options, payload].concat())
}

#[test]
fn a_segment_is_read_as_it_was_written() {
    let (_, bytes) = packet(&HEAD, &[], b"hello", 1460, Some(add(b"hello")));
    let segment = Segment::parse(&bytes).expect("a segment");
    assert_eq!((segment.seq, segment.ack, segment.flags, segment.window), (7, 9, ACK | PSH, 300));
    assert_eq!((segment.port, segment.payload), (5001, &b"hello"[..]));
    let mut padded = bytes.clone();
    padded.extend([0; 3]);
    assert_eq!(Segment::parse(&padded).map(|segment| segment.payload), Some(&b"hello"[..]));
    assert_eq!(Segment::parse(&bytes[..30]), None);
    assert_eq!(Segment::parse(&[]), None);
}

#[test]
fn checksums_are_complete_or_begun() {
    let pseudo = |bytes: &[u8]| {
        let [source, destination] = [own_address(0), PEER].map(IpAddr::V4);
        Checksum::pseudo_header(source, destination, 6, bytes.len() as u32 - 20)
    };
    let (_, bytes) = packet(&HEAD, &[], b"hello", 1460, Some(add(b"hello")));
    assert!(Checksum::default().chain([&bytes[..20]]).is_valid());
    assert!(pseudo(&bytes).chain([&bytes[20..]]).is_valid());
    let turned = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        is_sound(&bytes)
    };
    assert!(is_sound(&bytes) && is_sound(&[&bytes[..], &[1; 3]].concat()));
    assert!([5, 12, 24, 44].map(turned) == [false; 4] && !is_sound(&bytes[..44]) && !is_sound(&[]));
    let (_, bytes) = packet(&HEAD, &[], b"hello", 1460, None);
    assert_eq!(bytes[36..38], pseudo(&bytes).folded().to_be_bytes());
}

#[test]
fn a_syn_has_the_scale_of_its_window() {
    let options = syn_options(1460);
    let head = Head { flags: SYN, ..HEAD };
    let (_, bytes) = packet(&head, &options, &[], 1460, Some(add(&options)));
    let segment = Segment::parse(&bytes).expect("a segment");
    assert_eq!((segment.options.len(), segment.scale()), (8, SCALE));
    let scale = |options| Segment { options, ..segment }.scale();
    assert_eq!(scale(&[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 9]), 9);
    assert_eq!(
        (scale(&[]), scale(&[0]), scale(&[2]), scale(&[2, 0, 1]), scale(&[8, 40, 1])),
        (0, 0, 0, 0, 0)
    );
}

#[test]
fn a_super_frame_is_announced() {
    let payload = vec![0; 4000];
    let (vnet, bytes) = packet(&HEAD, &[], &payload, 1460, None);
    assert_eq!(vnet[..2], [1, 1]);
    assert_eq!(vnet[2..10], [40_u16, 1460, 20, 16].map(u16::to_ne_bytes).concat());
    assert_eq!(bytes.len(), 4040);
    let (vnet, _) = packet(&HEAD, &[], &payload[..1460], 1460, None);
    assert_eq!(vnet[1], 0);
}
