//! What a router with a long queue does to packets whose transport understands it (RFC 3168 section 5).

use crate::wire::{Codepoint, checksum, ipv4};

/// Marks a packet as having met congestion; whether it lets itself be marked.
pub(super) fn mark(packet: &mut [u8]) -> bool {
    let Some([first, second]) = packet.first_chunk().copied() else { return false };
    let class = first << 4 | second >> 4;
    let class = if first >> 4 == 4 { second } else { class };
    if !matches!(Codepoint::of(class), Codepoint::Ect0 | Codepoint::Ect1) {
        return false;
    }
    let marked = Codepoint::Ce.on(class);
    if first >> 4 != 4 {
        return put(packet, 1, [marked << 4 | second & 0x0f]);
    }
    let length = usize::from(first & 0x0f) * 4;
    if length < ipv4::HEADER || packet.len() < length {
        return false;
    }
    put(packet, 1, [marked]);
    put(packet, 10, [0, 0]);
    let sum = checksum(packet.get(..length).unwrap_or_default());
    put(packet, 10, sum.to_be_bytes())
}

fn put<const N: usize>(packet: &mut [u8], at: usize, bytes: [u8; N]) -> bool {
    let place = packet.get_mut(at..at + N);
    place.map(|place| place.copy_from_slice(&bytes)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv4::Ipv4Header;
    use crate::wire::ipv6::{self, Ipv6Header};

    fn four(tos: u8) -> Vec<u8> {
        let header = Ipv4Header {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            protocol: 6,
            ttl: 9,
            tos,
            identification: 77,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            total_length: 24,
        };
        let mut bytes = header.emit().to_vec();
        bytes.extend_from_slice(b"data");
        bytes
    }

    fn six(traffic_class: u8) -> Vec<u8> {
        let header = Ipv6Header {
            source: "2001:db8::1".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
            protocol: 6,
            hop_limit: 9,
            traffic_class,
            flow_label: 0xf_edcb,
            payload_length: 4,
            fragment: None,
        };
        let mut bytes = header.emit().to_vec();
        bytes.extend_from_slice(b"data");
        bytes
    }

    #[test]
    fn ect_is_marked_and_nothing_else_changes() {
        for dscp in [0, 0xb8, 0xfc] {
            for codepoint in [1, 2] {
                let mut packet = four(dscp | codepoint);
                assert!(mark(&mut packet));
                assert_eq!(packet, four(dscp | 3));
                assert!(ipv4::parse(&packet).is_ok(), "its checksum too");
                let mut packet = six(dscp | codepoint);
                assert!(mark(&mut packet));
                assert_eq!(packet, six(dscp | 3));
                assert!(ipv6::parse(&packet).is_ok());
            }
            for codepoint in [0, 3] {
                for packet in [four(dscp | codepoint), six(dscp | codepoint)] {
                    let mut same = packet.clone();
                    assert!(!mark(&mut same));
                    assert_eq!(same, packet);
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_left_alone() {
        for whole in [four(2), six(2)] {
            for length in 0..20 {
                let mut part = whole[..length].to_vec();
                mark(&mut part);
                assert_eq!(part.len(), length);
            }
        }
    }
}
