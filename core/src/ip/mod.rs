//! Between frame and segment, IPv4 and IPv6 alike.

use crate::counters::Drop;
use crate::link::{Capabilities, Frame, Transmit};
use crate::wire::tcp::TcpHeader;
use bytes::Bytes;
use std::net::IpAddr;

/// A valid IP packet, its header read and its payload trimmed to the length it states.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol number of `payload`, behind any extension headers.
    pub protocol: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Type of service, traffic class: the ECN bits are the low two.
    pub traffic_class: u8,
    /// From the transport header on; a slice of the frame.
    pub payload: Bytes,
    /// What the link knew.
    pub meta: crate::wire::FrameMeta,
}

/// Reads and verifies the IP header of a frame. Does not ask whose address it is.
pub fn ingress(_frame: &Frame) -> Result<Packet, Drop> {
    unimplemented!()
}

/// How to send a packet: the fields of the IP header that are not addresses.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Source address.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// Time to live, hop limit.
    pub hop_limit: u8,
    /// Type of service, traffic class.
    pub traffic_class: u8,
}

/// Builds the transmit of a TCP segment, or of a super-frame when `gso_size` is not 0. The checksum is left to the device if it
/// completes checksums, computed otherwise (never for a super-frame, which [`segment`] cuts first).
pub fn tcp_transmit(
    _envelope: &Envelope,
    _header: &TcpHeader,
    _payload: crate::ip::Payload,
    _gso_size: u16,
    _capabilities: &Capabilities,
) -> Transmit {
    unimplemented!()
}

/// A chain of payload slices.
pub type Payload = smallvec::SmallVec<[Bytes; 4]>;

/// Cuts a super-frame into the packets that a link without segmentation takes, as the kernel's TSO does: sequence number, length, identification,
/// FIN and PSH on the last only, CWR on the first only, checksums complete.
pub fn segment(_transmit: &Transmit, _out: &mut std::collections::VecDeque<Transmit>) {
    unimplemented!()
}

/// The same for a received super-frame or an assembled transmit, as one contiguous frame (loopback, pcap, in-memory links).
#[must_use]
pub fn to_frame(_transmit: &Transmit) -> Frame {
    unimplemented!()
}

/// Answers an ICMP or ICMPv6 echo request; `Ok(None)` for a message that needs no answer and is not a fault.
pub fn echo_reply(
    _packet: &Packet,
    _hop_limit: u8,
    _capabilities: &Capabilities,
) -> Result<Option<Transmit>, Drop> {
    unimplemented!()
}
