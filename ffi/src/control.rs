//! Control data of sendmsg and recvmsg: the system's cmsghdr, in the system's layout.

use crate::args;
use libc::{c_int, cmsghdr, in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;
use usertcp_core::api::{Errno, Error, Handling, Message};

/// The number of a stack's link.
const LINK: u32 = 1;

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
        obey(&mut handling, header.cmsg_level, header.cmsg_type, value)?;
        rest = rest.get(aligned(whole)..).unwrap_or_default();
    }
    Ok(handling)
}

fn obey(handling: &mut Handling, level: c_int, kind: c_int, value: &[u8]) -> Result<(), Error> {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            let value: &[u8; 12] = exactly(value)?;
            let (link, source) = (number(&value[..4])?, number(&value[4..8])?);
            check_link(link)?;
            let source = Ipv4Addr::from(u32::from_be(source));
            handling.source = (!source.is_unspecified()).then_some(source.into());
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            let value: &[u8; 20] = exactly(value)?;
            let mut source = [0; 16];
            source.copy_from_slice(&value[..16]);
            check_link(number(&value[16..])?)?;
            let source = Ipv6Addr::from(source);
            handling.source = (!source.is_unspecified()).then_some(source.into());
        }
        (libc::IPPROTO_IP, libc::IP_TTL) => handling.hops = Some(byte(signed(value)?, 1)?),
        (libc::IPPROTO_IP, libc::IP_TOS) => {
            let class = if let [byte] = value { c_int::from(*byte) } else { signed(value)? };
            handling.class = Some(byte(class, 0)?);
        }
        (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => handling.hops = byte_or_default(signed(value)?)?,
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => handling.class = byte_or_default(signed(value)?)?,
        _ => {
            let text = format!("control data of level {level} and type {kind} is not understood");
            return Err(args::invalid(text));
        }
    }
    Ok(())
}

fn exactly<const N: usize>(value: &[u8]) -> Result<&[u8; N], Error> {
    value.try_into().map_err(|_| args::invalid(format!("control data of {} bytes, not {N}", value.len())))
}

fn number(value: &[u8]) -> Result<u32, Error> {
    exactly(value).map(|bytes| u32::from_ne_bytes(*bytes))
}

fn signed(value: &[u8]) -> Result<c_int, Error> {
    number(value).map(u32::cast_signed)
}

fn byte(number: c_int, least: u8) -> Result<u8, Error> {
    let byte = u8::try_from(number).ok().filter(|byte| *byte >= least);
    byte.ok_or_else(|| args::invalid(format!("{number} is not from {least} to 255")))
}

/// -1 stands for what the socket's options say.
fn byte_or_default(number: c_int) -> Result<Option<u8>, Error> {
    if number == -1 { Ok(None) } else { byte(number, 0).map(Some) }
}

fn check_link(link: u32) -> Result<(), Error> {
    match link {
        0 | LINK => Ok(()),
        _ => Err(Error::new(Errno::ENODEV, format!("link {link}: a stack has one, number {LINK}"))),
    }
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
    let six = message.from.is_some_and(|from| from.is_ipv6());
    let mut put = |level: c_int, kind: c_int, value: &[u8]| {
        let whole = HEADER + value.len();
        if written.cut || written.length + whole > room {
            written.cut = true;
            return;
        }
        // SAFETY: cmsghdr is plain data, for which all zeroes is valid; header and value end within `room` bytes.
        unsafe {
            let mut header: cmsghdr = core::mem::zeroed();
            (header.cmsg_len, header.cmsg_level, header.cmsg_type) = (whole as _, level, kind);
            let place = data.add(written.length);
            place.cast::<cmsghdr>().write_unaligned(header);
            ptr::copy_nonoverlapping(value.as_ptr(), place.add(HEADER), value.len());
        }
        written.length = (written.length + aligned(whole)).min(room);
    };
    match message.to {
        Some(IpAddr::V4(to)) => {
            let address = in_addr { s_addr: u32::from(to).to_be() };
            let info = in_pktinfo { ipi_ifindex: LINK as c_int, ipi_spec_dst: address, ipi_addr: address };
            put(libc::IPPROTO_IP, libc::IP_PKTINFO, plain(&info));
        }
        Some(IpAddr::V6(to)) => {
            let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: to.octets() }, ipi6_ifindex: LINK };
            put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, plain(&info));
        }
        None => {}
    }
    if let Some(hops) = message.hops {
        let (level, kind) =
            if six { (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) } else { (libc::IPPROTO_IP, libc::IP_TTL) };
        put(level, kind, &c_int::from(hops).to_ne_bytes());
    }
    match message.class {
        Some(class) if six => put(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &c_int::from(class).to_ne_bytes()),
        // A byte, as the system has it.
        Some(class) => put(libc::IPPROTO_IP, libc::IP_TOS, &[class]),
        None => {}
    }
    written
}

/// The bytes of a struct without padding.
fn plain<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: the two types that this is called with have no padding.
    unsafe { std::slice::from_raw_parts(ptr::from_ref(value).cast(), size_of::<T>()) }
}
