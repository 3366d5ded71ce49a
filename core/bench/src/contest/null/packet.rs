//! Packets of the bare loop: IPv4 and TCP without options.

use super::super::order::{PEER, own_address};
use std::net::IpAddr;
use usertcp_core::wire::checksum::Checksum;

/// Bytes of a vnet header.
pub(super) const HEADER: usize = 10;

/// All headers together: vnet, IPv4, TCP.
pub(super) const HEADERS: usize = HEADER + 40;

pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const FIN: u8 = 1;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// Shift of the windows that are offered.
pub(super) const SCALE: u8 = 7;

/// `virtio_net_hdr`: the checksum is left to the kernel, from byte 20 on, at byte 16 behind that.
const NEEDS_CHECKSUM: u8 = 1;
const GSO_TCP_V4: u8 = 1;

/// What is wanted of a segment that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// Our port.
    pub(super) port: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    /// As it stands there.
    pub(super) window: u16,
    pub(super) options: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// `None`: no segment of TCP over IPv4.
    pub(super) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (first, protocol) = (*packet.first()?, *packet.get(9)?);
        if first >> 4 != 4 || protocol != 6 {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let tcp = packet.get(usize::from(first & 15) * 4..length)?;
        let fixed = tcp.first_chunk::<20>()?;
        let number = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let data = usize::from(fixed[12] >> 4) * 4;
        Some(Self {
            port: u16::from_be_bytes([fixed[2], fixed[3]]),
            seq: number(4),
            ack: number(8),
            flags: fixed[13],
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            options: tcp.get(20..data)?,
            payload: tcp.get(data..)?,
        })
    }

    /// The shift of the peer's windows, from a SYN; 0 without one.
    pub(super) fn scale(&self) -> u8 {
        let mut options = self.options;
        loop {
            match options {
                [1, rest @ ..] => options = rest,
                [3, 3, scale, ..] => return *scale,
                [kind, length, ..] if *kind > 1 && *length > 1 => match options.get(usize::from(*length)..) {
                    Some(rest) => options = rest,
                    None => return 0,
                },
                _ => return 0,
            }
        }
    }
}

/// Whether both checksums of a packet of TCP over IPv4 are right (RFC 791 3.1, RFC 9293 3.1).
pub(super) fn is_sound(packet: &[u8]) -> bool {
    let Some(ip) = packet.first_chunk::<20>() else { return false };
    let (length, header) = (usize::from(u16::from_be_bytes([ip[2], ip[3]])), usize::from(ip[0] & 15) * 4);
    let Some((header, tcp)) = packet.get(..length).and_then(|packet| packet.split_at_checked(header)) else {
        return false;
    };
    let [source, destination] =
        [[ip[12], ip[13], ip[14], ip[15]], [ip[16], ip[17], ip[18], ip[19]]].map(IpAddr::from);
    let pseudo = Checksum::pseudo_header(source, destination, ip[9], tcp.len() as u32);
    Checksum::default().chain([header]).is_valid() && pseudo.chain([tcp]).is_valid()
}

/// What the headers of a segment say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
}

/// Options of a SYN: the segment size, the window's shift.
pub(super) fn syn_options(mss: u16) -> [u8; 8] {
    let [high, low] = mss.to_be_bytes();
    [2, 4, high, low, 1, 3, 3, SCALE]
}

impl Head {
    /// Headers for `options` and a payload of `length` bytes, both of which follow. `mss`: the kernel is to cut it into segments of so many bytes.
    /// With `sum` the checksum is complete, for options and payload that add up to it; without, the kernel does it.
    pub(super) fn bytes(&self, options: usize, length: usize, mss: u16, sum: Option<u32>) -> [u8; HEADERS] {
        let mut all = [0; HEADERS];
        let (vnet, packet) = all.split_at_mut(HEADER);
        let (ip, tcp) = packet.split_at_mut(20);
        let segment = 20 + options + length;
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&((20 + segment) as u16).to_be_bytes());
        ip[6] = 0x40;
        (ip[8], ip[9]) = (64, 6);
        ip[12..16].copy_from_slice(&own_address(0).octets());
        ip[16..20].copy_from_slice(&PEER.octets());
        let header_sum = !fold(add(ip));
        ip[10..12].copy_from_slice(&header_sum.to_be_bytes());
        tcp[0..2].copy_from_slice(&self.from.to_be_bytes());
        tcp[2..4].copy_from_slice(&self.to.to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        tcp[12] = ((20 + options) as u8 / 4) << 4;
        tcp[13] = self.flags;
        tcp[14..16].copy_from_slice(&self.window.to_be_bytes());
        let pseudo = add(&ip[12..20]) + 6 + segment as u32;
        match sum {
            Some(sum) => {
                let sum = !fold(pseudo + add(tcp) + sum);
                tcp[16..18].copy_from_slice(&sum.to_be_bytes());
            }
            None => {
                tcp[16..18].copy_from_slice(&fold(pseudo).to_be_bytes());
                vnet[0] = NEEDS_CHECKSUM;
                vnet[6..8].copy_from_slice(&20_u16.to_ne_bytes());
                vnet[8..10].copy_from_slice(&16_u16.to_ne_bytes());
                if length > usize::from(mss) {
                    vnet[1] = GSO_TCP_V4;
                    vnet[2..4].copy_from_slice(&40_u16.to_ne_bytes());
                    vnet[4..6].copy_from_slice(&mss.to_ne_bytes());
                }
            }
        }
        all
    }
}

/// Sum of the 16-bit words; an even number of bytes, or the last is padded.
pub(super) fn add(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    sum + rest.first().map_or(0, |byte| u32::from(*byte) << 8)
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
