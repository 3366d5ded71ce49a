//! Captures read back.

use super::*;
use crate::link::{FrameMeta, ReceivedChecksum, SentChecksum};
use arrayvec::ArrayVec;
use bytes::Bytes;
use smallvec::smallvec;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Type and body of each block, both lengths checked.
fn blocks(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let total = u32_at(bytes, 4) as usize;
        assert_eq!(total % 4, 0);
        assert_eq!(u32_at(bytes, total - 4) as usize, total);
        blocks.push((u32_at(bytes, 0), &bytes[8..total - 4]));
        bytes = &bytes[total..];
    }
    blocks
}

fn options(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut options = Vec::new();
    while u16_at(bytes, 0) != 0 {
        let length = usize::from(u16_at(bytes, 2));
        options.push((u16_at(bytes, 0), &bytes[4..4 + length]));
        bytes = &bytes[4 + length.next_multiple_of(4)..];
    }
    assert_eq!(bytes, [0; 4], "nothing behind the end of options");
    options
}

/// Time, bytes and flags of a packet block.
fn read_packet<'a>((kind, body): &(u32, &'a [u8])) -> (u64, &'a [u8], u32) {
    assert_eq!(*kind, ENHANCED_PACKET);
    let length = u32_at(body, 12) as usize;
    assert_eq!(u32_at(body, 16) as usize, length);
    let options = options(&body[20 + length.next_multiple_of(4)..]);
    assert_eq!(options.len(), 1);
    assert_eq!(options[0].0, 2);
    let time = u64::from(u32_at(body, 4)) << 32 | u64::from(u32_at(body, 8));
    (time, &body[20..20 + length], u32_at(options[0].1, 0))
}

#[test]
fn a_capture_can_be_read_back() {
    let mut out = Vec::new();
    begin(&mut out, "tun7");
    let received_frame = Frame { bytes: Bytes::from_static(b"\x45 odd length "), ..Default::default() };
    received(&mut out, 1_700_000_000_123_456_789, &received_frame);
    let mut head = ArrayVec::new();
    head.extend(*b"head");
    let payload = smallvec![Bytes::from_static(b"pay"), Bytes::from_static(b"load")];
    sent(&mut out, 7, &Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete });

    let blocks = blocks(&out);
    assert_eq!(blocks.len(), 4);
    assert_eq!(blocks[0].0, 0x0a0d_0d0a);
    assert_eq!((u32_at(blocks[0].1, 0), u16_at(blocks[0].1, 4)), (0x1a2b_3c4d, 1));
    assert_eq!((blocks[1].0, u16_at(blocks[1].1, 0)), (1, 101));
    assert_eq!(options(&blocks[1].1[8..]), [(2, &b"tun7"[..]), (9, &[9][..])]);
    let inbound = read_packet(&blocks[2]);
    assert_eq!(inbound, (1_700_000_000_123_456_789, &received_frame.bytes[..], 1));
    assert_eq!(read_packet(&blocks[3]), (7, &b"headpayload"[..], 2));
}

#[test]
fn checksums_left_to_others_are_shown_computed() {
    let envelope = |six: bool| {
        let [source, destination] =
            if six { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "192.0.2.2"] };
        (source.parse().unwrap(), destination.parse().unwrap())
    };
    for six in [false, true] {
        let (source, destination): (std::net::IpAddr, std::net::IpAddr) = envelope(six);
        let mut head = ArrayVec::<u8, 128>::new();
        match (source, destination) {
            (std::net::IpAddr::V4(source), std::net::IpAddr::V4(destination)) => head.extend(
                crate::wire::ipv4::Ipv4Header {
                    source,
                    destination,
                    protocol: 6,
                    ttl: 64,
                    tos: 0,
                    identification: 0,
                    dont_fragment: true,
                    more_fragments: false,
                    fragment_offset: 0,
                    total_length: 40 + 5000,
                }
                .emit(),
            ),
            (std::net::IpAddr::V6(source), std::net::IpAddr::V6(destination)) => head.extend(
                crate::wire::ipv6::Ipv6Header {
                    source,
                    destination,
                    protocol: 6,
                    hop_limit: 64,
                    traffic_class: 0,
                    flow_label: 0,
                    payload_length: 20 + 5000,

                    fragment: None,
                }
                .emit(),
            ),
            _ => unreachable!(),
        }
        let start = head.len() as u16;
        let tcp = crate::wire::tcp::TcpHeader { source: 1, destination: 2, ..Default::default() };
        head.extend(tcp.emit());
        let pseudo = crate::wire::Checksum::pseudo_header(source, destination, 6, 5020);
        let field = usize::from(start) + 16;
        head[field..field + 2].copy_from_slice(&pseudo.folded().to_be_bytes());
        let checksum = SentChecksum::Partial { start, offset: 16 };
        let payload = smallvec![Bytes::from(vec![5; 5000])];
        let transmit = Transmit { head, payload, gso_size: 1400, checksum };

        let mut out = Vec::new();
        sent(&mut out, 0, &transmit);
        let frame = crate::link::segment::to_frame(&transmit);
        let meta = FrameMeta { checksum: ReceivedChecksum::Valid, gso_size: 1400 };
        assert_eq!(frame.meta, meta);
        received(&mut out, 0, &frame);
        for block in blocks(&out) {
            let (_, bytes, _) = read_packet(&block);
            assert_eq!(bytes.len(), transmit.len());
            let segment = &bytes[start.into()..];
            crate::wire::tcp::parse(source, destination, segment, true).unwrap();
        }
    }
}
