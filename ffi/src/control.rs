//! Control data of sendmsg and recvmsg: the system's cmsghdr, in the system's layout.

use crate::args;
use libc::cmsghdr;
use std::mem::size_of;
use std::ptr;
use usertcp_core::api::{Error, Handling, Message};

const HEADER: usize = size_of::<cmsghdr>();

/// CMSG_ALIGN.
const fn aligned(length: usize) -> usize {
    length.next_multiple_of(size_of::<usize>())
}

/// What the control data of a datagram to be sent asks for. EINVAL (not understood, or a wrong length or value), ENODEV.
///
/// # Safety
/// `data` is NULL or points to `length` readable bytes.
pub(crate) unsafe fn read(data: *const u8, length: usize) -> Result<Handling, Error> {
    // SAFETY: the caller's promise.
    let mut rest = unsafe { args::bytes(data, length) }?;
    let mut handling = Handling::default();
    while rest.len() >= HEADER {
        // SAFETY: there are as many bytes, and every value of them is a header.
        let header = unsafe { rest.as_ptr().cast::<cmsghdr>().read_unaligned() };
        let whole = header.cmsg_len;
        let Some(value) = rest.get(HEADER..whole) else {
            return Err(args::invalid("cmsg_len is shorter than its header or longer than what follows"));
        };
        handling.ask(header.cmsg_level, header.cmsg_type, value)?;
        rest = rest.get(aligned(whole)..).unwrap_or_default();
    }
    Ok(handling)
}

/// What became of the control data of a message.
pub(crate) struct Written {
    /// Bytes of it.
    pub(crate) length: usize,
    /// Some did not fit and was left out.
    pub(crate) cut: bool,
}

/// Writes what was told with a message into the program's buffer.
///
/// # Safety
/// `data` is NULL or points to `room` writable bytes.
pub(crate) unsafe fn write(message: &Message, data: *mut u8, room: usize) -> Written {
    let room = if data.is_null() { 0 } else { room };
    let mut written = Written { length: 0, cut: false };
    for item in message.ancillary() {
        let value = item.value();
        let whole = HEADER + value.len();
        if written.length + whole > room {
            written.cut = true;
            break;
        }
        // SAFETY: cmsghdr is plain data, for which all zeroes is valid; header and value end within `room` bytes.
        unsafe {
            let mut header: cmsghdr = core::mem::zeroed();
            (header.cmsg_len, header.cmsg_level, header.cmsg_type) = (whole as _, item.level, item.kind);
            let place = data.add(written.length);
            place.cast::<cmsghdr>().write_unaligned(header);
            ptr::copy_nonoverlapping(value.as_ptr(), place.add(HEADER), value.len());
        }
        written.length = (written.length + aligned(whole)).min(room);
    }
    written
}
