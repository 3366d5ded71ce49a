//! The TCP header as a plain struct (RFC 9293 3.1).

use crate::counters::Drop;
use arrayvec::ArrayVec;
use std::net::IpAddr;

/// Control bits, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const LETTERS: [char; 8] = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'];
        (0..8).filter(|bit| self.0 & (1 << bit) != 0).try_for_each(|bit| write!(f, "{}", LETTERS[bit]))
    }
}

/// The options this stack knows; unknown ones are skipped by their length (RFC 9293 MUST-6).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TcpOptions {
    /// Maximum segment size (kind 2).
    pub mss: Option<u16>,
    /// Window scale shift (kind 3, RFC 7323), as on the wire: a value above 14 is read as 14 by the connection.
    pub window_scale: Option<u8>,
    /// SACK permitted (kind 4, RFC 2018).
    pub sack_permitted: bool,
    /// TSval and TSecr (kind 8, RFC 7323).
    pub timestamps: Option<(u32, u32)>,
    /// SACK blocks (kind 5): left edge, right edge.
    pub sack: ArrayVec<(u32, u32), 4>,
}

/// A TCP header, options decoded.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TcpHeader {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// Acknowledgement number; counts with `Flags::ACK` only.
    pub ack: u32,
    /// Control bits.
    pub flags: Flags,
    /// Window field, unscaled.
    pub window: u16,
    /// Urgent pointer; counts with `Flags::URG` only.
    pub urgent: u16,
    /// Options.
    pub options: TcpOptions,
}

/// Reads and verifies the TCP segment `bytes`; `verify` asks for the checksum. Returns the header and its length, where the payload begins.
pub fn parse(
    _source: IpAddr,
    _destination: IpAddr,
    _bytes: &[u8],
    _verify: bool,
) -> Result<(TcpHeader, usize), Drop> {
    unimplemented!()
}
