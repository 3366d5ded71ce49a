//! The parsers: whatever the bytes, an answer, and what they accept is inside of what they were given.

use crate::packet::{Tcp, ip_frame, peer_address, stack_address};
use bytes::Bytes;
use usertcp_core::config::IpConfig;
use usertcp_core::counters::Counters;
use usertcp_core::ip::{self, Arrival, Envelope, Fault, Heard, Reassembly, Refused};
use usertcp_core::link::{Capabilities, Frame, FrameMeta, ReceivedChecksum};
use usertcp_core::time::Instant;
use usertcp_core::wire::tcp::{self, TcpHeader};

/// A whole packet, through IP and TCP; what was understood is built again and read again.
pub fn parse_packet(data: &[u8]) {
    let frame = Frame { bytes: Bytes::copy_from_slice(data), meta: FrameMeta::default() };
    let Ok(packet) = ip::ingress(&frame) else { return };
    assert!(packet.payload.len() + 20 <= data.len(), "a payload longer than the packet");
    if packet.protocol != 6 {
        return;
    }
    let verified = tcp::parse(packet.source, packet.destination, &packet.payload, true);
    let read = tcp::parse(packet.source, packet.destination, &packet.payload, false);
    let Ok((header, length)) = read else {
        assert!(verified.is_err(), "verified, but not readable");
        return;
    };
    if let Ok(same) = &verified {
        assert_eq!(same.0, header, "verifying changes what is read");
    }
    assert!((20..=60).contains(&length) && length <= packet.payload.len(), "header of {length} bytes");
    let envelope = Envelope {
        hop_limit: packet.hop_limit,
        traffic_class: packet.traffic_class,
        ..Envelope::new(packet.source, packet.destination)
    };
    again(&envelope, &header, packet.payload.slice(length..));
}

/// An IP packet of any protocol with the link's word on its checksum.
pub fn ip_ingress(data: &[u8]) {
    let (hint, bytes) = data.split_first().unwrap_or((&0, &[]));
    let checksum = if hint & 1 == 0 { ReceivedChecksum::Unverified } else { ReceivedChecksum::Valid };
    let meta = FrameMeta { checksum, gso_size: u16::from(hint >> 1) * 16 };
    let frame = Frame { bytes: Bytes::copy_from_slice(bytes), meta };
    if let Err(Refused { fault: Some(fault), .. }) = ip::arrival(&frame) {
        told(&frame.bytes, fault);
    }
    let Ok(packet) = ip::ingress(&frame) else { return };
    assert_eq!(packet.source.is_ipv4(), packet.destination.is_ipv4(), "families mixed");
    assert!(packet.payload.len() < bytes.len(), "a payload longer than the packet");
    let Ok(Heard::Echo(identity)) = ip::hear(&packet) else { return };
    let replies = ip::echo_reply(&packet, identity, 64, 1500, || 7);
    let mut reassembly = Reassembly::new(&IpConfig::default());
    let back = replies.iter().filter_map(|reply| match ip::arrival(&ip::to_frame(reply)) {
        Ok(Arrival::Whole(packet)) => Some(packet),
        Ok(Arrival::Part(part)) => {
            let added = reassembly.add(Instant::ZERO, part, &mut Counters::default());
            added.expect("a sound fragment").map(|(packet, _)| packet)
        }
        Err(refused) => panic!("an echo reply that is no packet: {refused:?}"),
    });
    let Some(back) = back.last() else {
        assert!(replies.is_empty(), "an echo reply that is not whole");
        return;
    };
    assert_eq!((back.source, back.destination), (packet.destination, packet.source), "reply's addresses");
    assert_eq!(back.payload[4..], packet.payload[4..], "reply's body");
}

/// What the source of a packet that was refused is told: it points into the packet, quotes it, and is no longer than it may be.
fn told(packet: &Bytes, fault: Fault) {
    let pointer = match fault {
        Fault::ParameterProblem { pointer }
        | Fault::UnknownOption { pointer, .. }
        | Fault::ProtocolUnreachable { pointer } => pointer,
        Fault::PortUnreachable | Fault::HeaderChain | Fault::TooBig { .. } | Fault::ReassemblyTimeout => 0,
    };
    assert!((pointer as usize) < packet.len(), "a pointer to nowhere: {fault:?}");
    let Some((source, message)) = ip::fault_about(packet, fault, None, 64) else { return };
    let frame = ip::to_frame(&message);
    assert!(frame.bytes.len() <= if source.is_ipv4() { 576 } else { 1280 }, "{} bytes", frame.bytes.len());
    let Ok(back) = ip::ingress(&frame) else { return };
    assert_eq!(back.destination, source, "told to somebody else");
    assert!(packet.starts_with(&back.payload[8..]), "another packet is quoted");
}

