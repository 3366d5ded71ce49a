//! Chapter: Addresses.
//!
//! Addresses are the system's: struct sockaddr_in, struct sockaddr_in6, socklen_t. Only numbers are
//! understood here; usertcp_resolve() looks names up.

use crate::args;
use libc::{sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};
use std::ffi::{c_char, c_int};
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;
use usertcp_core::api::{Errno, Error};

/// Longest text that usertcp_format_addr() makes, its NUL included.
pub const USERTCP_ADDRSTRLEN: usize = 64;

/// Parses "192.0.2.1:80", "[2001:db8::1]:80", or either without a port (then the port is 0; brackets may be
/// left out). A link-local address may name its link by number, "[fe80::1%1]:80"; a stack has one link, number
/// 1, and 0 means the same. Other numbers are -ENODEV where such an address is bound or connected to. Fills `*address` and its `*length`. -EINVAL when it is not an address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_parse_addr(
    text: *const c_char,
    address: *mut sockaddr_storage,
    length: *mut socklen_t,
) -> c_int {
    guard!({
        // SAFETY: the program promises a string.
        let text = unsafe { args::string(text, "the text") }?.ok_or_else(|| args::null("the text"))?;
        let parsed = parse(text).ok_or_else(|| {
            let hint = "write 192.0.2.1:80 or [2001:db8::1]:80";
            args::invalid(format!("'{text}' is not an address: {hint}"))
        })?;
        let (storage, bytes) = encode(parsed);
        if length.is_null() {
            return Err(args::null("the length"));
        }
        // SAFETY: the program promises that both may be written.
        unsafe {
            args::write(address, storage, "the address")?;
            args::write(length, bytes, "the length")?;
        }
        Ok(0)
    })
}

/// Writes an address as text, "192.0.2.1:80" or "[2001:db8::1]:80", into `buffer`; USERTCP_ADDRSTRLEN bytes
/// always suffice. Returns the length of the text; -ENOSPC when `size` is too small, -EAFNOSUPPORT for
/// another family.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_format_addr(
    address: *const sockaddr,
    length: socklen_t,
    buffer: *mut c_char,
    size: usize,
) -> c_int {
    guard!({
        // SAFETY: the program promises `length` readable bytes.
        let text = unsafe { read(address, length) }?.to_string();
        if buffer.is_null() {
            return Err(args::null("the buffer"));
        }
        if size <= text.len() {
            return Err(Errno::ENOSPC.into());
        }
        // SAFETY: the program promises `size` writable bytes.
        unsafe { args::copy_text(&text, buffer, size) };
        Ok(c_int::try_from(text.len()).unwrap_or(c_int::MAX))
    })
}

fn parse(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let whole = text.parse().ok();
    let v6 = || format!("[{bare}]:0").parse().ok();
    whole.or_else(|| bare.parse::<Ipv4Addr>().ok().map(|v4| SocketAddr::new(v4.into(), 0))).or_else(v6)
}

/// The same for a peer that AF_UNSPEC takes away: `None`.
///
/// # Safety
/// As [`read`].
pub(crate) unsafe fn read_peer(
    address: *const sockaddr,
    length: socklen_t,
) -> Result<Option<SocketAddr>, Error> {
    if !address.is_null() && length as usize >= size_of::<libc::sa_family_t>() {
        // SAFETY: long enough for the family; the alignment is not relied on.
        let family = unsafe { address.cast::<libc::sa_family_t>().read_unaligned() };
        if c_int::from(family) == libc::AF_UNSPEC {
            return Ok(None);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { read(address, length) }.map(Some)
}

/// Reads the program's address. EFAULT, EINVAL (wrong length), EAFNOSUPPORT.
///
/// # Safety
/// `address` is NULL or points to `length` readable bytes.
pub(crate) unsafe fn read(address: *const sockaddr, length: socklen_t) -> Result<SocketAddr, Error> {
    if address.is_null() {
        return Err(args::null("the address"));
    }
    args::length(length)?;
    let length = length as usize;
    if length < size_of::<libc::sa_family_t>() {
        return Err(wrong_length(length));
    }
    // SAFETY: long enough for the family; the alignment is not relied on.
    let family = unsafe { address.cast::<libc::sa_family_t>().read_unaligned() };
    match c_int::from(family) {
        libc::AF_INET if length >= size_of::<sockaddr_in>() => {
            // SAFETY: just checked to be long enough, and every value of its bytes is valid.
            let v4 = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
            let host = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Ok(SocketAddrV4::new(host, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if length >= size_of::<sockaddr_in6>() => {
            // SAFETY: as above.
            let v6 = unsafe { address.cast::<sockaddr_in6>().read_unaligned() };
            let host = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Ok(SocketAddrV6::new(host, port, u32::from_be(v6.sin6_flowinfo), v6.sin6_scope_id).into())
        }
        libc::AF_INET | libc::AF_INET6 => Err(wrong_length(length)),
        _ => {
            let text = format!("address family {family} is neither AF_INET nor AF_INET6");
            Err(Error::new(Errno::EAFNOSUPPORT, text))
        }
    }
}

fn wrong_length(length: usize) -> Error {
    args::invalid(format!("an address of {length} bytes is too short for its family"))
}

/// Hands an address to the program as the system does: cut to its buffer, with the whole length told. Nothing
/// happens when both pointers are NULL. EFAULT when one is, EINVAL when the room is negative.
///
/// # Safety
/// `length` is NULL or writable; `address` is NULL or points to `*length` writable bytes.
pub(crate) unsafe fn write(
    value: SocketAddr,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> Result<(), Error> {
    if address.is_null() && length.is_null() {
        return Ok(());
    }
    if address.is_null() || length.is_null() {
        return Err(args::null("one of address and length"));
    }
    // SAFETY: the caller's promise.
    args::length(unsafe { length.read_unaligned() })?;
    let (storage, bytes) = encode(value);
    // SAFETY: the caller's promise; `encode` never makes more bytes than a sockaddr_storage has.
    unsafe {
        let room = length.read_unaligned().min(bytes);
        ptr::copy_nonoverlapping(ptr::from_ref(&storage).cast::<u8>(), address.cast(), room as usize);
        length.write_unaligned(bytes);
    }
    Ok(())
}

/// The system's form of an address, and its length.
pub(crate) fn encode(value: SocketAddr) -> (sockaddr_storage, socklen_t) {
    let mut storage = MaybeUninit::<sockaddr_storage>::zeroed();
    let length = match value {
        SocketAddr::V4(v4) => {
            let s_addr = u32::from(*v4.ip()).to_be();
            let form = sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr },
                sin_zero: [0; 8],
            };
            // SAFETY: a sockaddr_storage holds and aligns any address.
            unsafe { storage.as_mut_ptr().cast::<sockaddr_in>().write(form) };
            size_of::<sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let form = sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo().to_be(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { storage.as_mut_ptr().cast::<sockaddr_in6>().write(form) };
            size_of::<sockaddr_in6>()
        }
    };
    // SAFETY: zeroes, and an address written over them, are valid.
    (unsafe { storage.assume_init() }, length as socklen_t)
}
