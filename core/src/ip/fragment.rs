//! Datagrams on their way out: whole, or in fragments where they do not fit (RFC 791 3.2, RFC 8200 4.5).

use super::Envelope;
use super::egress::{ip_header, v4};
use crate::link::{Capabilities, HEAD_MAX, SentChecksum, Transmit};
use crate::wire::udp::{CHECKSUM_OFFSET, HEADER, UdpHeader, never_zero};
use crate::wire::{Checksum, ipv4, ipv6, protocol};
use arrayvec::ArrayVec;
use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Builds the packet of a datagram, or its fragments, and appends them to `out`; returns how many. The checksum of one packet is left to the device if it
/// completes checksums. The payload is at most what UDP can state, a packet at most `mtu` bytes; `identify` names one that is cut.
pub fn udp_transmit(
    envelope: &Envelope,
    (source, destination): (u16, u16),
    payload: Bytes,
    mtu: usize,
    capabilities: &Capabilities,
    identify: impl FnOnce() -> u32,
    out: &mut VecDeque<Transmit>,
) -> usize {
    let length = HEADER + payload.len();
    let pseudo = Checksum::pseudo_header(
        envelope.source,
        envelope.destination,
        protocol::UDP,
        u32::try_from(length).unwrap_or(u32::MAX),
    );
    let length_field = u16::try_from(length).unwrap_or(u16::MAX);
    let mut header = UdpHeader { source, destination, length: length_field, checksum: 0 };
    let six = envelope.source.is_ipv6();
    let fits = if six { ipv6::HEADER } else { ipv4::HEADER } + length <= mtu;
    if fits && capabilities.checksum {
        header.checksum = pseudo.folded();
    } else {
        //= https://www.rfc-editor.org/rfc/rfc8200#section-8.1
        //# whenever originating a UDP packet, an IPv6 node must compute a UDP checksum over the packet and the pseudo-header, and, if that computation yields a result of zero, it must be changed to hex FFFF for placement in the UDP header. (8200:8.1-2)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
        //# A host MUST implement the facility to generate and validate UDP checksums. (1122:4.1.3.4-1)
        //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
        //# it MUST default to checksumming on. (1122:4.1.3.4-2)
        header.checksum = never_zero(pseudo.chain([&header.emit()[..], &payload]).finish());
    }
    //= https://www.rfc-editor.org/rfc/rfc8504#section-5.1
    //# nodes MUST NOT generate atomic fragments, i.e., where the fragment is a whole datagram. (8504:5.1-1)
    if !fits {
        //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
        //# Optionally, the IP layer MAY implement a mechanism to fragment outgoing datagrams intentionally. (1122:3.3.3-1)
        return fragments(envelope, protocol::UDP, header.emit(), &payload, mtu, identify(), out);
    }
    let mut head = ip_header(envelope, protocol::UDP, length);
    let checksum = match capabilities.checksum {
        true => SentChecksum::Partial { start: head.len() as u16, offset: CHECKSUM_OFFSET as u16 },
        false => SentChecksum::Complete,
    };
    head.extend(header.emit());
    let payload = if payload.is_empty() { SmallVec::new() } else { smallvec![payload] };
    out.push_back(Transmit { head, payload, gso_size: 0, checksum });
    1
}

/// A packet of `protocol` in pieces of at most `mtu` bytes. The first holds the header.
pub(super) fn fragments(
    envelope: &Envelope,
    protocol: u8,
    header: [u8; HEADER],
    payload: &Bytes,
    mtu: usize,
    identification: u32,
    out: &mut VecDeque<Transmit>,
) -> usize {
    let headers = if envelope.source.is_ipv6() { ipv6::HEADER + ipv6::FRAGMENT_HEADER } else { ipv4::HEADER };
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //# The lengths of the fragments must be chosen such that the resulting fragment packets fit within the MTU of the path to the packet's destination(s). (8200:4.5-3)
    //= https://www.rfc-editor.org/rfc/rfc791#section-2.3
    //# The data of the long datagram is divided into two portions on a 8 octet (64 bit) boundary (the second portion might not be an integral multiple of 8 octets, but the first must be). (791:2.3-7)
    let most = (mtu.saturating_sub(headers) & !7).max(8);
    let total = HEADER + payload.len();
    //= https://www.rfc-editor.org/rfc/rfc5722#section-4
    //# IPv6 nodes transmitting datagrams that need to be fragmented MUST NOT create overlapping fragments. (5722:4-1)
    for offset in (0..total).step_by(most) {
        let end = total.min(offset + most);
        let place = Place { protocol, identification, offset, more: end < total };
        let mut head = place.header(envelope, end - offset);
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
        //# These headers must be in the first fragment. (8200:4.5-5)
        if offset == 0 {
            //= https://www.rfc-editor.org/rfc/rfc7112#section-5
            //# When a host fragments an IPv6 datagram, it MUST include the entire IPv6 Header Chain in the First Fragment. (7112:5-1)
            head.extend(header);
        }
        let piece = payload.slice(offset.saturating_sub(HEADER)..end - HEADER);
        let payload = smallvec![piece];
        out.push_back(Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete });
    }
    total.div_ceil(most)
}