/// The bytes as TCP options of an otherwise valid segment.
pub fn tcp_options(data: &[u8]) {
    let options = &data[..data.len().min(40)];
    let (source, destination) = (peer_address(false), stack_address(false));
    let frame = Tcp { source: 1, destination: 2, options: options.to_vec(), ..Tcp::default() }.frame();
    let Ok((header, length)) = tcp::parse(source, destination, &frame[20..], true) else {
        panic!("options make a valid segment unreadable");
    };
    assert_eq!(length, frame.len() - 20);
    let number = |b: &[u8]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    let mss = naive(&frame[40..], 2, &[4]).map(|value| u16::from_be_bytes([value[0], value[1]]));
    assert_eq!(header.options.mss, mss, "MSS");
    let sack = naive(&frame[40..], 5, &[10, 18, 26, 34]).unwrap_or_default();
    let blocks: Vec<_> = sack.chunks(8).map(|block| (number(block), number(&block[4..]))).collect();
    assert_eq!(header.options.sack[..], blocks, "SACK blocks");
    assert_eq!(header.options.sack_permitted, naive(&frame[40..], 4, &[2]).is_some(), "SACK permitted");
    let envelope = Envelope::new(source, destination);
    again(&envelope, &header, Bytes::new());
}

/// The value of the last option `kind` of one of these lengths, in front of the end of the list or a malformed option.
fn naive<'a>(options: &'a [u8], kind: u8, lengths: &[usize]) -> Option<&'a [u8]> {
    let mut rest = options;
    let mut value = None;
    loop {
        match *rest {
            [1, ..] => rest = &rest[1..],
            [0, ..] | [] | [_] => return value,
            [found, length, ..] => {
                let length = usize::from(length);
                if length < 2 || length > rest.len() {
                    return value;
                }
                if found == kind && lengths.contains(&length) {
                    value = Some(&rest[2..length]);
                }
                rest = &rest[length..];
            }
        }
    }
}

/// A header that was read is built and read again: the same.
fn again(envelope: &Envelope, header: &TcpHeader, payload: Bytes) {
    let mut chain = ip::Payload::new();
    let most = 65_535 - 40 - 60;
    chain.push(payload.slice(..payload.len().min(most)));
    let made = ip::tcp_transmit(envelope, header, chain, 0, &Capabilities::plain(u16::MAX));
    let Ok(packet) = ip::ingress(&ip::to_frame(&made)) else { panic!("built, but not readable") };
    let Ok((back, _)) = tcp::parse(packet.source, packet.destination, &packet.payload, true) else {
        panic!("built, but not verifiable");
    };
    // SACK blocks that do not fit beside the other options are left out.
    let mut expected = header.clone();
    expected.options.sack.truncate(back.options.sack.len());
    assert_eq!(back, expected, "built and read again");
}

/// Seeds: a valid packet of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let options = vec![2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7];
    let mut all = Vec::new();
    for v6 in [false, true] {
        let syn = Tcp {
            v6,
            source: 40_000,
            destination: 80,
            seq: 1,
            flags: 2,
            window: 65_535,
            options: options.clone(),
            ..Tcp::default()
        };
        all.push(syn.frame());
        all.push(
            Tcp {
                flags: 24,
                ack: 7,
                options: Vec::new(),
                payload: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
                ..syn.clone()
            }
            .frame(),
        );
        let echo = if v6 { 128 } else { 8 };
        all.push(crate::packet::icmp_frame(v6, &[echo, 0, 0, 0, 0, 1, 0, 2, 9, 9, 9]));
        all.push(ip_frame(v6, 17, &[0, 1, 0, 2, 0, 8, 0, 0]));
    }
    // IPv4 with options: a record route, and a source route.
    for kind in [7, 131] {
        let mut frame = ip_frame(false, 6, &all[0][20..]);
        frame.splice(20..20, [kind, 7, 4, 192, 0, 2, 9, 0]);
        frame[0] = 0x47;
        all.push(frame);
    }
    // IPv6 with hop-by-hop and destination options, a fragment, and a routing header.
    for next in [0, 60, 44, 43] {
        let mut frame = ip_frame(true, next, &[6, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend_from_slice(&all[4][40..]);
        let length = u16::try_from(frame.len() - 40).unwrap_or(0);
        frame[4..6].copy_from_slice(&length.to_be_bytes());
        all.push(frame);
    }
    all
}
