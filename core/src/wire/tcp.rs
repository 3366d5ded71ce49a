//! The TCP header as a plain struct (RFC 9293 3.1).

pub use super::options::Layout;
use super::{Checksum, options, protocol};
use crate::counters::Drop;
use arrayvec::ArrayVec;
use etherparse::TcpHeaderSlice;
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
    /// How they are laid out when they are sent.
    pub layout: Layout,
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

/// Bytes of a header without options.
pub const HEADER: usize = 20;

/// Position of the checksum field in the header.
pub const CHECKSUM_OFFSET: usize = 16;

/// Reads and verifies the TCP segment `bytes`; `verify` asks for the checksum. Returns the header and its length, where the payload begins.
pub fn parse(
    source: IpAddr,
    destination: IpAddr,
    bytes: &[u8],
    verify: bool,
) -> Result<(TcpHeader, usize), Drop> {
    if bytes.len() < HEADER {
        return Err(Drop::Truncated);
    }
    let slice = TcpHeaderSlice::from_slice(bytes).map_err(|_| Drop::TcpHeaderLength)?;
    if verify {
        let length = u32::try_from(bytes.len()).map_err(|_| Drop::IpTotalLength)?;
        let sum = Checksum::pseudo_header(source, destination, protocol::TCP, length).chain([bytes]);
        if !sum.is_valid() {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
            //# the receiver MUST check it (MUST-3).
            return Err(Drop::TcpChecksum);
        }
    }
    let header = TcpHeader {
        source: slice.source_port(),
        destination: slice.destination_port(),
        seq: slice.sequence_number(),
        ack: slice.acknowledgment_number(),
        flags: Flags(slice.slice().get(13).copied().unwrap_or(0)),
        window: slice.window_size(),
        urgent: slice.urgent_pointer(),
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
        //# A TCP implementation MUST be able to receive a TCP Option in any segment (MUST-5).
        options: options::parse(slice.options()),
    };
    if header.source == 0 || header.destination == 0 {
        return Err(Drop::TcpPort);
    }
    if header.flags.has(Flags::SYN.with(Flags::RST)) {
        return Err(Drop::TcpFlags);
    }
    Ok((header, slice.slice().len()))
}

impl TcpHeader {
    /// The bytes of the header, its checksum field zero.
    #[must_use]
    pub fn emit(&self) -> ArrayVec<u8, 60> {
        let mut bytes = ArrayVec::new();
        self.append(&mut bytes);
        bytes
    }

    /// Puts them behind what there is, with room for 60.
    pub fn append<const SPACE: usize>(&self, out: &mut ArrayVec<u8, SPACE>) {
        let options = options::emit(&self.options);
        let [s0, s1] = self.source.to_be_bytes();
        let [d0, d1] = self.destination.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.to_be_bytes();
        let (offset, flags) = (((HEADER + options.len()) as u8 / 4) << 4, self.flags.0);
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urgent.to_be_bytes();
        let fixed = [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, 0, 0, u0, u1];
        let fits = out.try_extend_from_slice(&fixed).and_then(|()| out.try_extend_from_slice(&options));
        debug_assert!(fits.is_ok(), "no room for a header");
    }
}

#[cfg(test)]
mod tests;
