//! What a router does with a packet that the next link does not carry whole.

use super::report::{Reason, report};
use crate::wire::{checksum, ipv4};

/// What becomes of a packet longer than an MTU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// It goes on as these.
    Fragments(Vec<Vec<u8>>),
    /// It goes no further; what its source may be told of it, if that may be told of anything.
    Stopped(Option<Vec<u8>>),
}

/// A packet longer than `mtu`. IPv4 is cut unless it says "don't fragment" (RFC 791 3.2); IPv6 never is (RFC 8200 5). What cannot be read is stopped.
pub(super) fn passage(packet: &[u8], mtu: u16) -> Passage {
    match ipv4::parse(packet) {
        Ok((header, length)) if !header.dont_fragment => match fragments(packet, &header, length, mtu) {
            Some(pieces) => Passage::Fragments(pieces),
            None => Passage::Stopped(None),
        },
        _ => Passage::Stopped(report(packet, Reason::TooBig(mtu))),
    }
}

/// The fragments of a packet whose header takes `length` bytes. Options go along with each, which a router would not do with all of them.
fn fragments(packet: &[u8], header: &ipv4::Ipv4Header, length: usize, mtu: u16) -> Option<Vec<Vec<u8>>> {
    let payload = packet.get(length..usize::from(header.total_length))?;
    // Offsets count units of 8 bytes.
    let room = usize::from(mtu).checked_sub(length)? & !7;
    if room == 0 {
        return None;
    }
    let count = payload.len().div_ceil(room);
    let piece = |(index, part): (usize, &[u8])| {
        let offset = usize::from(header.fragment_offset) + index * room;
        let more = header.more_fragments || index + 1 < count;
        let field = u16::try_from(offset >> 3).ok()? | if more { 0x2000 } else { 0 };
        let mut bytes = packet.get(..length)?.to_vec();
        put(&mut bytes, 2, u16::try_from(length + part.len()).ok()?)?;
        put(&mut bytes, 6, field)?;
        put(&mut bytes, 10, 0)?;
        let sum = checksum(&bytes);
        put(&mut bytes, 10, sum)?;
        bytes.extend_from_slice(part);
        Some(bytes)
    };
    payload.chunks(room).enumerate().map(piece).collect()
}

fn put(bytes: &mut [u8], at: usize, value: u16) -> Option<()> {
    bytes.get_mut(at..at + 2)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests;
