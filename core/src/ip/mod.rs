//! Between frame and segment, IPv4 and IPv6 alike.

mod egress;
mod fault;
mod flow;
mod fragment;
mod icmp;
mod ingress;
mod mtu_search;
mod pmtu;
mod reassembly;
mod report;

pub use crate::link::segment::{segment, to_frame};
pub use crate::wire::{Fault, Refused};
pub use egress::{put_tcp, tcp_transmit};
pub use fault::{fault_about, protocol_pointer};
pub use flow::Flows;
pub use fragment::udp_transmit;
pub use icmp::{Heard, echo_reply, hear};
pub use ingress::{Arrival, Look, arrival, ingress, look, look_looped};
pub use mtu_search::SearchRules;
pub use pmtu::{Known, PathMtus, believed};
pub use reassembly::{Expired, Fragment, Reassembly};
pub use report::{Cause, Report};

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

/// How to send a packet: what the IP header says but for the payload.
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
    /// Flow label of IPv6 (RFC 6437), 20 bits.
    pub flow_label: u32,
    /// Identification of an IPv4 packet that routers may cut into fragments; `None`: they may not.
    pub identification: Option<u16>,
}

impl Envelope {
    /// A packet of no flow that nobody may cut, with 64 hops.
    #[must_use]
    pub const fn new(source: IpAddr, destination: IpAddr) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc6437#section-3
        //# A source node that does not otherwise set the flow label MUST set its value to zero. (6437:3-4)
        Self { source, destination, hop_limit: 64, traffic_class: 0, flow_label: 0, identification: None }
    }
}

/// A chain of payload slices.
pub type Payload = smallvec::SmallVec<[Bytes; 4]>;

#[cfg(test)]
mod tests;
