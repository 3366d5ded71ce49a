//! Captures in the formats pcap and pcapng, of links that carry IP.

use crate::{Checker, Direction, Options, Report};
use etherparse::{EtherType, Ethernet2Slice};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, PcapHeader, create_reader};
use std::fmt;
use std::io::Read;

/// Bytes read at once; a record may be 64 KiB and more.
const PIECE: usize = 1 << 18;

/// Bytes of the longest record that is believed.
const LONGEST: usize = 1 << 26;

/// Why a capture cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {}

/// An interface that packets were captured on.
struct Interface {
    link: Linktype,
    /// Time stamps in a second.
    resolution: u64,
    /// Seconds to add to them.
    offset: i64,
}

/// A record, as both formats have it.
struct Record<'a> {
    time: u64,
    direction: Direction,
    link: Linktype,
    bytes: &'a [u8],
    /// Whether the capture has not all of it.
    cut: bool,
}

/// What the reader lacks for the next record.
enum Lack {
    Bytes,
    Room,
}

/// Judges a capture in pcap or pcapng format. A capture whose last record is not complete, as of a process that was killed, is judged up to there.
pub fn check_capture(input: impl Read + Send, options: Options) -> Result<Report, Error> {
    let mut checker = Checker::new(options);
    let mut interfaces: Vec<Interface> = Vec::new();
    let mut reader = create_reader(PIECE, input).map_err(|error| error_of(&error))?;
    let mut capacity = PIECE;
    loop {
        let lack = match reader.next() {
            Ok((length, block)) => {
                judge(&mut checker, &mut interfaces, &block)?;
                reader.consume(length);
                continue;
            }
            Err(PcapError::Eof | PcapError::UnexpectedEof) => break,
            Err(PcapError::Incomplete(_)) => Lack::Bytes,
            Err(PcapError::BufferTooSmall) if capacity < LONGEST => Lack::Room,
            Err(error) => return Err(error_of(&error)),
        };
        match lack {
            Lack::Bytes if reader.reader_exhausted() => break,
            Lack::Bytes => {}
            Lack::Room => {
                capacity *= 2;
                reader.grow(capacity);
            }
        }
        reader.refill().map_err(|error| error_of(&error))?;
    }
    Ok(checker.finish())
}

fn error_of<I>(error: &PcapError<I>) -> Error {
    let what = match error {
        PcapError::Eof => "it is empty: was anything captured, and the stack closed?",
        PcapError::HeaderNotRecognized | PcapError::Incomplete(_) => {
            "it is neither pcap nor pcapng: capture with tcpdump -w, or with the stack's option pcap"
        }
        PcapError::ReadError => "reading fails: can the file be read by this user?",
        PcapError::BufferTooSmall => "it has a record of more than 64 MiB: it is damaged, capture again",
        _ => "it is damaged behind its header: capture again",
    };
    Error { what: what.to_owned() }
}

fn judge(
    checker: &mut Checker,
    interfaces: &mut Vec<Interface>,
    block: &PcapBlockOwned<'_>,
) -> Result<(), Error> {
    let number = |id: u32| usize::try_from(id).unwrap_or(usize::MAX);
    let record = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            interfaces.push(legacy(header));
            return Ok(());
        }
        PcapBlockOwned::Legacy(record) => {
            let Some(interface) = interfaces.first() else { return Ok(()) };
            let ticks = u64::from(record.ts_sec) * interface.resolution + u64::from(record.ts_usec);
            let cut = record.caplen < record.origlen;
            Record { direction: Direction::Unknown, ..interface.record(ticks, record.data, cut) }
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            return Ok(());
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
            let resolution =
                block.ts_resolution().ok_or_else(|| error_of(&PcapError::<&[u8]>::UnexpectedEof))?;
            interfaces.push(Interface { link: block.linktype, resolution, offset: block.ts_offset() });
            return Ok(());
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
            let Some(interface) = interfaces.get(number(block.if_id)) else { return Ok(()) };
            let ticks = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
            let flags = block.options.iter().find(|option| option.code.0 == 2 && option.len == 4);
            let data = block.data.get(..number(block.caplen)).unwrap_or(block.data);
            let cut = block.caplen < block.origlen;
            let direction = flags.map_or(Direction::Unknown, |flags| way(&flags.value));
            Record { direction, ..interface.record(ticks, data, cut) }
        }
        PcapBlockOwned::NG(_) => return Ok(()),
    };
    let (direction, packet) = network(&record);
    match packet {
        Some(packet) if !record.cut => checker.packet(record.time, direction, packet),
        _ => checker.skip(record.time),
    }
    Ok(())
}

/// The two lowest bits of a packet's flags, in either byte order: only one byte of the four has any of them.
fn way(flags: &[u8]) -> Direction {
    let low = |byte: Option<&u8>| byte.map_or(0, |byte| byte & 3);
    match low(flags.first()) | low(flags.get(3)) {
        1 => Direction::In,
        2 => Direction::Out,
        _ => Direction::Unknown,
    }
}

fn legacy(header: &PcapHeader) -> Interface {
    let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
    Interface { link: header.network, resolution, offset: 0 }
}

impl Interface {
    fn record<'a>(&self, ticks: u64, bytes: &'a [u8], cut: bool) -> Record<'a> {
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(self.resolution.max(1));
        let time = i128::from(self.offset) * 1_000_000_000 + i128::try_from(nanos).unwrap_or(i128::MAX);
        let time = u64::try_from(time.max(0)).unwrap_or(u64::MAX);
        Record { time, direction: Direction::Unknown, link: self.link, bytes, cut }
    }
}

/// The IP packet of a record, and its direction.
fn network<'a>(record: &Record<'a>) -> (Direction, Option<&'a [u8]>) {
    let bytes = record.bytes;
    let is_ip = |kind: Option<&[u8]>| matches!(kind, Some([0x08, 0x00] | [0x86, 0xdd]));
    let (direction, packet) = match record.link {
        Linktype::RAW | Linktype(12 | 14) | Linktype::IPV4 | Linktype::IPV6 => {
            (record.direction, Some(bytes))
        }
        Linktype::NULL | Linktype::LOOP => (record.direction, bytes.get(4..)),
        Linktype::ETHERNET => (record.direction, ethernet(bytes)),
        // The first field of a cooked capture is the direction: 4 is sent by us.
        Linktype::LINUX_SLL => {
            let direction = if bytes.get(1) == Some(&4) { Direction::Out } else { Direction::In };
            (direction, bytes.get(16..).filter(|_| is_ip(bytes.get(14..16))))
        }
        Linktype::LINUX_SLL2 => {
            let direction = if bytes.get(10) == Some(&4) { Direction::Out } else { Direction::In };
            (direction, bytes.get(20..).filter(|_| is_ip(bytes.get(0..2))))
        }
        _ => (record.direction, None),
    };
    (direction, packet.filter(|packet| packet.first().is_some_and(|first| matches!(first >> 4, 4 | 6))))
}

fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    let frame = Ethernet2Slice::from_slice_without_fcs(frame).ok()?;
    let (mut kind, mut rest) = (frame.ether_type(), frame.payload_slice());
    while matches!(kind, EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING) {
        kind = EtherType(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        rest = rest.get(4..)?;
    }
    matches!(kind, EtherType::IPV4 | EtherType::IPV6).then_some(rest)
}
