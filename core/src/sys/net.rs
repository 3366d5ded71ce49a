//! Sockets and the ioctls of TUN devices.

use super::{checked, checked_length};
use crate::error::Errno;
use bytes::{BufMut, BytesMut};
use std::ffi::CStr;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Of linux/if_tun.h and linux/nsfs.h; libc has neither.
const TUNGETDEVNETNS: libc::Ioctl = libc::_IO(b'T' as u32, 227);
const NS_GET_USERNS: libc::Ioctl = libc::_IO(0xb7, 1);

/// A new socket, close-on-exec.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: integers only; the result is a new descriptor that is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol))?)) }
}

/// A connected pair of AF_UNIX sockets, close-on-exec; `kind` may have SOCK_NONBLOCK.
pub fn socketpair(kind: i32) -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for two descriptors, which are ours alone when the call succeeds.
    unsafe {
        checked(libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()))?;
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// An integer option of level SOL_SOCKET.
pub fn socket_option(fd: BorrowedFd<'_>, name: i32) -> Result<i32, Errno> {
    let mut value = 0_i32;
    let mut length = 4;
    // SAFETY: `value` has the four bytes that `length` says.
    checked(unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, value, &raw mut length)
    })?;
    Ok(value)
}

/// Sets an integer option of level SOL_SOCKET.
pub fn set_socket_option(fd: BorrowedFd<'_>, name: i32, value: i32) -> Result<(), Errno> {
    // SAFETY: `value` has the four bytes that the length says.
    checked(unsafe {
        let value = (&raw const value).cast();
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, value, 4)
    })?;
    Ok(())
}

/// shutdown(2).
pub fn shutdown(fd: BorrowedFd<'_>, how: i32) -> Result<(), Errno> {
    // SAFETY: integers only.
    checked(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(|_| ())
}

/// Gives a netlink socket an address of its own, as replies need.
pub fn bind_netlink(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: sockaddr_nl is plain data, for which all zeroes is valid; the size given is its own.
    unsafe {
        let mut address: libc::sockaddr_nl = core::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        let size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        checked(libc::bind(fd.as_raw_fd(), (&raw const address).cast(), size))?;
    }
    Ok(())
}

/// send(2), never raising SIGPIPE.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], flags: i32) -> Result<usize, Errno> {
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: the bytes are borrowed for the call.
    checked_length(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// recv(2).
pub fn recv(fd: BorrowedFd<'_>, bytes: &mut [u8], flags: i32) -> Result<usize, Errno> {
    // SAFETY: the bytes are borrowed mutably for the call.
    checked_length(unsafe { libc::recv(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), flags) })
}

/// Receives one message into the spare capacity of `page` and appends it; returns its full length, which is more than was appended
/// if it did not fit.
pub fn receive_into_spare(fd: BorrowedFd<'_>, page: &mut BytesMut) -> Result<usize, Errno> {
    let spare = page.chunk_mut();
    let room = spare.len();
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and length are those of memory that `page` owns and nobody else sees; recv only writes to it.
    let length =
        checked_length(unsafe { libc::recv(fd.as_raw_fd(), spare.as_mut_ptr().cast(), room, flags) })?;
    // SAFETY: the kernel has initialised as many bytes as the message has, at most `room`.
    unsafe { page.advance_mut(length.min(room)) };
    Ok(length)
}

/// Receives up to `most` bytes of a stream into the spare capacity of `page` and appends them, never blocking.
pub fn receive_some(fd: BorrowedFd<'_>, page: &mut BytesMut, most: usize) -> Result<usize, Errno> {
    let spare = page.chunk_mut();
    let room = spare.len().min(most);
    let (start, flags) = (spare.as_mut_ptr().cast(), libc::MSG_DONTWAIT);
    // SAFETY: the pointer and length are those of memory that `page` owns and nobody else sees; recv only writes to it.
    let length = checked_length(unsafe { libc::recv(fd.as_raw_fd(), start, room, flags) })?;
    // SAFETY: the kernel has initialised `length` bytes, at most as many as were spare.
    unsafe { page.advance_mut(length) };
    Ok(length)
}

/// Sends the slices as one message, never blocking and never raising SIGPIPE.
pub fn message_send(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    // SAFETY: msghdr is plain data, for which all zeroes is valid. IoSlice has the layout of iovec, and sendmsg does not write through
    // the pointer.
    unsafe {
        let mut message: libc::msghdr = core::mem::zeroed();
        message.msg_iov = slices.as_ptr().cast_mut().cast();
        message.msg_iovlen = slices.len() as _;
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        checked_length(libc::sendmsg(fd.as_raw_fd(), &raw const message, flags))
    }
}

/// Name and flags of a TUN or TAP device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunInterface {
    /// Its name.
    pub name: String,
    /// `IFF_TUN`, `IFF_NO_PI`, `IFF_VNET_HDR` ...
    pub flags: i32,
}

/// TUNSETIFF: makes `fd`, an open `/dev/net/tun`, the device of that name; empty: the kernel picks one. At most 15 bytes.
pub fn tun_attach(fd: BorrowedFd<'_>, name: &str, flags: i32) -> Result<TunInterface, Errno> {
    let mut request = interface_request();
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = i16::try_from(flags).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the request is a valid ifreq, read and written by the kernel.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })?;
    Ok(TunInterface { name: interface_name(&request), flags })
}

/// TUNGETIFF: which device `fd` is. EBADFD when it is not attached to one.
pub fn tun_interface(fd: BorrowedFd<'_>) -> Result<TunInterface, Errno> {
    let mut request = interface_request();
    // SAFETY: the request is a valid ifreq, written by the kernel.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNGETIFF as _, &raw mut request) })?;
    // SAFETY: the kernel has filled the flags; any bits are a valid integer.
    let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
    Ok(TunInterface { name: interface_name(&request), flags: flags & 0xffff })
}

/// TUNGETDEVNETNS: the network namespace that the interface of `fd` is in. EPERM for who has no rights there.
pub fn tun_namespace(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: no argument; the result is a new descriptor that is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::ioctl(fd.as_raw_fd(), TUNGETDEVNETNS))?)) }
}

/// NS_GET_USERNS: the user namespace that owns the namespace `fd`.
pub fn namespace_owner(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: no argument; the result is a new descriptor that is ours alone.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::ioctl(fd.as_raw_fd(), NS_GET_USERNS))?)) }
}

/// TUNSETOFFLOAD: what the kernel may leave to the reader of a device with vnet header (`TUN_F_CSUM` ...).
pub fn tun_set_offload(fd: BorrowedFd<'_>, features: u32) -> Result<(), Errno> {
    let features = core::ffi::c_ulong::from(features);
    // SAFETY: TUNSETOFFLOAD takes the number itself, no pointer.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD as _, features) })?;
    Ok(())
}

/// TUNSETVNETHDRSZ: length of the vnet header, bytes.
pub fn tun_set_header_length(fd: BorrowedFd<'_>, length: i32) -> Result<(), Errno> {
    // SAFETY: TUNSETVNETHDRSZ reads one int.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ as _, &raw const length) })?;
    Ok(())
}

fn interface_request() -> libc::ifreq {
    // SAFETY: ifreq is plain data, for which all zeroes is valid.
    unsafe { core::mem::zeroed() }
}

fn interface_name(request: &libc::ifreq) -> String {
    let bytes: Vec<u8> = request.ifr_name.iter().map(|c| *c as u8).chain([0]).collect();
    CStr::from_bytes_until_nul(&bytes).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
