//! Packets as a pcapng capture, encoded only: whoever writes it to a file owns the file.

use super::segment::{complete, from_frame};
use super::{Frame, Transmit};

/// Raw IP packets, version in the first nibble.
const LINKTYPE_RAW: u16 = 101;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const OPTION_END: u16 = 0;
const OPTION_NAME: u16 = 2;
const OPTION_FLAGS: u16 = 2;
const OPTION_TIMESTAMP_RESOLUTION: u16 = 9;

/// Bits of the flags of a packet.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Appends what every capture begins with: a section and its one interface, `name`.
pub fn begin(out: &mut Vec<u8>, name: &str) {
    block(out, SECTION_HEADER, |out| {
        out.extend(0x1a2b_3c4d_u32.to_le_bytes());
        out.extend(1u16.to_le_bytes());
        out.extend(0u16.to_le_bytes());
        out.extend(u64::MAX.to_le_bytes());
    });
    block(out, INTERFACE_DESCRIPTION, |out| {
        out.extend(LINKTYPE_RAW.to_le_bytes());
        out.extend([0; 2]);
        out.extend(0u32.to_le_bytes());
        option(out, OPTION_NAME, name.as_bytes());
        option(out, OPTION_TIMESTAMP_RESOLUTION, &[9]);
        option(out, OPTION_END, &[]);
    });
}

/// Appends a frame that was received `time` nanoseconds after 1970. A checksum that the link vouched for is shown computed.
pub fn received(out: &mut Vec<u8>, time: u64, frame: &Frame) {
    if frame.meta == super::FrameMeta::default() {
        return packet(out, time, INBOUND, std::iter::once(&frame.bytes[..]));
    }
    let mut transmit = from_frame(frame);
    complete(&mut transmit);
    packet(out, time, INBOUND, slices(&transmit));
}

/// Appends a packet, or a super-frame as one, that was sent `time` nanoseconds after 1970. A checksum that is left to the device is shown computed.
pub fn sent(out: &mut Vec<u8>, time: u64, transmit: &Transmit) {
    let mut transmit = transmit.clone();
    complete(&mut transmit);
    packet(out, time, OUTBOUND, slices(&transmit));
}

fn slices(transmit: &Transmit) -> impl Iterator<Item = &[u8]> + Clone {
    std::iter::once(&transmit.head[..]).chain(transmit.payload.iter().map(|slice| &slice[..]))
}

fn packet<'a>(out: &mut Vec<u8>, time: u64, flags: u32, slices: impl Iterator<Item = &'a [u8]> + Clone) {
    let length = length(slices.clone().map(<[u8]>::len).sum());
    block(out, ENHANCED_PACKET, |out| {
        out.extend(0u32.to_le_bytes());
        out.extend(((time >> 32) as u32).to_le_bytes());
        out.extend((time as u32).to_le_bytes());
        out.extend(length.to_le_bytes());
        out.extend(length.to_le_bytes());
        slices.for_each(|slice| out.extend_from_slice(slice));
        pad(out, length as usize);
        option(out, OPTION_FLAGS, &flags.to_le_bytes());
        option(out, OPTION_END, &[]);
    });
}

/// A block: its type, its length on both sides of the body.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    let total = length(out.len() - start + 4).to_le_bytes();
    out.extend(total);
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&total);
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..value.len().min(0xfff0)).unwrap_or_default();
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn pad(out: &mut Vec<u8>, length: usize) {
    out.extend(std::iter::repeat_n(0, length.next_multiple_of(4) - length));
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
