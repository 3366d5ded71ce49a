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

/// The options as Linux lays them out: MSS, SACK permitted beside timestamps, window scale, SACK blocks, each aligned to four bytes. SACK blocks that
/// find no room are left out.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
//# All TCP Options except End of Option List Option (EOL) and No-Operation (NOP) MUST have length fields, including all future options (MUST-68).
pub(super) fn emit(options: &TcpOptions) -> ArrayVec<u8, SPACE> {
    let mut out = ArrayVec::new();
    let mut put = |bytes: &[u8]| out.try_extend_from_slice(bytes).is_ok();
    if let Some(mss) = options.mss {
        let [a, b] = mss.to_be_bytes();
        put(&[MSS, 4, a, b]);
    }
    match (options.timestamps, options.sack_permitted) {
        (Some(_), true) => put(&[SACK_PERMITTED, 2, TIMESTAMPS, 10]),
        (Some(_), false) => put(&[NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10]),
        (None, true) => put(&[NO_OPERATION, NO_OPERATION, SACK_PERMITTED, 2]),
        (None, false) => true,
    };
    if let Some((value, echo)) = options.timestamps {
        put(&value.to_be_bytes());
        put(&echo.to_be_bytes());
    }
    if let Some(shift) = options.window_scale {
        put(&[NO_OPERATION, WINDOW_SCALE, 3, shift]);
    }
    let room = out.remaining_capacity().saturating_sub(4) / 8;
    let blocks = options.sack.len().min(room);
    if blocks > 0 {
        let length = 2 + 8 * blocks as u8;
        let _ = out.try_extend_from_slice(&[NO_OPERATION, NO_OPERATION, SACK, length]);
    }
    for (left, right) in options.sack.iter().take(blocks) {
        let _ = out.try_extend_from_slice(&left.to_be_bytes());
        let _ = out.try_extend_from_slice(&right.to_be_bytes());
    }
    out
}