/// Where a fragment lies in its packet.
#[derive(Clone, Copy, Debug)]
struct Place {
    protocol: u8,
    identification: u32,
    offset: usize,
    more: bool,
}

impl Place {
    /// The IP header in front of `length` bytes of the packet.
    fn header(self, envelope: &Envelope, length: usize) -> ArrayVec<u8, HEAD_MAX> {
        let offset = u16::try_from(self.offset).unwrap_or(u16::MAX);
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (envelope.source, envelope.destination) else {
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
            //# The Per-Fragment headers must consist of the IPv6 header plus any extension headers that must be processed by nodes en route to the destination (8200:4.5-2)
            let mut head = ip_header(envelope, protocol::FRAGMENT, ipv6::FRAGMENT_HEADER + length);
            let fragment = ipv6::Fragment { identification: self.identification, offset, more: self.more };
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4.1
            //# Each extension header should occur at most once, except for the Destination Options header, which should occur at most twice (once before a Routing header and once before the upper-layer header). (8200:4.1-1)
            head.extend(fragment.emit(self.protocol));
            return head;
        };
        let envelope = Envelope { identification: Some(self.identification as u16), ..*envelope };
        let mut ip = v4(&envelope, source, destination, self.protocol, length);
        ip.more_fragments = self.more;
        ip.fragment_offset = offset;
        ip.emit().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IpConfig;
    use crate::counters::{Counters, Drop};
    use crate::ip::{Arrival, Packet, Reassembly, arrival, ingress, to_frame};
    use crate::link::segment::complete;
    use crate::time::Instant;
    use crate::wire::udp;
    use proptest::{prop_assert_eq, proptest};

    fn envelope(six: bool) -> Envelope {
        let ip = |host: u8| {
            if six { format!("2001:db8::{host}") } else { format!("192.0.2.{host}") }
                .parse()
                .expect("an address")
        };
        Envelope::new(ip(1), ip(2))
    }

    fn send(six: bool, payload: &[u8], mtu: usize, capabilities: &Capabilities) -> VecDeque<Transmit> {
        let mut out = VecDeque::new();
        let payload = Bytes::copy_from_slice(payload);
        let count =
            udp_transmit(&envelope(six), (7, 9), payload, mtu, capabilities, || 0xabcd_1234, &mut out);
        assert_eq!(count, out.len());
        out
    }

    /// What the receiver makes of it.
    fn receive(packets: &VecDeque<Transmit>) -> Option<Packet> {
        let mut reassembly = Reassembly::new(&IpConfig::default());
        let mut whole = None;
        for packet in packets {
            assert!(whole.is_none(), "complete before its last fragment");
            whole = match arrival(&to_frame(packet)).expect("a sound packet") {
                Arrival::Whole(packet) => Some(packet),
                Arrival::Part(part) => {
                    let added = reassembly.add(Instant::ZERO, part, &mut Counters::default());
                    added.expect("a sound fragment").map(|(packet, _)| packet)
                }
            };
        }
        whole
    }

    fn read(packet: &Packet) -> Result<Vec<u8>, Drop> {
        let (header, range) = udp::parse(packet.source, packet.destination, &packet.payload, true)?;
        assert_eq!((header.source, header.destination), (7, 9));
        Ok(packet.payload[range].to_vec())
    }

    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //= type=test
    //# The lengths of the fragments must be chosen such that the resulting fragment packets fit within the MTU of the path to the packet's destination(s). (8200:4.5-3)
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //= type=test
    //# These headers must be in the first fragment. (8200:4.5-5)
    //= https://www.rfc-editor.org/rfc/rfc8200#section-5
    //= type=test
    //# A node must be able to accept a fragmented packet that, after reassembly, is as large as 1500 octets. (8200:5-5)
    //= https://www.rfc-editor.org/rfc/rfc5722#section-4
    //= type=test
    //# IPv6 nodes transmitting datagrams that need to be fragmented MUST NOT create overlapping fragments. (5722:4-1)
    //= https://www.rfc-editor.org/rfc/rfc791#section-2.3
    //= type=test
    //# The data of the long datagram is divided into two portions on a 8 octet (64 bit) boundary (the second portion might not be an integral multiple of 8 octets, but the first must be). (791:2.3-7)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.2
    //= type=test
    //# EMTU_R MUST be greater than or equal to 576, SHOULD be either configurable or indefinite, and SHOULD be greater than or equal to the MTU of the connected network(s). (1122:3.3.2-2)
    //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.4
    //= type=test
    //# it MUST default to checksumming on. (1122:4.1.3.4-2)
    //= https://www.rfc-editor.org/rfc/rfc7112#section-5
    //= type=test
    //# When a host fragments an IPv6 datagram, it MUST include the entire IPv6 Header Chain in the First Fragment. (7112:5-1)
    #[test]
    fn fragments_fit_and_come_together() {
        for six in [false, true] {
            let most = crate::udp::payload_max(six);
            for mtu in [1280, 1281, 1500, 9000, 65_535] {
                let room = mtu - if six { 48 } else { 28 };
                for length in [0, 1, room - 1, room, room + 1, room + 8, 3 * room, most] {
                    let payload: Vec<u8> = (0..length.min(most)).map(|i| (i * 7 + i / 251) as u8).collect();
                    let packets = send(six, &payload, mtu, &Capabilities::plain(1500));
                    //= https://www.rfc-editor.org/rfc/rfc8504#section-5.1
                    //= type=test
                    //# nodes MUST NOT generate atomic fragments, i.e., where the fragment is a whole datagram. (8504:5.1-1)
                    assert_eq!(packets.len() > 1, payload.len() > room, "{length} at {mtu}");
                    assert!(packets.iter().all(|packet| packet.len() <= mtu));
                    let packet = receive(&packets).expect("a whole packet");
                    assert_eq!(read(&packet).as_deref(), Ok(&payload[..]), "{length} at {mtu}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_length_through_any_mtu(six: bool, mtu in 1280usize..3000, length in 0usize..20_000) {
            let payload: Vec<u8> = (0..length).map(|i| (i * 31 + i / 255) as u8).collect();
            let packets = send(six, &payload, mtu, &Capabilities::plain(1500));
            let packet = receive(&packets).expect("a whole packet");
            prop_assert_eq!(read(&packet), Ok(payload));
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.1
    //= type=test
    //# Each extension header should occur at most once, except for the Destination Options header, which should occur at most twice (once before a Routing header and once before the upper-layer header). (8200:4.1-1)
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //= type=test
    //# The Per-Fragment headers must consist of the IPv6 header plus any extension headers that must be processed by nodes en route to the destination (8200:4.5-2)
    #[test]
    fn fragments_bear_the_name_of_their_packet_and_what_is_whole_bears_none() {
        let whole = send(false, &[0; 1472], 1500, &Capabilities::plain(1500));
        assert_eq!(whole[0].head[4..8], [0, 0, 0x40, 0], "not to be cut on its way");
        let cut = send(false, &[0; 1473], 1500, &Capabilities::plain(1500));
        assert_eq!(
            (&cut[0].head[4..8], &cut[1].head[4..8]),
            (&[0x12, 0x34, 0x20, 0][..], &[0x12, 0x34, 0, 185][..])
        );
        let six = send(true, &[0; 1453], 1500, &Capabilities::plain(1500));
        assert_eq!(six[0].head[40..48], [17, 0, 0, 1, 0xab, 0xcd, 0x12, 0x34]);
        assert_eq!(six[1].head[40..48], [17, 0, 5, 0xa8, 0xab, 0xcd, 0x12, 0x34]);
    }

    #[test]
    fn the_device_completes_the_checksum_of_a_packet_and_never_that_of_fragments() {
        for six in [false, true] {
            let offload = Capabilities { checksum: true, ..Capabilities::plain(1500) };
            for length in [0, 1000] {
                let mut packets = send(six, &vec![3; length], 1500, &offload);
                assert!(matches!(packets[0].checksum, SentChecksum::Partial { offset: 6, .. }));
                assert_eq!(read(&ingress(&to_frame(&packets[0])).unwrap()), Err(Drop::UdpChecksum));
                complete(&mut packets[0]);
                assert_eq!(read(&ingress(&to_frame(&packets[0])).unwrap()), Ok(vec![3; length]));
            }
            let packets = send(six, &[3; 4000], 1500, &offload);
            assert!(packets.iter().all(|packet| packet.checksum == SentChecksum::Complete));
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc8200#section-8.1
    //= type=test
    //# whenever originating a UDP packet, an IPv6 node must compute a UDP checksum over the packet and the pseudo-header, and, if that computation yields a result of zero, it must be changed to hex FFFF for placement in the UDP header. (8200:8.1-2)
    #[test]
    fn a_checksum_that_comes_out_as_zero_is_sent_as_all_ones_whoever_computes_it() {
        for capabilities in
            [Capabilities::plain(1500), Capabilities { checksum: true, ..Capabilities::plain(1500) }]
        {
            for six in [false, true] {
                let sum = |payload: &[u8]| {
                    let mut packets = send(six, payload, 1500, &capabilities);
                    complete(&mut packets[0]);
                    let head = &packets[0].head;
                    [head[head.len() - 2], head[head.len() - 1]]
                };
                assert_eq!(sum(&sum(&[0, 0])), [0xff, 0xff]);
            }
        }
    }
}
