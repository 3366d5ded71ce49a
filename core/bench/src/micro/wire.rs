//! Bytes only: the checksum, and reading a packet's headers.

use super::scene::{Again, Effort, Take};
use super::world::SEGMENT;
use crate::aligned::Aligned;
use bytes::Bytes;
use smallvec::smallvec;
use std::hint::black_box;
use std::net::IpAddr;
use usertcp_core::ip::{self, Envelope};
use usertcp_core::link::{Capabilities, Frame, FrameMeta, ReceivedChecksum};
use usertcp_core::wire::checksum;
use usertcp_core::wire::tcp::{self, Flags, TcpHeader, TcpOptions};

pub(super) fn run(effort: Effort, take: Take<'_>) {
    for (name, length, batch) in [("64 B", 64, 1024), ("1448 B", SEGMENT, 256), ("64 KiB", 64 << 10, 8)] {
        let mut bytes = Aligned::zeroed(length);
        bytes.fill(0xa5);
        let mut copy = Aligned::zeroed(length);
        let sum = || {
            black_box(checksum(black_box(&bytes)));
        };
        take(&format!("checksum, {name}"), "ours", effort.measure(batch, &mut Again::new(sum)));
        // What reading and writing them once costs.
        let copying = || black_box(&mut copy[..]).copy_from_slice(black_box(&bytes));
        take(&format!("checksum, {name}"), "memcpy", effort.measure(batch, &mut Again::new(copying)));
    }
    for (family, ends) in [("IPv4", ["192.0.2.1", "192.0.2.2"]), ("IPv6", ["2001:db8::1", "2001:db8::2"])] {
        let [source, destination] = ends.map(|end| end.parse().expect("an address"));
        for (name, checksum) in [("", ReceivedChecksum::Valid), (", summed", ReceivedChecksum::Unverified)] {
            let frame = Frame { meta: FrameMeta { checksum, gso_size: 0 }, ..packet(source, destination) };
            let parse = || read(black_box(&frame));
            let measure = format!("parse, 1448 B over {family}{name}");
            take(&measure, "ours", effort.measure(256, &mut Again::new(parse)));
        }
    }
}

/// A full segment.
fn packet(source: IpAddr, destination: IpAddr) -> Frame {
    let options = TcpOptions { timestamps: Some((1, 2)), ..TcpOptions::default() };
    let header =
        TcpHeader { source: 40_000, destination: 80, flags: Flags::ACK, options, ..Default::default() };
    let envelope = Envelope::new(source, destination);
    let payload = smallvec![Bytes::from(vec![0xa5; SEGMENT])];
    ip::to_frame(&ip::tcp_transmit(&envelope, &header, payload, 0, &Capabilities::plain(1500)))
}

/// The whole way from a frame to a segment.
fn read(frame: &Frame) {
    let packet = ip::ingress(frame).expect("a packet");
    let verify = packet.meta.checksum == ReceivedChecksum::Unverified;
    let segment = tcp::parse(packet.source, packet.destination, &packet.payload, verify);
    let (_, start) = black_box(segment).expect("a segment");
    drop(black_box(packet.payload.slice(start..)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_core::wire::Checksum;

    #[test]
    fn packets_are_sound() {
        let frame = packet([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        read(&frame);
        assert_eq!(frame.meta.checksum, ReceivedChecksum::Unverified);
        assert!(Checksum::default().chain([&frame.bytes[..20]]).is_valid());
    }
}
