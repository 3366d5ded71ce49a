//! TCP options between bytes and [`TcpOptions`] (RFC 9293 3.2).

use super::tcp::TcpOptions;
use arrayvec::ArrayVec;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// Most bytes of options: a data offset of 15 less the fixed header.
const SPACE: usize = 40;

/// Reads the options between the fixed header and the payload.
pub(super) fn parse(mut bytes: &[u8]) -> TcpOptions {
    let mut options = TcpOptions::default();
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.2
    //# receivers MUST be prepared to process options even if they do not begin on a word boundary (MUST-64).
    loop {
        bytes = match *bytes {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
            //# the following options MUST be supported (MUST-4)
            [] | [END, ..] => return options,
            [NO_OPERATION, ref rest @ ..] => rest,
            [kind, length, ..] if length >= 2 && usize::from(length) <= bytes.len() => {
                let (option, rest) = bytes.split_at(usize::from(length));
                //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
                //# A TCP implementation MUST (MUST-6) ignore without error any TCP Option it does not implement, assuming that the option has a length field
                read(kind, option.get(2..).unwrap_or_default(), &mut options);
                rest
            }
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
            //# TCP implementations MUST be prepared to handle an illegal option length (e.g., zero); a suggested procedure is to reset the connection and log the error cause (MUST-7).
            _ => return options,
        };
    }
}

/// One option; a known kind of a length that is not its own is skipped like an unknown one.
fn read(kind: u8, value: &[u8], options: &mut TcpOptions) {
    match (kind, value) {
        (MSS, &[a, b]) => options.mss = Some(u16::from_be_bytes([a, b])),
        (WINDOW_SCALE, &[shift]) => options.window_scale = Some(shift),
        (SACK_PERMITTED, []) => options.sack_permitted = true,
        (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
            options.timestamps = Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])));
        }
        (SACK, blocks) if matches!(blocks.len(), 8 | 16 | 24 | 32) => {
            let edge = |e: &[u8; 4]| u32::from_be_bytes(*e);
            options.sack = (blocks.as_chunks::<8>().0.iter())
                .filter_map(|block| match block.as_chunks::<4>().0 {
                    [left, right] => Some((edge(left), edge(right))),
                    _ => None,
                })
                .collect();
        }
        _ => {}
    }
}

/// In which order options stand, where in a word each begins, and what fills the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    /// As Linux has them: `mss,sackOK,TS,nop,wscale`; without timestamps `mss,nop,nop,sackOK,nop,wscale`.
    #[default]
    TimestampsFirst,
    /// As FreeBSD has them: `mss,nop,wscale,sackOK,TS`; without timestamps `mss,nop,wscale,sackOK,eol,eol`.
    ScaleFirst,
}

/// The kinds of a layout in their order, each with the offset in a word that it begins at.
type Places = [(u8, usize); 5];

impl Layout {
    /// SACK permitted goes before timestamps, which begin in the middle of a word, wherever they follow it.
    const fn places(self, stamped: bool) -> Places {
        let lone = if stamped { 0 } else { 2 };
        match self {
            Self::TimestampsFirst => {
                [(MSS, 0), (SACK_PERMITTED, lone), (TIMESTAMPS, 2), (WINDOW_SCALE, 1), (SACK, 2)]
            }
            Self::ScaleFirst => {
                [(MSS, 0), (WINDOW_SCALE, 1), (SACK_PERMITTED, 0), (TIMESTAMPS, 2), (SACK, 2)]
            }
        }
    }
}

/// The options as their layout says, in whole words. SACK blocks that find no room are left out.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
//# All TCP Options except End of Option List Option (EOL) and No-Operation (NOP) MUST have length fields, including all future options (MUST-68).
pub(super) fn emit(options: &TcpOptions) -> ArrayVec<u8, SPACE> {
    let mut out = ArrayVec::new();
    let TcpOptions { mss, window_scale, sack_permitted, timestamps, sack, layout: _ } = options;
    // Nearly every segment has these or none, and every layout the same place for them.
    if mss.is_none() && window_scale.is_none() && !sack_permitted && sack.is_empty() {
        if let Some((value, echo)) = timestamps {
            let [v0, v1, v2, v3] = value.to_be_bytes();
            let [e0, e1, e2, e3] = echo.to_be_bytes();
            put(&mut out, &[NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10, v0, v1, v2, v3, e0, e1, e2, e3]);
        }
        return out;
    }
    for (kind, place) in options.layout.places(options.timestamps.is_some()) {
        let padding = (place + 4 - out.len() % 4) % 4;
        let room = out.remaining_capacity().saturating_sub(padding);
        let value = value_len(kind, options, room);
        if let Some(length) = value.map(|value| value + 2).filter(|length| *length <= room) {
            put(&mut out, [NO_OPERATION; 4].get(..padding).unwrap_or_default());
            put(&mut out, &[kind, length as u8]);
            write(kind, options, (length - 2) / 8, &mut out);
        }
    }
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //# The content of the header beyond the End of Option List Option MUST be header padding of zeros (MUST-69).
    while out.len() % 4 != 0 {
        out.push(END);
    }
    out
}

/// Appends bytes for which there is room.
fn put(out: &mut ArrayVec<u8, SPACE>, bytes: &[u8]) {
    let fits = out.try_extend_from_slice(bytes);
    debug_assert!(fits.is_ok(), "an option was measured wrongly");
}

/// Bytes of an option behind kind and length; `None` where it is absent.
fn value_len(kind: u8, options: &TcpOptions, room: usize) -> Option<usize> {
    match kind {
        MSS => options.mss.map(|_| 2),
        WINDOW_SCALE => options.window_scale.map(|_| 1),
        SACK_PERMITTED => options.sack_permitted.then_some(0),
        TIMESTAMPS => options.timestamps.map(|_| 8),
        //= https://www.rfc-editor.org/rfc/rfc2018#section-3
        //# A SACK option that specifies n blocks will have a length of 8*n+2 bytes (2018:3-1).
        _ => Some(8 * options.sack.len().min(room.saturating_sub(2) / 8)).filter(|length| *length > 0),
    }
}

/// The value of an option that is there and has room.
fn write(kind: u8, options: &TcpOptions, blocks: usize, out: &mut ArrayVec<u8, SPACE>) {
    match kind {
        MSS => put(out, &options.mss.unwrap_or_default().to_be_bytes()),
        WINDOW_SCALE => out.extend(options.window_scale),
        TIMESTAMPS => {
            let (value, echo) = options.timestamps.unwrap_or_default();
            put(out, &value.to_be_bytes());
            put(out, &echo.to_be_bytes());
        }
        SACK => {
            for (left, right) in options.sack.iter().take(blocks) {
                put(out, &left.to_be_bytes());
                put(out, &right.to_be_bytes());
            }
        }
        _ => {}
    }
}
