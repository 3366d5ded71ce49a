//! Bytes to plain structs and back, over etherparse; checksums; frame metadata.

pub mod checksum;
mod ecn;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
mod meta;
mod options;
pub mod quote;
mod refused;
pub mod tcp;
pub mod udp;

pub use checksum::{Checksum, checksum, header_checksum};
pub use ecn::Codepoint;
pub use meta::{FrameMeta, ReceivedChecksum, SentChecksum};
pub use refused::{Fault, Refused};

/// Protocol numbers (IANA) of what the stack speaks or steps over.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows.
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
}
