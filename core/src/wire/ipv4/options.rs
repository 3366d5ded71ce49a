//! The options of an IPv4 header (RFC 791 3.1), walked: a host acts on none of them, and refuses those that cannot be.

use super::HEADER;
use crate::counters::Drop;
use crate::wire::{Fault, Refused};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Whether all `options` are sound and none is a source route. Unknown ones are skipped.
///
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2
//# a TCP implementation MUST ignore options that it does not understand (MUST-50).
//= https://www.rfc-editor.org/rfc/rfc791#section-3.2
//# each internet module must be able to parse every option. (791:3.2-10)
pub(super) fn check(options: &[u8]) -> Result<(), Refused> {
    let mut rest = options;
    loop {
        let at = HEADER + options.len() - rest.len();
        rest = match *rest {
            [] | [END, ..] => return Ok(()),
            [NO_OPERATION, ref rest @ ..] => rest,
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
            //# The IP layer must not crash as the result of an option length that is outside the possible range. (1122:3.2.1.8-4)
            [kind, length, ..] if length >= 2 && usize::from(length) <= rest.len() => {
                let (option, rest) = rest.split_at(usize::from(length));
                let sound = match kind {
                    // Nobody asks for a way of its own but to get around a filter (RFC 6274 4.1.2, RFC 7126 4.3 and 4.4).
                    LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(Drop::IpSourceRoute.into()),
                    RECORD_ROUTE => route(option),
                    TIMESTAMP => timestamp(option),
                    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
                    //# The IP and transport layer MUST each interpret those IP options that they understand and silently ignore the others. (1122:3.2.1.8-3)
                    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
                    //# (b) Stream Identifier Option This option is obsolete; it SHOULD NOT be sent, and it MUST be silently ignored if received. (1122:3.2.1.8-5)
                    _ => Ok(()),
                };
                //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.2.5
                //# A host SHOULD generate Parameter Problem messages. (1122:3.2.2.5-1)
                sound.map_err(|offset| malformed(at + offset))?;
                rest
            }
            _ => return Err(malformed(at)),
        };
    }
}

/// The field at this byte of the packet cannot be.
fn malformed(at: usize) -> Refused {
    //= https://www.rfc-editor.org/rfc/rfc792#page-8
    //# If code = 0, identifies the octet where an error was detected. (792:page-8-1)
    Refused::told(Drop::IpOptions, Fault::ParameterProblem { pointer: u32::try_from(at).unwrap_or(0) })
}

/// A record of a route: its pointer names a place for an address, or the end. Else the offset of the field that cannot be.
fn route(option: &[u8]) -> Result<(), usize> {
    const FIRST: u8 = 4;
    match *option {
        //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
        //# The pointer is relative to this option, and the smallest legal value for the pointer is 4. (791:3.1-11)
        [_, _, pointer, ..] if pointer < FIRST => Err(2),
        //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
        //# If there is some room but not enough room for a full address to be inserted, the original datagram is considered to be in error and is discarded. (791:3.1-14)
        [_, length, pointer, ..] if pointer <= length && usize::from(pointer) + 3 > usize::from(length) => {
            Err(2)
        }
        [_, _, _, ..] => Ok(()),
        _ => Err(1),
    }
}

/// A record of times, with addresses or without.
fn timestamp(option: &[u8]) -> Result<(), usize> {
    const FIRST: u8 = 5;
    match *option {
        [_, length, pointer, flags, ..] => {
            let entry = match flags & 15 {
                0 => 4,
                1 | 3 => 8,
                _ => return Err(3),
            };
            //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
            //# The smallest legal value is 5. (791:3.1-15)
            if pointer < FIRST {
                return Err(2);
            }
            //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
            //# If there is some room but not enough room for a full timestamp to be inserted, or the overflow count itself overflows, the original datagram is considered to be in error and is discarded. (791:3.1-18)
            if pointer > length {
                // Full: hosts that found no room are counted, and the count must not wrap.
                return if flags >> 4 == 15 { Err(3) } else { Ok(()) };
            }
            if usize::from(pointer) + entry - 1 > usize::from(length) { Err(2) } else { Ok(()) }
        }
        _ => Err(1),
    }
}
